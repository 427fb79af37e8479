"""Warnings in the name of the program that uses pcx."""

from __future__ import annotations

import sys
import warnings

_INSIDE = ("pcx", "jax", "equinox")  # a model is called from within JAX, too


def warn(text: str, category: type[Warning] = UserWarning) -> None:
    """Warn in the name of the line that called into this package.

    **Arguments:**

    - `text`: what is said.
    - `category`: the class of the warning.
    """
    frame, level = sys._getframe(), 1
    while frame.f_back is not None and frame.f_globals.get("__name__", "").partition(".")[0] in _INSIDE:
        frame, level = frame.f_back, level + 1
    warnings.warn(text, category, stacklevel=level)
