"""The training data of a run: arrays that lie on the device, or batches that come in one by one."""

from __future__ import annotations

import dataclasses
import hashlib
import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, cast

import jax
import jax.tree_util as jtu
import numpy as np
from jaxtyping import PyTree

from ..core import is_data, see, taken
from ..data import ArrayBatches, Batches, DivisibleBatches, Split, as_batches
from ._checksums import bytes_of
from ._options import FitOptions
from ._types import Batch, is_whole
from ._warn import warn

SAMPLES = 128  # in a batch, if nothing is said


@dataclasses.dataclass(frozen=True)
class Chunk:
    """Batches of one form that follow each other: shared arrays and each network's rows of them, or the batches
    themselves.

    **Attributes:**

    - `arrays`: a tree of arrays `[N, ...]`; without rows `[batches, B, ...]`.
    - `rows`: of each network, `[batches, B]`: the samples of batch i are those of `rows[i]`. None: they are
        `arrays[i]`, for all networks.
    - `first`: the number in the epoch of batch 0 of these.
    - `start`, `stop`: the batches of the chunk are those from `start` to `stop`. A part of a chunk has the same arrays
        and rows, so that the compiled program is the same.
    - `part`: `(first, size)`, where the arrays hold a part of each batch: of `size` samples those from `first` on.
    """

    arrays: PyTree
    rows: Sequence[np.ndarray] | None
    first: int
    start: int
    stop: int
    part: tuple[int, int] | None = None

    @property
    def number(self) -> int:
        """The number in the epoch of the first batch."""
        return self.first + self.start

    @property
    def batches(self) -> int:
        """The number of batches."""
        return self.stop - self.start

    def split(self, batches: int) -> tuple[Chunk, Chunk]:
        """Return a chunk of the first batches, and one of the rest, which may have none."""
        at = min(self.start + batches, self.stop)
        return dataclasses.replace(self, stop=at), dataclasses.replace(self, start=at)


class InMemory:
    """Arrays on the device, in batches. Each network has an order of its own, from its seed.

    **Arguments:**

    - `arrays`: a tree of arrays `[N, ...]`.
    - `batch_size`: samples in a batch.
    - `seeds`: of each network.
    - `on_host`: leave the arrays on the host, from where several processes take a part each.
    """

    def __init__(self, arrays: PyTree, batch_size: int, seeds: Sequence[int], on_host: bool = False) -> None:
        self.orders, self.given = [ArrayBatches(arrays, batch_size, seed=s) for s in seeds], False
        self._place(arrays, on_host)

    @classmethod
    def of(cls, batches: ArrayBatches, networks: int, on_host: bool = False) -> InMemory:
        """Return a source of batches that have an order of their own, the same for all networks."""
        new = object.__new__(cls)
        new.orders, new.given = [batches] * networks, True
        new._place(batches.arrays, on_host)
        return new

    def _place(self, arrays: PyTree, on_host: bool) -> None:
        self.arrays = jtu.tree_map(_on_host, arrays) if on_host else placed(arrays)
        self.per_epoch: int | None = self.orders[0].batches_per_epoch

    def example(self) -> Batch:
        """Return one batch."""
        return placed(jtu.tree_map(lambda a: a[: self.orders[0].batch_size], self.arrays))

    def epoch(self, k: int, start: int) -> Iterator[Chunk]:
        """Go through an epoch, from batch number `start` on, in chunks as large as there are."""
        rows = [o.order(k) for o in self.orders]
        whole = len(rows[0])
        if start < whole:
            yield Chunk(self.arrays, rows, 0, start, whole)
        rest = [o.remainder(k) for o in self.orders]
        if len(rest[0]) and start <= whole:
            yield Chunk(self.arrays, [r[None] for r in rest], whole, 0, 1)

    def divide(self, own: Callable[[int], tuple[int, int]]) -> None:
        """Do nothing: of arrays the samples that are needed are read anyway."""

    def describe(self) -> dict[str, Any]:
        """Return, as plain data, what the run's config holds of it."""
        first = self.orders[0]
        arrays = jtu.tree_leaves(self.arrays)
        return {
            "arrays": [f"{a.dtype}{list(a.shape)}" for a in arrays],
            "sample": _digest(arrays),
            "batch_size": first.batch_size,
            "shuffle": first.shuffle,
            "drop_last": first.drop_last,
            **({"seed": first.seed} if self.given else {}),
        }

    def fingerprint(self) -> dict[str, Any]:
        """Return what `describe` leaves out since it takes a while: checksums of all arrays."""
        return fingerprint(self.arrays)


class Streamed:
    """Batches from any iterable, one at a time, the same ones for all networks.

    **Arguments:**

    - `source`: as `pcx.data.as_batches` takes it.
    - `name`: of the argument of `fit`, for errors.
    """

    def __init__(self, source: Batches | Iterable[Batch] | Callable[..., Iterable[Batch]], name: str = "train") -> None:
        self.source, self.name = as_batches(source), name
        self.per_epoch = self.source.batches_per_epoch
        self._first: list[Batch] = []
        self._walk: Iterator[Batch] | None = None  # through the first epoch, once its first batch has been looked at
        self._part: tuple[int, int, int] | None = None  # first and last of the samples that are read, and how many are

    def example(self) -> Batch:
        """Return the first batch. It is still the first that the first epoch gives, so that nothing is lost of what can
        be gone through only once.

        **Raises:** `ValueError` if there is none.
        """
        if not self._first:
            self._walk = iter(self.source.epoch(0))
            self._first = [self._placed(batch) for batch in itertools.islice(self._walk, 1)]
        if not self._first:
            raise ValueError(f"fit: the source of {self.name} is empty: it gives no batch")
        return self._first[0]

    def epoch(self, k: int, start: int) -> Iterator[Chunk]:
        """Go through an epoch, from batch number `start` on, in chunks of one batch.

        **Raises:** as `batches`.
        """
        for i, batch in enumerate(self.batches(k, start), start):
            part = None if self._part is None else (self._part[0], self._part[2])
            yield Chunk(jtu.tree_map(lambda a: a[None], batch), None, i, 0, 1, part)

    def divide(self, own: Callable[[int], tuple[int, int]]) -> None:
        """Read a part of every batch from here on, if the source gives one.

        **Arguments:**

        - `own`: gives the first and last of the samples that this process works on, of so many in a batch.
        """
        if isinstance(self.source, DivisibleBatches):
            size = len(jtu.tree_leaves(self.example())[0])
            first, last = own(size)
            self.source, self._part = self.source.part(first, last), (first, last, size)
            self._first, self._walk = [], None

    def batches(self, k: int, start: int = 0) -> Iterator[Batch]:
        """Go through the batches of an epoch, from number `start` on.

        **Raises:** `ValueError` if there is no batch in it.
        """
        any_batch = start > 0
        for batch in self._batches(k, start):
            any_batch = True
            yield self._checked(self._placed(batch))
        if not any_batch:
            raise ValueError(
                f"fit: {self.name} gave no batch in epoch {k + 1}: they must come anew every epoch. Give a list, a "
                "loader, or a function epoch -> iterable that makes a new iterator each time"
            )

    def _batches(self, k: int, start: int) -> Iterator[Batch]:
        walk, self._walk = self._walk, None
        if k == 0 and start == 0 and walk is not None:
            return itertools.chain(self._first, walk)
        return iter(self.source.epoch(k, start))

    def _checked(self, batch: Batch) -> Batch:
        """Refuse a part of a batch that is of another size than what was asked for."""
        if self._part is not None:
            first, last, size = self._part
            found = sorted({len(leaf) for leaf in jtu.tree_leaves(batch)})
            if found != [last - first]:
                raise ValueError(
                    f"fit: {self.name}.part({first}, {last}) must give that part of every batch of {size} samples, "
                    f"{last - first} of them, and it gave {' and '.join(map(str, found))}"
                )
        return batch

    def _placed(self, batch: Batch) -> Batch:
        if not isinstance(batch, (tuple, list)) or len(batch) != 2:
            got = f"{len(batch)} parts" if isinstance(batch, (tuple, list)) else type(batch).__name__
            raise TypeError(f"fit: {self.name} must give batches that are a pair (x, y), got {got}")
        return placed(batch)

    def describe(self) -> dict[str, Any]:
        """Return, as plain data, what the run's config holds of it."""
        return {"source": type(self.source).__name__, "batches_per_epoch": self.per_epoch}

    def fingerprint(self) -> dict[str, Any]:
        """Return nothing: batches that come one by one are not looked at before."""
        return {}


Source = InMemory | Streamed
"""Training data, as the loop takes it."""


def _digest(arrays: Sequence[jax.Array]) -> str:
    # Of a few samples: enough to see that the arrays are others, or in another order, at no cost.
    found = hashlib.sha256()
    for a in arrays:
        rows = np.unique(np.linspace(0, len(a) - 1, 64).astype(np.int64))
        found.update(np.ascontiguousarray(jax.device_get(a[rows])).tobytes())
    return found.hexdigest()[:16]


def fingerprint(arrays: PyTree) -> dict[str, Any]:
    """Return `arrays`, dtypes and shapes, and `sha256` of all bytes. Takes a second for 1 GB."""
    leaves = jtu.tree_leaves(arrays)
    found = hashlib.sha256()
    for a in leaves:
        found.update(bytes_of(jax.device_get(a)))
    return {"arrays": [f"{a.dtype}{list(a.shape)}" for a in leaves], "sha256": found.hexdigest()[:16]}


Data = Split | tuple[PyTree, PyTree] | Batches | Iterable[Batch] | Callable[..., Iterable[Batch]]
"""The forms of data that `fit` takes."""


def as_source(train: Data, options: FitOptions, seeds: Sequence[int], on_host: bool = False) -> Source:
    """Return a source from a `pcx.data.Split`, a pair of arrays, batches, or any iterable of batches.

    **Arguments:**

    - `on_host`: see `InMemory`.

    **Raises:** `TypeError` for a data set with several splits; `ValueError` for arrays that don't fit together.
    **Warns** of options that such a source leaves without an effect.
    """
    if hasattr(train, "train") and hasattr(train, "test"):
        raise TypeError("fit: give the split to train on, such as data.train, and the one to judge by as validation")
    if isinstance(train, ArrayBatches):
        _check_size(options, train.batch_size)
        return InMemory.of(train, len(seeds), on_host)
    arrays = as_arrays(train)
    if arrays is None and (hasattr(train, "shape") or _no_pair(train)):
        shape = list(getattr(train, "shape", ()))
        got = f"a tuple of {len(train)}" if isinstance(train, tuple) else f"an array of shape {shape}"
        raise TypeError(
            f"fit: arrays to train on are a pair (x, y), got {got}; where the network has no input, (None, y)"
        )
    if arrays is not None:
        size = SAMPLES if options.batch_size is None else options.batch_size
        _check_arrays(arrays, size, options.batch_size is not None)
        return InMemory(arrays, size, seeds, on_host)
    streamed = Streamed(cast(Batches, train))
    if options.batch_size is not None:
        _check_size(options, len(jtu.tree_leaves(streamed.example())[0]))
    if (options.batches_per_dispatch or 1) > 1:
        warn(
            f"fit: batches_per_dispatch={options.batches_per_dispatch} has no effect: batches that come one by one "
            "go to the device one by one"
        )
    return streamed


def _check_arrays(arrays: Batch, size: int, given: bool) -> None:
    """Refuse arrays that no batch can be made of, in the words of `fit`'s arguments."""
    lengths = {
        f"{name}{jtu.keystr(path)}": len(leaf)
        for name, part in zip("xy", arrays, strict=True)
        for path, leaf in jtu.tree_flatten_with_path(part)[0]
        if np.ndim(leaf)
    }
    if len(set(lengths.values())) > 1:
        found = ", ".join(f"{name} has {length}" for name, length in lengths.items())
        raise ValueError(f"fit: x and y must have the same number of samples, but {found}{see('shapes')}")
    least = min(lengths.values(), default=size)
    if is_whole(size) and least < size:
        said = f"batch_size={size}" if given else f"batch_size, {size} if it isn't given,"
        raise ValueError(f"fit: {said} is more than there are samples to train on, {least}: give a smaller one")


def _check_size(options: FitOptions, size: int) -> None:
    """Warn of a batch size that batches which are made already don't have."""
    if options.batch_size not in (None, size):
        warn(
            f"fit: batch_size={options.batch_size} has no effect: train comes in batches, of {size} samples. Leave it "
            "out, or make batches of that size"
        )


def _no_pair(train: object) -> bool:
    return type(train) is tuple and len(train) != 2 and all(hasattr(a, "shape") for a in train)


def _two_batches(source: Data) -> bool:
    """Return whether it is a list of two batches; `((a, b), (c, d))`, a tuple, is x and y, each made of two arrays."""
    return isinstance(source, list) and all(isinstance(each, (tuple, list)) and len(each) == 2 for each in source)


def as_arrays(source: Data) -> Batch | None:
    """Return `(x, y)` of a split or a pair of arrays; None if it is something else."""
    if hasattr(source, "x") and hasattr(source, "y"):
        return source.x, source.y  # type: ignore[union-attr]
    if isinstance(source, (tuple, list)) and len(source) == 2 and not _two_batches(source):
        leaves = jtu.tree_leaves(tuple(source))
        if leaves and all(isinstance(a, (np.ndarray, jax.Array)) for a in leaves):
            return source[0], source[1]
        if leaves and all(is_data(a) for a in leaves):  # lists, tensors of another library
            return placed(source)
    return None


def _on_host(a: PyTree) -> np.ndarray:
    """Return an array of NumPy, with JAX's dtype; one that a file holds stays there."""
    if type(a) in (np.ndarray, np.memmap) and a.dtype.isnative and jax.dtypes.canonicalize_dtype(a.dtype) == a.dtype:
        return a
    return np.asarray(placed(a))


def placed(batch: PyTree) -> PyTree:
    """Return a batch, or all samples, as arrays of JAX; of a pair, errors say which of x and y they are about."""
    if isinstance(batch, (tuple, list)) and len(batch) == 2:
        return taken("fit", "x", batch[0]), taken("fit", "y", batch[1])
    return taken("fit", "the batch", batch)
