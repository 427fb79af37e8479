"""The number of mapped axes that the code that runs now is inside of.

A value node sums its energy over the axes of a sample, and needs to know whether it sees a sample or a batch.
"""

from __future__ import annotations

import contextlib
import contextvars
from collections.abc import Iterator

_depth = contextvars.ContextVar("pcx_vmap_depth", default=0)


def vmap_depth() -> int:
    """Return how many tracked vmaps the code that runs now is inside of."""
    return _depth.get()


def in_vmap() -> bool:
    """Return whether the code that runs now is inside a tracked vmap."""
    return vmap_depth() > 0


@contextlib.contextmanager
def one_more_vmap() -> Iterator[None]:
    """Count the code inside as that of a mapped function."""
    token = _depth.set(_depth.get() + 1)
    try:
        yield
    finally:
        _depth.reset(token)
