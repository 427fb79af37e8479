"""The parts of a page: sections with tables and figures."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from typing import TypeAlias, TypeVar

from ...core import NOTHING
from ._record import Row, finite

_SHORT = 28  # letters of a cell that has room in a third of the page


@dataclasses.dataclass(frozen=True)
class Cell:
    """A cell of a table: its text, and what rows are sorted by; None goes last whichever way."""

    text: str
    key: float | str | None
    marked: bool = False


@dataclasses.dataclass(frozen=True)
class Table:
    """A table whose rows can be sorted by any column. `numbers` says which columns hold numbers."""

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[Cell]]
    numbers: Sequence[bool]
    note: str = ""
    folded: bool = False
    begins: bool = False  # a row of the page

    @property
    def wide(self) -> bool:
        """Return whether it takes the whole width of the page."""
        if self.folded or len(self.columns) > 4:
            return True
        return len(self.columns) > 2 and any(len(cell.text) > _SHORT for row in self.rows for cell in row)


@dataclasses.dataclass(frozen=True)
class Figure:
    """A picture as SVG, with words for who can't see it; `words` is empty of one that says itself what it shows, which
    is shown in its own size."""

    title: str
    svg: str
    words: str
    begins: bool = False  # a row of the page


@dataclasses.dataclass(frozen=True)
class Lines:
    """Lines of text as they are, such as those of a log."""

    title: str
    lines: Sequence[str]


Part: TypeAlias = Table | Figure | Lines
P = TypeVar("P", Table, Figure)


@dataclasses.dataclass(frozen=True)
class Section:
    """A section of a page: `lead` says what is in it, `notes` what to look out for. One that is empty is
    left out."""

    title: str
    parts: Sequence[Part]
    notes: Sequence[str] = ()
    lead: str = ""


def beside(parts: Sequence[P]) -> list[P]:
    """Parts of one kind, of several runs in their order: beside each other, in a row that the first one begins."""
    return [dataclasses.replace(part, begins=i == 0 and len(parts) > 1) for i, part in enumerate(parts)]


def text(value: object, marked: bool = False) -> Cell:
    """A cell with words."""
    words = "" if value is None else str(value)
    return Cell(words or NOTHING, words or None, marked)


def number(value: object, percent: bool = False, digits: int = 4) -> Cell:
    """A cell with a number; of one that isn't finite, these words."""
    if value is None:
        return Cell(NOTHING, None)
    known = finite(value)
    if known is None:
        return Cell("not finite", None, marked=True)
    if percent and 0 < known < 5e-5:
        return Cell("< 0.01%", known)
    shown = (
        f"{known:.2%}"
        if percent and abs(known) < 1e6
        else str(value)
        if isinstance(value, int)
        else f"{known:.{digits}g}"
    )
    return Cell(shown, known)


def measured(row: Row, name: str) -> Cell:
    """A cell with a metric of a row. What stands there as None was not finite."""
    if name not in row:
        return Cell(NOTHING, None)
    return number(math.nan if row[name] is None else row[name], is_share(name))


def spread(values: Sequence[float], percent: bool = False) -> Cell:
    """A cell with the mean and the sample deviation of numbers."""
    if not values:
        return Cell(NOTHING, None)
    mean = sum(values) / len(values)
    cell = number(mean, percent)
    if len(values) == 1:
        return cell
    std = math.hypot(*[v - mean for v in values]) / math.sqrt(len(values) - 1)
    return Cell(f"{cell.text} ± {f'{std:.2%}' if percent and std < 1e6 else f'{std:.2g}'}", mean)


def named(metric: str) -> str:
    """A metric's name in words."""
    return metric.replace("_", " ")


def is_share(metric: str) -> bool:
    """Return whether a metric is shown in per cent."""
    return "accuracy" in metric
