"""Numbers as JSON takes them."""

from __future__ import annotations

import math

from jax.typing import ArrayLike


def finite(value: ArrayLike) -> float | None:
    """Return a number on the host; None for what is not finite.

    **Arguments:**

    - `value`: a number, or an array without axes.
    """
    number = float(value)  # pyright: ignore[reportArgumentType]
    return number if math.isfinite(number) else None
