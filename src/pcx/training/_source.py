"""What a run is trained on: arrays that lie on the device, or batches that come in one by one."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from typing import Any

import jax
import jax.tree_util as jtu
import numpy as np

from ..core import is_data, taken
from ..data import ArrayBatches, as_batches
from ._checksums import bytes_of
from ._first import FirstSeen


class Span:
    """Batches of one form: arrays, and each network's rows of them."""

    def __init__(self, arrays: Any, rows: Sequence[np.ndarray], first: int) -> None:
        self.arrays, self.rows, self.first = arrays, rows, first

    @property
    def count(self) -> int:
        """How many batches."""
        return len(self.rows[0])


class InMemory:
    """Arrays on the device. Each network has an order of its own, from its seed."""

    def __init__(self, arrays: Any, batch_size: int, seeds: Sequence[int]) -> None:
        self.orders, self.given = [ArrayBatches(arrays, batch_size, seed=s) for s in seeds], False
        self._place(arrays)

    @classmethod
    def of(cls, batches: ArrayBatches, networks: int) -> InMemory:
        """From batches with an order of their own, the same for all networks."""
        new = object.__new__(cls)
        new.orders, new.given = [batches] * networks, True
        new._place(batches.arrays)
        return new

    def _place(self, arrays: Any) -> None:
        self.arrays = placed(arrays)
        self.per_epoch: int | None = self.orders[0].batches_per_epoch

    def example(self) -> Any:
        """One batch."""
        return jtu.tree_map(lambda a: a[: self.orders[0].batch_size], self.arrays)

    def epoch(self, k: int, start: int) -> Iterator[Span]:
        """The batches of an epoch from number `start` on."""
        rows = [o.order(k) for o in self.orders]
        if start < len(rows[0]):
            yield Span(self.arrays, rows, 0)
        rest = [o.remainder(k) for o in self.orders]
        if len(rest[0]):
            yield Span(self.arrays, [r[None] for r in rest], len(rows[0]))

    def describe(self) -> dict[str, Any]:
        """What it is, for the run's config."""
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


class Streamed:
    """Batches from any iterable, a few at a time."""

    def __init__(self, source: Any, networks: int) -> None:
        self.source, self.networks = as_batches(source), networks
        self.per_epoch = self.source.batches_per_epoch
        self._epochs = FirstSeen(self.source)

    def example(self) -> Any:
        """One batch."""
        first = self._epochs.first()
        if first is None:
            raise ValueError("fit: the source of training batches is empty")
        return placed(first)

    def epoch(self, k: int, start: int) -> Iterator[Span]:
        """The batches of an epoch from number `start` on."""
        i = start - 1
        for i, batch in enumerate(self._epochs.epoch(k, start), start):
            arrays = placed(batch)
            size = np.shape(jtu.tree_leaves(arrays)[0])[0]
            yield Span(arrays, [np.arange(size, dtype=np.int32)[None]] * self.networks, i)
        if i < 0:
            raise ValueError(
                f"fit: the source of training batches gave none in epoch {k + 1}: it must come anew every epoch. Give "
                "a list, a loader, or a function epoch -> iterable that makes a new iterator each time"
            )

    def describe(self) -> dict[str, Any]:
        """What it is, for the run's config."""
        return {"source": type(self.source).__name__, "batches_per_epoch": self.per_epoch}


def _digest(arrays: Sequence[Any]) -> str:
    # Of a few samples: enough to see that the arrays are others, or in another order, at no cost.
    found = hashlib.sha256()
    for a in arrays:
        rows = np.unique(np.linspace(0, len(a) - 1, 64).astype(np.int64))
        found.update(np.ascontiguousarray(jax.device_get(a[rows])).tobytes())
    return found.hexdigest()[:16]


def fingerprint(arrays: Any) -> dict[str, Any]:
    """What arrays are, to the last bit: `arrays`, dtypes and shapes, and `sha256`. Takes a second for 1 GB."""
    leaves = jtu.tree_leaves(arrays)
    found = hashlib.sha256()
    for a in leaves:
        found.update(bytes_of(jax.device_get(a)))
    return {"arrays": [f"{a.dtype}{list(a.shape)}" for a in leaves], "sha256": found.hexdigest()[:16]}


def as_source(train: Any, batch_size: int, seeds: Sequence[int]) -> InMemory | Streamed:
    """A source from a `pcx.data.Split`, a pair of arrays, batches, or any iterable of batches.

    **Raises:** `TypeError` for a data set with several splits; `ValueError` for arrays that don't fit together.
    """
    if hasattr(train, "train") and hasattr(train, "test"):
        raise TypeError("fit: give the split to train on, such as data.train, and the one to judge by as validation")
    if isinstance(train, ArrayBatches):
        return InMemory.of(train, len(seeds))
    arrays = as_arrays(train)
    if arrays is None and (hasattr(train, "shape") or _no_pair(train)):
        got = f"a tuple of {len(train)}" if type(train) is tuple else f"an array of shape {list(train.shape)}"
        raise TypeError(
            f"fit: arrays to train on are a pair (x, y), got {got}; where the network has no input, (None, y)"
        )
    return Streamed(train, len(seeds)) if arrays is None else InMemory(arrays, batch_size, seeds)


def _no_pair(train: Any) -> bool:
    return type(train) is tuple and len(train) != 2 and all(hasattr(a, "shape") for a in train)


def _two_batches(source: Any) -> bool:
    """Whether it is a list of two batches; `((a, b), (c, d))`, a tuple, is x and y, each made of two arrays."""
    return isinstance(source, list) and all(isinstance(each, (tuple, list)) and len(each) == 2 for each in source)


def as_arrays(source: Any) -> tuple[Any, Any] | None:
    """`(x, y)` from a split or a pair of arrays; None if it is something else."""
    if hasattr(source, "x") and hasattr(source, "y"):
        return source.x, source.y
    if isinstance(source, (tuple, list)) and len(source) == 2 and not _two_batches(source):
        leaves = jtu.tree_leaves(tuple(source))
        if leaves and all(isinstance(a, (np.ndarray, jax.Array)) for a in leaves):
            return source[0], source[1]
        if leaves and all(is_data(a) for a in leaves):  # lists, tensors of another library
            return placed(source)
    return None


def placed(batch: Any) -> Any:
    """A batch, or all samples, as arrays of JAX; a pair has the names x and y in what is said of it."""
    if isinstance(batch, (tuple, list)) and len(batch) == 2:
        return taken("fit", "x", batch[0]), taken("fit", "y", batch[1])
    return taken("fit", "the batch", batch)
