"""What a run is judged on after every epoch: arrays that lie on the device, or batches that come in one by one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import jax.tree_util as jtu
import numpy as np

from ..data import ArrayBatches, Batches, as_batches
from ._crew import Crew
from ._first import FirstSeen
from ._history import means
from ._loop import held_out_rows
from ._source import as_arrays, fingerprint, placed

_JUDGED = 512  # held-out samples looked at together


class HeldArrays:
    """Held-out samples on the device.

    **Arguments:** `arrays`, a tree of arrays `[N, ...]`.
    """

    def __init__(self, arrays: Any) -> None:
        self.arrays = placed(arrays)
        self.size = samples(arrays)
        self._rows = held_out_rows(self.size, min(_JUDGED, self.size))

    def check(self, crew: Crew, check_labels: Callable[[Any], None]) -> None:
        """Refuse samples that can't be judged.

        **Raises:** `ValueError`, with the reason.
        """
        check_labels(self.arrays[1])
        crew.try_judge(self.arrays, *self._rows)

    def describe(self) -> dict[str, Any]:
        """What the samples are, to the last bit."""
        return fingerprint(self.arrays)

    def first(self) -> None:
        """Nothing is left to compare that `describe` doesn't."""

    def judge(self, crew: Crew, epoch: int) -> list[dict[str, float]]:
        """Means of loss and metrics over the samples, for each network."""
        return [means(sums, self.size) for sums in crew.judge(self.arrays, *self._rows)]


class HeldStream:
    """Held-out batches that come in anew after every epoch, and need not fit into memory.

    **Arguments:**

    - `source`: batches `(x, y)`.
    - `whole`: all of them, if they lie in a list.
    """

    def __init__(self, source: Batches, whole: Sequence[Any] | None = None) -> None:
        self._epochs = FirstSeen(source)
        self._whole = whole
        self._check_labels: Callable[[Any], None] = lambda y: None

    def check(self, crew: Crew, check_labels: Callable[[Any], None]) -> None:
        """Refuse batches that can't be judged, as far as the first one tells.

        **Raises:** `TypeError` or `ValueError`, with the reason.
        """
        first = self._epochs.first()
        if first is None:
            raise ValueError("fit: the source of validation batches is empty")
        self._check_labels = check_labels
        arrays, rows, counts = self._placed(first)
        crew.try_judge(arrays, rows, counts)

    def describe(self) -> dict[str, Any]:
        """What the batches are: those of a list as the arrays that they are parts of; of others the form, since they
        come one by one."""
        if self._whole is not None:
            parts = [placed(tuple(batch)) for batch in self._whole]
            return fingerprint(jtu.tree_map(lambda *each: np.concatenate(each), *parts))
        source = self._epochs.source
        form = [f"{a.dtype}{list(a.shape[1:])}" for a in jtu.tree_leaves(placed(tuple(self._epochs.first())))]
        return {"source": type(source).__name__, "batches_per_epoch": source.batches_per_epoch, "each": form}

    def first(self) -> dict[str, Any] | None:
        """What the first batch is, to the last bit, where `describe` doesn't say it."""
        return None if self._whole is not None else fingerprint(placed(tuple(self._epochs.first())))

    def judge(self, crew: Crew, epoch: int) -> list[dict[str, float]]:
        """Means of loss and metrics over the samples of all batches, for each network.

        **Raises:** `ValueError` if there are none this time, or for labels outside the classes.
        """
        total: list[dict[str, float]] = [{} for _ in range(crew.size)]
        size = 0
        for batch in self._epochs.epoch(epoch, 0):
            arrays, rows, counts = self._placed(batch)
            sums = crew.judge(arrays, rows, counts)
            total = [{k: t.get(k, 0.0) + v for k, v in s.items()} for t, s in zip(total, sums, strict=True)]
            size += samples(arrays)
        if not size:
            raise ValueError(
                f"fit: validation gave no batch after epoch {epoch + 1}: it must come anew after every epoch. Give a "
                "list, a loader, or a function epoch -> iterable that makes a new iterator each time"
            )
        return [means(sums, size) for sums in total]

    def _placed(self, batch: Any) -> tuple[Any, Any, Any]:
        """A batch on the device, and its rows."""
        if not isinstance(batch, (tuple, list)) or len(batch) != 2:
            got = f"{len(batch)} parts" if isinstance(batch, (tuple, list)) else type(batch).__name__
            raise TypeError(f"fit: validation must give batches that are a pair (x, y), got {got}")
        size = samples(tuple(batch))
        arrays = placed(tuple(batch))
        self._check_labels(arrays[1])
        return arrays, *held_out_rows(size, min(_JUDGED, size))


def as_held_out(validation: Any) -> HeldArrays | HeldStream | None:
    """What a run is judged on, from a `pcx.data.Split`, a pair of arrays, batches, or any iterable of batches. Of
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


def samples(arrays: Any) -> int:
    """How many held-out samples a tree of arrays holds.

    **Raises:** `ValueError` if there are none, or its arrays differ.
    """
    lengths = sorted({len(leaf) if np.ndim(leaf) else 0 for leaf in jtu.tree_leaves(arrays)})
    if len(lengths) != 1 or not lengths[0]:
        raise ValueError(f"fit: validation must be arrays of the same number of samples, at least 1; found {lengths}")
    return lengths[0]
