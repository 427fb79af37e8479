"""Batches from whatever makes them: iterables, functions of the epoch, Grain's data sets and loaders."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Protocol, runtime_checkable

from ._batches import Batches, check_start


@runtime_checkable
class RandomAccess(Protocol):
    """A data set whose items are reached by number, such as Grain's `MapDataset`."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int, /) -> Any: ...


def as_batches(source: Any, batches_per_epoch: int | None = None) -> Batches:
    """Return a source of batches as `Batches`. Batches themselves are not looked at: they are handed on as they are.

    **Arguments:**

    - `source`: one of
        - a `Batches`, which is given back;
        - a function `epoch -> iterable of batches`. The one to choose if the order should change from epoch to epoch:
          `lambda k: grain.DataLoader(..., sampler=IndexSampler(..., seed=k, num_epochs=1))`;
        - a Grain `MapDataset` of batches. Any batch is reached at once, so taking up a run costs nothing; after
          `.shuffle`, Grain itself makes another order for each epoch;
        - an iterable that can be gone through again and again, as a list, a Grain `DataLoader` or `IterDataset`: each
          epoch goes through it once, or, with `batches_per_epoch`, all epochs are pieces of one walk that begins anew
          at its end. To begin amid it, the batches before are read and thrown away;
        - an iterator, with `batches_per_epoch`: as before, but there is no way back.
    - `batches_per_epoch`: how many batches an epoch has, from 1, where the source doesn't end by itself (as after
        Grain's `.repeat()`), or to say it where it doesn't know. A function must then give that many; of more, the rest
        isn't used.

    **Returns:** a `Batches`.

    **Raises:** `TypeError` if the source is none of these; `ValueError` if the number is below 1, isn't that of the
    source, or is needed and missing. When batches are drawn, `ValueError` if the source ends too early.
    """
    count = batches_per_epoch
    if isinstance(count, bool):
        raise TypeError(f"as_batches: batches_per_epoch must be a whole number, got {count}")
    if count is not None and operator.index(count) < 1:
        raise ValueError(f"as_batches: batches_per_epoch is at least 1, not {count}")
    if isinstance(source, Batches):
        if count not in (None, source.batches_per_epoch):
            raise ValueError(f"as_batches: the source has {source.batches_per_epoch} batches an epoch, not {count}")
        return source
    if isinstance(source, Mapping) or hasattr(source, "shape") or (type(source) is tuple and _arrays(source)):
        raise TypeError(f"as_batches: {_kind(source)} holds no batches; make ArrayBatches(arrays, batch_size) of it")
    if all(hasattr(source, name) for name in ("__getitem__", "__len__", "to_iter_dataset")):
        return _RandomAccess(source, count)
    if hasattr(source, "__next__"):
        if count is None:
            raise ValueError(
                "as_batches: an iterator is used up after one epoch; pass a list, a loader or a function "
                "epoch -> iterable, or say batches_per_epoch to cut it into epochs"
            )
        return _Pieces(source, count)
    if hasattr(source, "__iter__") or hasattr(source, "__getitem__"):
        return _EachEpoch(lambda k: source, _length(source)) if count is None else _Pieces(source, count)
    if callable(source):
        return _EachEpoch(source, count, exact=True)
    raise TypeError(f"as_batches: needs an iterable of batches or a function epoch -> iterable, not {_kind(source)}")


class _EachEpoch:
    """Each epoch goes through an iterable of its own, from its beginning."""

    def __init__(self, make: Callable[[int], Any], count: int | None, exact: bool = False) -> None:
        self._make = make
        self._limit = count if exact else None
        self.batches_per_epoch = count

    def epoch(self, k: int, start: int = 0) -> Iterator[Any]:
        check_start("epoch", k, start, self.batches_per_epoch)
        return self._from(k, start)

    def _from(self, k: int, start: int) -> Iterator[Any]:
        if start == self._limit:
            return
        i = 0
        for batch in self._make(k):
            if i >= start:
                yield batch
            i += 1
            if i == self._limit:
                return
        if i < start or self._limit is not None:
            raise ValueError(f"epoch: epoch {k} ended after {i} batches; {self._limit or start} were expected")


class _Pieces:
    """Epochs are pieces of one walk through an iterable, which begins anew when it ends."""

    def __init__(self, source: Iterable[Any], count: int) -> None:
        self._source = source
        self._forward_only = hasattr(source, "__next__")
        self._walk: Iterator[Any] | None = None
        self._at = 0  # the number, from 0 and over all epochs, of the batch that comes next
        self.batches_per_epoch = count

    def epoch(self, k: int, start: int = 0) -> Iterator[Any]:
        check_start("epoch", k, start, self.batches_per_epoch)
        first = k * self.batches_per_epoch
        # Each batch is asked for by number: two epochs that are gone through at the same time stay right.
        return (self._batch(i) for i in range(first + start, first + self.batches_per_epoch))

    def _batch(self, i: int) -> Any:
        if self._walk is None or i < self._at:
            if self._forward_only and self._at:
                raise ValueError(f"epoch: the iterator has come to batch {self._at} and can't go back to batch {i}")
            self._walk, self._at = iter(self._source), 0
        while self._at < i:
            self._next()
        return self._next()

    def _next(self) -> Any:
        assert self._walk is not None
        for again in (False, True):
            for batch in self._walk:
                self._at += 1
                return batch
            if again or self._forward_only:
                raise ValueError(f"epoch: the source ended after {self._at} batches; more were expected")
            self._walk = iter(self._source)


class _RandomAccess:
    """Grain's `MapDataset`: batch i of epoch k is item `k * n + i`, for which Grain makes the order of epoch k."""

    def __init__(self, source: RandomAccess, count: int | None) -> None:
        length = len(source)
        # What was repeated without end has sys.maxsize items for Grain, and that by B batches.
        if count is None and length >= 2**40:
            raise ValueError(
                "as_batches: the data set was repeated without end; leave out .repeat() or say batches_per_epoch"
            )
        self._source = source
        self.batches_per_epoch = length if count is None else count

    def epoch(self, k: int, start: int = 0) -> Iterator[Any]:
        check_start("epoch", k, start, self.batches_per_epoch)
        first = k * self.batches_per_epoch
        return (self._batch(i) for i in range(first + start, first + self.batches_per_epoch))

    def _batch(self, i: int) -> Any:
        batch = self._source[i]
        if batch is None:
            raise ValueError(
                f"epoch: item {i} of the data set was filtered out; pass its .to_iter_dataset(), which passes over such"
            )
        return batch


def _arrays(source: tuple[Any, ...]) -> bool:
    return all(hasattr(part, "shape") for part in source)


def _kind(source: object) -> str:
    return "a tuple of arrays" if type(source) is tuple else f"an object of type {type(source).__name__}"


def _length(source: object) -> int | None:
    try:
        return len(source)  # pyright: ignore[reportArgumentType]
    except (TypeError, NotImplementedError):
        return None
