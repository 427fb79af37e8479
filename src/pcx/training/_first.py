"""A source whose first batch is looked at before it is gone through."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

from ..data import Batches


class FirstSeen:
    """A source whose first batch is looked at before: it is still the first that the first epoch gives, so that nothing
    is lost of what can be gone through only once.

    **Arguments:** `source`, of batches.
    """

    def __init__(self, source: Batches) -> None:
        self.source = source
        self._walk: Iterator[Any] | None = None
        self._first: list[Any] = []

    def first(self) -> Any:
        """Return the first batch; None if there is none."""
        if self._walk is None and not self._first:
            self._walk = iter(self.source.epoch(0))
            self._first = list(itertools.islice(self._walk, 1))
        return self._first[0] if self._first else None

    def epoch(self, k: int, start: int) -> Iterator[Any]:
        """Go through an epoch, from batch number `start` on."""
        walk, self._walk = self._walk, None
        if k == 0 and start == 0 and walk is not None:
            return itertools.chain(self._first, walk)
        return iter(self.source.epoch(k, start))
