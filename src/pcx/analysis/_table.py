"""Tables of text for terminals."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Shaped


def cell(x: Shaped[np.ndarray, ...] | None, digits: int = 3) -> str:
    """Return a number, or the mean of several, in short; nothing for None or NaN.

    **Arguments:**

    - `x`: the number.
    - `digits`: how many of it.
    """
    if x is None or np.all(np.isnan(x)):
        return ""
    return f"{float(np.nanmean(np.asarray(x, float))):.{digits}g}"


def table(heads: Sequence[str], rows: Sequence[Sequence[str]], left: int = 1) -> list[str]:
    """Return a table line by line: the first column to the left, others to the right.

    **Arguments:**

    - `heads`: the columns' names.
    - `rows`: their texts, as many in each.
    - `left`: how many columns, from the first on, are flush left.
    """
    widths = [max(len(row[i]) for row in [heads, *rows]) for i in range(len(heads))]

    def cells(row: Sequence[str]) -> list[str]:
        return [c.ljust(w) if i < left else c.rjust(w) for i, (c, w) in enumerate(zip(row, widths, strict=True))]

    return ["  ".join(cells(row)).rstrip() for row in [heads, *rows]]
