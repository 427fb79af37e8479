"""Held-out data, by which a run is judged after every epoch."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any, cast

import jax.tree_util as jtu
import numpy as np
from jaxtyping import PyTree

from ..data import ArrayBatches, Batches
from ._ensemble import Ensemble
from ._history import means
from ._source import Data, Streamed, as_arrays, fingerprint, placed
from ._types import Batch

_JUDGED = 512  # held-out samples looked at together


class HeldOut:
    """Held-out samples, judged after every epoch: arrays on the device are a single batch of all.

    **Arguments:**

    - `source`: batches `(x, y)`, which come anew after every epoch.
    - `whole`: all of them, where they are known beforehand; then labels are looked at once.
    """

    def __init__(self, source: Streamed, whole: Sequence[Batch] | None) -> None:
        self._source, self._whole = source, whole
        self._check_labels: Callable[[PyTree], None] = lambda y: None

    def check(self, ensemble: Ensemble, check_labels: Callable[[PyTree], None]) -> None:
        """Refuse samples that can't be judged; of batches that come one by one, as far as the first one tells.

        **Raises:** `TypeError` or `ValueError`, with the reason.
        """
        first = self._source.example()
        for batch in [first] if self._whole is None else map(placed, self._whole):
            samples(batch)
            check_labels(batch[1])
        ensemble.try_judge(first, *rows_of(samples(first), ensemble.layout.batches))
        if self._whole is None:
            self._check_labels = check_labels

    def describe(self) -> dict[str, Any]:
        """Describe the samples: those that are known beforehand by checksums of the arrays that they are parts of;
        others by their form, since they come one by one."""
        if self._whole is not None:
            parts = [placed(batch) for batch in self._whole]
            return fingerprint(parts[0] if len(parts) == 1 else jtu.tree_map(lambda *a: np.concatenate(a), *parts))
        form = [f"{a.dtype}{list(a.shape[1:])}" for a in jtu.tree_leaves(self._source.example())]
        return {**self._source.describe(), "each": form}

    def first(self) -> dict[str, Any] | None:
        """Return checksums of the first batch, where `describe` doesn't have them."""
        return None if self._whole is not None else fingerprint(self._source.example())

    def some(self, most: int) -> Batch:
        """Return the first of the samples, always the same ones.

        **Arguments:**

        - `most`: how many there may be.
        """
        return jtu.tree_map(lambda a: a[:most], self._source.example())

    def judge(self, ensemble: Ensemble, epoch: int) -> list[dict[str, float]]:
        """Return means of loss and metrics over all samples, for each network.

        **Raises:** `ValueError` if there are none this time, or for labels outside the classes.
        """
        total: list[dict[str, float]] = [{} for _ in range(ensemble.size)]
        size = 0
        for batch in self._source.batches(epoch):
            count = samples(batch)
            self._check_labels(batch[1])
            sums = ensemble.judge(batch, *rows_of(count, ensemble.layout.batches))
            total = [{k: t.get(k, 0.0) + v for k, v in s.items()} for t, s in zip(total, sums, strict=True)]
            size += count
        return [means(sums, size) for sums in total]


def as_held_out(validation: Data | None) -> HeldOut | None:
    """Return held-out data from a `pcx.data.Split`, a pair of arrays, batches, or any iterable of batches. Of
    `ArrayBatches` every sample counts, those that `drop_last` leaves out of a batch included.

    **Raises:** `TypeError` or `ValueError` for what is none of these, or can be gone through only once.
    """
    if validation is None:
        return None
    arrays = validation.arrays if isinstance(validation, ArrayBatches) else as_arrays(validation)
    if arrays is not None:
        samples(arrays)
        whole = [placed(arrays)]
        return HeldOut(Streamed(whole, "validation"), whole)
    if hasattr(validation, "train") and hasattr(validation, "test"):
        raise TypeError("fit: give the split to judge by as validation, such as data.test")
    try:
        return HeldOut(
            Streamed(cast(Batches, validation), "validation"), validation if isinstance(validation, list) else None
        )
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
def rows_of(n: int, parts: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """Return rows that go through n samples in batches of one size, `[batches, B]`, and which of them count.

    **Arguments:**

    - `parts`: what B is a multiple of.
    """
    size = -(-min(_JUDGED, n) // parts) * parts
    count = -(-n // size)
    flat = np.arange(count * size, dtype=np.int32)
    return np.minimum(flat, n - 1).reshape(count, size), (flat < n).reshape(count, size)
