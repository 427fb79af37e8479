"""Held-out data, by which a run is judged after every epoch: arrays on the device, or batches that come one by one."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import jax.tree_util as jtu
import numpy as np
from jaxtyping import PyTree

from ..data import ArrayBatches, Batches, as_batches
from ._ensemble import Ensemble
from ._first import FirstSeen
from ._history import means
from ._source import Data, as_arrays, fingerprint, placed
from ._types import Batch

_JUDGED = 512  # held-out samples looked at together


class HeldArrays:
    """Held-out samples on the device.

    **Arguments:** `arrays`, a tree of arrays `[N, ...]`.
    """

    def __init__(self, arrays: PyTree) -> None:
        self.arrays = placed(arrays)
        self.size = samples(arrays)
        self._rows = rows_of(self.size)

    def check(self, ensemble: Ensemble, check_labels: Callable[[PyTree], None]) -> None:
        """Refuse samples that can't be judged.

        **Raises:** `ValueError`, with the reason.
        """
        check_labels(self.arrays[1])
        ensemble.try_judge(self.arrays, *self._rows)

    def describe(self) -> dict[str, Any]:
        """Return checksums of all samples."""
        return fingerprint(self.arrays)

    def first(self) -> None:
        """Return nothing: `describe` says all."""

    def judge(self, ensemble: Ensemble, epoch: int) -> list[dict[str, float]]:
        """Return means of loss and metrics over the samples, for each network."""
        return [means(sums, self.size) for sums in ensemble.judge(self.arrays, *self._rows)]


class HeldStream:
    """Held-out batches that come in anew after every epoch, and need not fit into memory.

    **Arguments:**

    - `source`: batches `(x, y)`.
    - `whole`: all of them, if they lie in a list.
    """

    def __init__(self, source: Batches, whole: Sequence[Batch] | None = None) -> None:
        self._epochs = FirstSeen(source)
        self._whole = whole
        self._check_labels: Callable[[PyTree], None] = lambda y: None

    def check(self, ensemble: Ensemble, check_labels: Callable[[PyTree], None]) -> None:
        """Refuse batches that can't be judged, as far as the first one tells.

        **Raises:** `TypeError` or `ValueError`, with the reason.
        """
        first = self._epochs.first()
        if first is None:
            raise ValueError("fit: the source of validation batches is empty")
        self._check_labels = check_labels
        arrays, rows, counts = self._placed(first)
        ensemble.try_judge(arrays, rows, counts)

    def describe(self) -> dict[str, Any]:
        """Describe the batches: those of a list by checksums of the arrays that they are parts of; others by their
        form, since they come one by one."""
        if self._whole is not None:
            parts = [placed(tuple(batch)) for batch in self._whole]
            return fingerprint(jtu.tree_map(lambda *each: np.concatenate(each), *parts))
        source = self._epochs.source
        form = [f"{a.dtype}{list(a.shape[1:])}" for a in jtu.tree_leaves(placed(tuple(self._epochs.first())))]
        return {"source": type(source).__name__, "batches_per_epoch": source.batches_per_epoch, "each": form}

    def first(self) -> dict[str, Any] | None:
        """Return checksums of the first batch, where `describe` doesn't have them."""
        return None if self._whole is not None else fingerprint(placed(tuple(self._epochs.first())))

    def judge(self, ensemble: Ensemble, epoch: int) -> list[dict[str, float]]:
        """Return means of loss and metrics over the samples of all batches, for each network.

        **Raises:** `ValueError` if there are none this time, or for labels outside the classes.
        """
        total: list[dict[str, float]] = [{} for _ in range(ensemble.size)]
        size = 0
        for batch in self._epochs.epoch(epoch, 0):
            arrays, rows, counts = self._placed(batch)
            sums = ensemble.judge(arrays, rows, counts)
            total = [{k: t.get(k, 0.0) + v for k, v in s.items()} for t, s in zip(total, sums, strict=True)]
            size += samples(arrays)
        if not size:
            raise ValueError(
                f"fit: validation gave no batch after epoch {epoch + 1}: it must come anew after every epoch. Give a "
                "list, a loader, or a function epoch -> iterable that makes a new iterator each time"
            )
        return [means(sums, size) for sums in total]

    def _placed(self, batch: Batch) -> tuple[PyTree, jax.Array, jax.Array]:
        """A batch on the device, and its rows."""
        if not isinstance(batch, (tuple, list)) or len(batch) != 2:
            got = f"{len(batch)} parts" if isinstance(batch, (tuple, list)) else type(batch).__name__
            raise TypeError(f"fit: validation must give batches that are a pair (x, y), got {got}")
        size = samples(tuple(batch))
        arrays = placed(tuple(batch))
        self._check_labels(arrays[1])
        return arrays, *rows_of(size)


def as_held_out(validation: Data | None) -> HeldArrays | HeldStream | None:
    """Return held-out data from a `pcx.data.Split`, a pair of arrays, batches, or any iterable of batches. Of
    `ArrayBatches` every sample counts, those that `drop_last` leaves out of a batch included.

    **Raises:** `TypeError` or `ValueError` for what is none of these, or can be gone through only once.
    """
    if validation is None:
        return None
    arrays = validation.arrays if isinstance(validation, ArrayBatches) else as_arrays(validation)
    if arrays is not None:
        samples(arrays)
        return HeldArrays(tuple(arrays))
    if hasattr(validation, "train") and hasattr(validation, "test"):
        raise TypeError("fit: give the split to judge by as validation, such as data.test")
    try:
        return HeldStream(as_batches(validation), validation if isinstance(validation, list) else None)
    except (TypeError, ValueError) as e:
        raise TypeError(
            "fit: validation must be a split or a pair of arrays (x, y), or batches that come anew after every epoch "
            f"(a list, a loader, a function epoch -> iterable): {e}"
        ) from e


def samples(arrays: PyTree) -> int:
    """Return how many held-out samples a tree of arrays holds.

    **Raises:** `ValueError` if there are none, or its arrays differ.
    """
    lengths = sorted({len(leaf) if np.ndim(leaf) else 0 for leaf in jtu.tree_leaves(arrays)})
    if len(lengths) != 1 or not lengths[0]:
        raise ValueError(f"fit: validation must be arrays of the same number of samples, at least 1; found {lengths}")
    return lengths[0]


@functools.lru_cache(maxsize=64)
def rows_of(n: int) -> tuple[jax.Array, jax.Array]:
    """Return rows that go through n samples in batches of one size, `[batches, B]`, and which of them count."""
    size = min(_JUDGED, n)
    count = -(-n // size)
    flat = jnp.arange(count * size, dtype=jnp.int32)
    return jnp.minimum(flat, n - 1).reshape(count, size), (flat < n).reshape(count, size)
