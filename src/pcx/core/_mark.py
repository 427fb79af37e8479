"""Marks: what a trace learns of one param, be it data or a static.

Every param that a traced function holds is a copy with a mark, which is told of reads and writes. After the trace the
marks say which values the function needed (read before it wrote them: they are what its result depends on) and which it
wrote. A mark has a parent where transforms are nested: what the inner function needs, the outer one reads.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol, runtime_checkable


@runtime_checkable
class Marked(Protocol):
    """The interface of what a mark is told of: a param."""

    _value: Any
    _mark: Any


class _Absent:
    """Stands for the value of a param that was not passed in."""

    def __repr__(self) -> str:
        return "<not passed in>"


ABSENT: Any = _Absent()


class NeedsInput(BaseException):
    """A param was read whose value was not passed in, as no earlier trace had needed it. Never leaves a transform."""


class Mark:
    """Says of one param in a trace whether its value at entry was needed, and whether it was written.

    **Arguments:**

    - `parent`: the mark, in the function outside, of the param that this one is a copy of.
    """

    __slots__ = ("live", "parent", "written")

    def __init__(self, parent: Mark | None) -> None:
        self.parent = parent
        self.live = False  # read before it was written: the value at entry is part of what is computed
        self.written = False

    def read(self, param: Marked) -> None:
        """Note that the param is read."""
        if self.written or self.live:
            return
        if self.parent is not None:
            # The value came from a param of the function outside, which so reads it as well.
            self.parent.read_through()
        if param._value is ABSENT:
            self.absent()
        self.live = True

    def read_through(self) -> None:
        """Note that a copy of the param is read, in a function inside of this one."""
        if not (self.written or self.live):
            if self.parent is not None:
                self.parent.read_through()
            self.live = True

    def absent(self) -> None:
        """Refuse to read a value that was not passed in."""
        raise NeedsInput


class Mismatched(Mark):
    """The mark of a param whose value could not be mapped; reading it before it is set is the user's error."""

    __slots__ = ("message",)

    def __init__(self, parent: Mark | None, message: str) -> None:
        super().__init__(parent)
        self.message = message

    def absent(self) -> None:
        """Refuse to read the value, by `ValueError`."""
        raise ValueError(self.message)


def marks_for(params: Sequence[Marked]) -> list[Mark]:
    """Return fresh marks for copies of `params`, each pointing to the mark of the function outside, if there is one."""
    return [Mark(p._mark) for p in params]
