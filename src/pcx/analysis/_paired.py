"""The mean of differences, and its confidence interval by Student's t."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from ..core import moments


def paired(values: Sequence[float | None], others: Sequence[float | None], level: float = 0.95) -> dict[str, Any]:
    """Return the mean of the differences `values[i] - others[i]` with the confidence interval of Student's t: mean ± t
    s / sqrt(n), t with n - 1 degrees of freedom. Pairs of which one is missing are left out.

    **Arguments:**

    - `values`, `others`: of the pairs; None where there is none.
    - `level`: of confidence.

    **Returns:** `n`, `mean`, `std`, `low`, `high`; None where there are too few pairs.
    """
    pairs = zip(values, others, strict=True)
    found = moments([a - b for a, b in pairs if a is not None and b is not None])
    low = high = None
    if found["std"] is not None:
        half = float(student(found["n"] - 1, level)) * found["std"] / math.sqrt(found["n"])
        low, high = found["mean"] - half, found["mean"] + half
    return found | {"low": low, "high": high}


def student(freedom: Any, level: float) -> Any:
    """Return by how many standard errors the confidence interval of a mean reaches to each side.

    **Arguments:**

    - `freedom`: degrees of freedom, numbers less 1; a number or an array.
    - `level`: of the interval.
    """
    from scipy.special import stdtrit  # scipy.stats would take seconds to import

    return stdtrit(freedom, (1 + level) / 2)
