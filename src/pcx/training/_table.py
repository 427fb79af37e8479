"""The result of a run as a table: a line for each setting, the best first."""

from __future__ import annotations

import dataclasses
import math
import statistics
from collections.abc import Sequence
from typing import Any

from ..core import NOTHING, html_or_text, html_table
from ._looks import last_look, verdicts
from ._member import Member
from ._stopping import Mode, cost
from ._types import Row

_NOT_SHOWN = ("epoch", "network", "seed", "seconds", "energies", "regime")


@dataclasses.dataclass(frozen=True)
class Table:
    """A table that shows itself as text.

    **Attributes:**

    - `columns`: their names.
    - `rows`: a dict for each line, by column: settings, `networks` (how many), `epochs` (of the longest), and the means
        over those networks, of each metric at the last epoch and at each one's best epoch; where the run has looked at
        its regime (`fit(regime=...)`), the last verdict, and how many networks have it if it isn't that on all.
    """

    columns: list[str]
    rows: list[dict[str, Any]]

    def __repr__(self) -> str:
        cells = [self.columns, *[[_text(row[name]) for name in self.columns] for row in self.rows]]
        widths = [max(len(line[i]) for line in cells) for i in range(len(self.columns))]
        lines = ["  ".join(cell.rjust(w) for cell, w in zip(line, widths, strict=True)).rstrip() for line in cells]
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        return html_or_text(lambda: self._html(""), self)

    def _html(self, caption: str) -> str:
        return html_table(self.columns, [[_text(row[n]) for n in self.columns] for row in self.rows], caption, left=0)


def tabled(members: Sequence[Member], history: Sequence[Row], by: str, mode: Mode) -> Table:
    """Return a table of a history: a line for each setting, or, where there are none, for each network."""
    groups = grouped(members)
    named = list(members[0].settings) if len(groups) > 1 or members[0].settings else ["seed"]
    if named == ["seed"]:
        groups = [[i] for i in range(len(members))]
    metrics = [k for k in (history[0] if history else {}) if k not in _NOT_SHOWN and k not in members[0].settings]
    found = []
    for group in groups:
        own = [[row for row in history if row["network"] == i] for i in group]
        first = members[group[0]]
        line: dict[str, Any] = {"seed": first.seed} if named == ["seed"] else dict(first.settings)
        if named != ["seed"]:
            line["networks"] = len(group)
        line["epochs"] = max((rows[-1]["epoch"] for rows in own if rows), default=0)
        line |= {name: _mean([rows[-1].get(name) if rows else None for rows in own]) for name in metrics}
        line[f"best {by}"] = _mean([min(rows, key=lambda r: cost(r, by, mode))[by] if rows else None for rows in own])
        line["regime"] = verdicts([last_look(rows) for rows in own]) or None
        found.append(line)
    found.sort(key=lambda line: cost(line, f"best {by}", mode))
    columns = [*named, *(["networks"] if named != ["seed"] else []), "epochs", *metrics, f"best {by}"]
    columns += ["regime"] if any(line["regime"] is not None for line in found) else []
    return Table(columns, [{name: line[name] for name in columns} for line in found])


def grouped(members: Sequence[Member]) -> list[list[int]]:
    """Return the numbers of the networks that are trained with the same settings, for each of these."""
    found: dict[tuple[Any, ...], list[int]] = {}
    for i, member in enumerate(members):
        found.setdefault(tuple(member.settings.items()), []).append(i)
    return list(found.values())


def _mean(values: Sequence[float | None]) -> float | None:
    """The mean; none if one of them is missing or not finite, as of a network that failed."""
    finite = [v for v in values if v is not None and math.isfinite(v)]
    return statistics.fmean(finite) if len(finite) == len(values) else None


def _text(value: object) -> str:
    return NOTHING if value is None else f"{value:.4g}" if isinstance(value, float) else str(value)
