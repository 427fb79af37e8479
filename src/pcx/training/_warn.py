"""Warnings of training."""

from __future__ import annotations

from .. import core


def warn(text: str, category: type[Warning] = RuntimeWarning) -> None:
    """Warn in the name of the line that called into this package.

    **Arguments:**

    - `text`: what is said.
    - `category`: the class of the warning.
    """
    core.warn(text, category)
