"""Warnings of training."""

from __future__ import annotations

import os
import sys
import warnings

_HERE = os.path.dirname(__file__)


def warn(text: str, category: type[Warning] = RuntimeWarning) -> None:
    """Warn in the name of the line that called into this package.

    **Arguments:**

    - `text`: what is said.
    - `category`: the class of the warning.
    """
    frame, level = sys._getframe(), 1
    while frame.f_back is not None and os.path.dirname(frame.f_code.co_filename) == _HERE:
        frame, level = frame.f_back, level + 1
    warnings.warn(text, category, stacklevel=level)
