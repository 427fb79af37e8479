"""Batches: what a training loop needs of a source, batches of one's own arrays, and going through epochs."""

from __future__ import annotations

import operator
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import jax.tree_util as jtu
import numpy as np
from jaxtyping import PyTree

from ._flags import check_flags
from ._order import shuffled


@runtime_checkable
class Batches(Protocol):
    """A source of batches. Epochs are numbered from 0, and any of them can be begun anywhere."""

    @property
    def batches_per_epoch(self) -> int | None:
        """The number of batches in an epoch; None if the source doesn't know it before the end."""
        ...

    def epoch(self, k: int, start: int = 0) -> Iterator[Any]:
        """Go through an epoch.

        **Arguments:**

        - `k`: the epoch, from 0.
        - `start`: the number of the first batch, from 0.

        **Returns:** an iterator of batches, trees of arrays such as `(x [B, ...], y [B])`.
        """
        ...


@runtime_checkable
class DivisibleBatches(Batches, Protocol):
    """A source of batches of which each process of several reads its own part alone, where they train together. All
    batches have the same number of samples."""

    def part(self, first: int, last: int) -> Batches:
        """Return a source of a part of every batch.

        **Arguments:**

        - `first`, `last`: the samples of each batch from `first` on, and before `last`, from 0.

        **Returns:** a `Batches`, of as many batches in the same order.
        """
        ...


class ArrayBatches:
    """Batches of arrays that are in memory, in an order that is a pure function of seed and epoch.

    A batch is the whole batch, however many devices it is spread over: the order doesn't depend on their number, nor
    on where a run was taken up again.

    To train without a copy from the host for each batch, put `arrays` on the device once and gather there, by the rows
    of `order(k)`.

    **Arguments:**

    - `arrays`: a tree of arrays `[N, ...]`, `(x, y)` as a rule. Batches are trees of the same form.
    - `batch_size`: samples in a batch, B.
    - `seed`: from 0 below 2**64.
    - `shuffle`: each epoch in another order (see `shuffled`); False: as they lie.
    - `drop_last`: leave out the samples beyond the last full batch, other ones in each epoch if shuffled. False: they
      are a last, smaller batch, for which a compiled step is compiled once more, and in whose mean each sample weighs
      more.

    **Raises:** `ValueError` if there are no arrays, they differ in length, the batch is larger than N with `drop_last`,
    or a number is out of its bounds; `TypeError` for a number that isn't whole, or an option that is neither True nor
    False.
    """

    def __init__(
        self, arrays: PyTree, batch_size: int, *, seed: int = 0, shuffle: bool = True, drop_last: bool = True
    ) -> None:
        lengths = {}
        for path, leaf in jtu.tree_flatten_with_path(arrays)[0]:
            if np.ndim(leaf) == 0:
                raise ValueError(f"ArrayBatches: arrays{jtu.keystr(path)} has no axis of samples: {leaf!r}")
            lengths[f"arrays{jtu.keystr(path)}"] = len(leaf)
        if len(set(lengths.values())) != 1:
            found = ", ".join(f"{name} has {length}" for name, length in lengths.items()) or "there are none"
            raise ValueError(f"ArrayBatches: needs arrays with the same number of samples, but {found}")
        self.arrays = arrays
        self.n_samples = next(iter(lengths.values()))
        check_flags("ArrayBatches", shuffle=shuffle, drop_last=drop_last)
        for name, value in {"batch_size": batch_size, "seed": seed}.items():
            if isinstance(value, (bool, np.bool_)):
                raise TypeError(f"ArrayBatches: {name} must be a whole number, got {value!r}")
        self.batch_size = operator.index(batch_size)
        self.seed = operator.index(seed)
        self.shuffle, self.drop_last = shuffle, drop_last
        if self.batch_size < 1 or self.n_samples < (self.batch_size if self.drop_last else 1):
            raise ValueError(
                f"ArrayBatches: a batch of {self.batch_size} can't be made of {self.n_samples} samples"
                + (" (drop_last=False would give one smaller batch)" if 0 < self.n_samples < self.batch_size else "")
            )
        shuffled(0, self.seed, 0)  # refuses a seed out of its bounds now

    @property
    def batches_per_epoch(self) -> int:
        """The number of batches in an epoch, the smaller one included if there is one."""
        full, rest = divmod(self.n_samples, self.batch_size)
        return full + (rest > 0 and not self.drop_last)

    def order(self, k: int) -> np.ndarray:
        """Return the samples that the full batches of an epoch consist of.

        **Arguments:**

        - `k`: the epoch, from 0.

        **Returns:** int32 `[N // B, B]`: rows of the arrays.

        **Raises:** `ValueError` for an epoch below 0.
        """
        return self._permutation(k)[: self.n_samples - self.n_samples % self.batch_size].reshape(-1, self.batch_size)

    def remainder(self, k: int) -> np.ndarray:
        """Return the samples that the last, smaller batch of an epoch consists of.

        **Arguments:**

        - `k`: the epoch, from 0.

        **Returns:** int32 `[N % B]`: rows of the arrays; none with `drop_last`.

        **Raises:** `ValueError` for an epoch below 0.
        """
        rest = 0 if self.drop_last else self.n_samples % self.batch_size
        return self._permutation(k)[self.n_samples - rest :]

    def epoch(self, k: int, start: int = 0) -> Iterator[Any]:
        """Go through an epoch.

        **Arguments:**

        - `k`: the epoch, from 0.
        - `start`: the number of the first batch, from 0.

        **Returns:** an iterator of batches, trees of arrays `[B, ...]`, on the host if `arrays` are.

        **Raises:** `ValueError` if there is no epoch k or it has fewer batches than `start`.
        """
        check_start("ArrayBatches.epoch", k, start, self.batches_per_epoch)
        return self._from(self._permutation(k), start)

    def _from(self, order: np.ndarray, start: int) -> Iterator[Any]:
        for i in range(start, self.batches_per_epoch):
            rows = order[i * self.batch_size : (i + 1) * self.batch_size]
            yield jtu.tree_map(lambda leaf, rows=rows: leaf[rows], self.arrays)

    def _permutation(self, k: int) -> np.ndarray:
        if operator.index(k) < 0:
            raise ValueError(f"ArrayBatches: epochs are numbered from 0, not {k}")
        return shuffled(self.n_samples, self.seed, k) if self.shuffle else np.arange(self.n_samples, dtype=np.int32)


@dataclass(frozen=True, order=True)
class Position:
    """A place in a run: the next batch is number `batch` of epoch `epoch`, both from 0. Two integers, easy to save.

    **Arguments:**

    - `epoch`, `batch`: integers from 0.

    **Raises:** `ValueError` if one of them is below 0.
    """

    epoch: int = 0
    batch: int = 0

    def __post_init__(self) -> None:
        if operator.index(self.epoch) < 0 or operator.index(self.batch) < 0:
            raise ValueError(f"Position: epoch and batch are counted from 0, not {self.epoch} and {self.batch}")


def stream(source: Batches, start: Position = Position(), epochs: int | None = None) -> Iterator[tuple[Any, Position]]:
    """Go through one epoch after the other. Each batch comes with the position *after* it, which is to be saved once
    the batch was learned from, and to be given as `start` when the run is taken up again.

    **Arguments:**

    - `source`: the batches of each epoch.
    - `start`: where to begin.
    - `epochs`: how many there are in all, counted from epoch 0 and not from `start`, so that a run that was taken up
        again ends where it would have ended. None: without end.

    **Returns:** an iterator of pairs of a batch and a `Position`.

    **Raises:** `ValueError` if an epoch has no batches.
    """
    k, first = start.epoch, start.batch
    while epochs is None or k < epochs:
        i = first
        for i, batch in enumerate(source.epoch(k, first), first + 1):
            yield batch, Position(k + 1) if i == source.batches_per_epoch else Position(k, i)
        if i == 0:
            raise ValueError(f"stream: epoch {k} has no batches")
        k, first = k + 1, 0


def check_start(call: str, k: int, start: int, count: int | None) -> None:
    """Refuse a place that an epoch can't be begun at. Right after its last batch it can, and is empty.

    **Arguments:**

    - `call`: for the message.
    - `k`: the epoch.
    - `start`: the number of a batch.
    - `count`: how many there are, None if that isn't known.

    **Raises:** `ValueError`.
    """
    if operator.index(k) < 0:
        raise ValueError(f"{call}: epochs are numbered from 0, not {k}")
    if operator.index(start) < 0 or (count is not None and start > count):
        raise ValueError(f"{call}: epoch {k} can't begin at batch {start} of {'unknown' if count is None else count}")
