"""Means and deviations of what is there."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from typing import Any


def moments(values: Sequence[float | None]) -> dict[str, Any]:
    """Return mean and sample standard deviation (n - 1) of the values that are there, and how many are.

    **Arguments:**

    - `values`: None where there is none.

    **Returns:** `n`, `mean`, `std`; None where there are too few values.
    """
    there = [v for v in values if v is not None]
    return {
        "n": len(there),
        "mean": statistics.fmean(there) if there else None,
        "std": statistics.stdev(there) if len(there) > 1 else None,
    }
