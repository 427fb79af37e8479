"""Paths that a user gives."""

from __future__ import annotations

import os
from pathlib import Path


def given_path(call: str, path: str | os.PathLike[str]) -> Path:
    """Return a path that was given by a user.

    **Arguments:**

    - `call`: for the message.

    **Raises:** `TypeError` for what is no path; `ValueError` for an empty one, which would be taken for the folder that
    the program runs in.
    """
    if not isinstance(path, (str, os.PathLike)):
        got: object = path
        said = repr(got) if isinstance(got, (int, float, bytes, type(None))) else type(got).__name__
        raise TypeError(f"{call} must be a path, got {said}")
    if not os.fspath(path):
        raise ValueError(f"{call} is an empty path; '.' is the folder that the program runs in")
    return Path(path)
