"""Sizes along the spatial axes of a layer, as users give them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

import numpy as np

Size: TypeAlias = int | np.integer | Sequence[int]
"""One integer for all spatial axes, or one for each."""

Padding: TypeAlias = str | int | np.integer | Sequence[int] | Sequence[Sequence[int]]
"""One integer for all spatial axes, one or a pair (before, after) for each, or the name of a padding."""

_Nested: TypeAlias = "str | int | tuple[_Nested, ...]"


def hashable(size: Padding) -> _Nested:
    """Return sizes with tuples in the place of lists: Equinox hashes them.

    **Arguments:**

    - `size`: an integer, a string, or a sequence of these or of sequences.
    """
    return tuple([hashable(v) for v in size]) if isinstance(size, (list, tuple)) else size  # type: ignore[return-value]
