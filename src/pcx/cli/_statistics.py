"""Means, deviations, and how sure a difference is."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from typing import Any


def moments(values: Sequence[float | None]) -> dict[str, Any]:
    """Mean and sample standard deviation (n - 1) of the values that are there, and how many are."""
    there = [v for v in values if v is not None]
    return {
        "n": len(there),
        "mean": statistics.fmean(there) if there else None,
        "std": statistics.stdev(there) if len(there) > 1 else None,
    }


def paired(values: Sequence[float | None], others: Sequence[float | None], level: float = 0.95) -> dict[str, Any]:
    """The mean of the differences `values[i] - others[i]` with the confidence interval of Student's t: mean ± t s /
    sqrt(n), t with n - 1 degrees of freedom. Pairs of which one is missing are left out.

    **Returns:** `n`, `mean`, `std`, `low`, `high`; None where there are too few pairs.
    """
    pairs = zip(values, others, strict=True)
    found = moments([a - b for a, b in pairs if a is not None and b is not None])
    low = high = None
    if found["std"] is not None:
        half = float(_t(found["n"] - 1, (1 + level) / 2)) * found["std"] / math.sqrt(found["n"])
        low, high = found["mean"] - half, found["mean"] + half
    return found | {"low": low, "high": high}


def _t(degrees: int, p: float) -> Any:
    # The quantile of Student's t; scipy.stats would take seconds to import.
    from scipy.special import stdtrit

    return stdtrit(degrees, p)
