"""Numbers and tables for people to read."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from rich.console import Console
from rich.table import Table

from ..core import NOTHING, moments


def console() -> Console:
    """Return the console for tables. What is no terminal gets the width that the lines need. Square brackets and colons
    in names are no markup."""
    made = Console(markup=False, emoji=False)
    return made if made.is_terminal else Console(markup=False, emoji=False, width=200)


def say(text: str) -> None:
    """Print a line as it is, however long."""
    console().print(text, soft_wrap=True, highlight=False)


def table(title: str | None, names: Sequence[str], texts: int = 1) -> Table:
    """An empty table; the first columns, `texts` of them, hold words and the others numbers."""
    # A title wider than the columns would be broken over lines.
    made = Table(title=title, min_width=min(len(title or ""), console().width))
    for i, name in enumerate(names):
        made.add_column(name, justify="left" if i < texts else "right", overflow="fold")
    return made


def counted(count: int, name: str) -> str:
    """So many of something."""
    return f"{count} {name}{'' if count == 1 else 's'}"


def percent(value: float | None) -> str:
    """Return a share as per cent."""
    return NOTHING if value is None or math.isnan(value) else f"{value:.2%}"


def duration(seconds: float) -> str:
    """Return a time in seconds, or in milliseconds where that says more."""
    return f"{seconds:.2f} s" if seconds >= 0.1 else f"{1000 * seconds:.3g} ms"


def number(value: float | None) -> str:
    """Return a number to four digits."""
    return NOTHING if value is None or math.isnan(value) else f"{value:.4g}"


def spread(values: Sequence[float | None], show: Callable[[float | None], str] = percent) -> str:
    """Mean and sample standard deviation of the values that are there."""
    over = moments(values)
    mean, std = show(over["mean"]), over["std"]
    return mean if std is None else f"{mean} ± {f'{std:.2g}' if show is number else show(std)}"
