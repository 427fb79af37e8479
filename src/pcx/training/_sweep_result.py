"""The result of a sweep: its table, the best setting, what mattered."""

from __future__ import annotations

import csv
import dataclasses
import io
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ..core import html_or_text
from ..data import given_path
from ._domains import Value
from ._importance import LEAST, draw, importances
from ._space import Setting, Space
from ._stopping import Mode
from ._table import Table
from ._types import Row
from ._units import best_of


@dataclasses.dataclass(frozen=True)
class Sweep:
    """The result of a sweep.

    **Attributes:**

    - `rows`: a dict for each setting, in order: `place` (its number in the grid or the search), `setting`, `ended`
        (`"done"`, `"pruned"`, `"failed"` or `"not run"`), `why` (it failed), `value` (of the metric, at the best epoch,
        mean over the seeds), `deviation` (over the seeds), `epochs`, `last` (numbers of the last epoch) and `seconds`.
    - `metric`, `mode`: the metric that says which is best, and whether `"max"` or `"min"` of it.
    - `ended`: `"done"`, or `"interrupted"`: the same call goes on.
    - `folder`: the sweep's folder, if it has one.
    - `space`: the settings that were tried.
    """

    rows: list[Row]
    metric: str
    mode: Mode
    ended: str
    folder: Path | None
    space: Space

    def __repr__(self) -> str:
        done = sum(row["ended"] != "not run" for row in self.rows)
        best = best_of(self.rows, self.mode)
        found = "" if best is None else f", best {self.metric} {best['value']:.4g} at {_words(best['setting'])}"
        return f"Sweep({self.ended}: {done} of {len(self.rows)} settings{found}, folder={self.folder})"

    def _repr_html_(self) -> str:
        return html_or_text(lambda: self.table()._html(repr(self)), self)

    @property
    def best(self) -> Setting:
        """The setting with the best value of those that are done."""
        return dict(self._best["setting"])

    @property
    def best_value(self) -> float:
        """The best value of the metric."""
        return self._best["value"]

    @property
    def _best(self) -> Row:
        found = best_of(self.rows, self.mode)
        if found is None:
            states = [row["ended"] for row in self.rows]
            counts = ", ".join(f"{states.count(s)} {s}" for s in dict.fromkeys(states))
            raise ValueError(f"the sweep has no setting that went well: {counts}; its rows say why")
        return found

    def table(self, best_first: bool = False) -> Table:
        """Return a table with a line for each setting.

        **Arguments:**

        - `best_first`: whether the lines are in order of the value; by default in that of the grid, or of the search.

        **Returns:** a table that shows itself as text, with `columns` and `rows`, a dict for each line. A number of the
        last epoch whose name is that of a setting, too, has "last" before it. It has nothing that depends on time: a
        sweep that was killed and went on ends with the same.
        """
        names, known = list(self.space.domains), _lasts(self.rows)
        lasts = {f"last {name}" if name in names else name: name for name in known}  # a setting may bear its name
        with_seeds = any(row["deviation"] is not None for row in self.rows)
        value = f"best {self.metric}"
        lines = [
            {
                "setting": row["place"],
                **{name: row["setting"][name] for name in names},
                "ended": row["ended"],
                "epochs": row["epochs"],
                **{column: row["last"].get(name) for column, name in lasts.items()},
                value: row["value"],
                **({"deviation": row["deviation"]} if with_seeds else {}),
            }
            for row in (self._sorted() if best_first else self.rows)
        ]
        columns = ["setting", *names, "ended", "epochs", *lasts, value, *(["deviation"] if with_seeds else [])]
        return Table(columns, lines)

    def importances(self) -> dict[str, float]:
        """Return how much of the value's variance each setting explains, by functional ANOVA of those that are done.

        **Returns:** parts that sum to 1, the largest first; nothing where fewer than 4 settings are done.

        **Raises:** `ImportError` without scikit-learn.
        """
        return importances(self.space, self.rows)

    def figure(self, path: str | os.PathLike[str]) -> None:
        """Draw what mattered: the importances, and the value over each setting.

        **Arguments:**

        - `path`: of the picture, in any format that matplotlib writes.

        **Raises:** `ValueError` if too few settings are done; `ImportError` without matplotlib or scikit-learn.
        """
        target, found = given_path("figure: path", path), self.importances()
        if not found:
            raise ValueError(f"figure: fewer than {LEAST} settings are done, too few to say what mattered")
        draw(self.space, self.rows, found, self.metric, self.mode, target)

    def _sorted(self) -> list[Row]:
        def key(row: Row) -> tuple[bool, float]:
            bad = row["ended"] != "done"
            return bad, 0.0 if row["value"] is None else -row["value"] if self.mode == "max" else row["value"]

        return sorted(self.rows, key=key)

    def _csv(self) -> str:
        made, table = io.StringIO(), self.table()
        writer = csv.DictWriter(made, table.columns, lineterminator="\n")
        writer.writeheader()
        writer.writerows([{k: _cell(v) for k, v in line.items()} for line in table.rows])
        return made.getvalue()


def _lasts(rows: Sequence[Row]) -> list[str]:
    return list(dict.fromkeys([name for row in rows for name in row["last"]]))


def _cell(value: Any) -> Any:
    return " ".join(map(str, value)) if isinstance(value, tuple) else value


def shown(value: Value) -> str:
    """Return a value of a setting for people to read, a number to four digits."""
    return f"{value:.4g}" if isinstance(value, float) else str(_cell(value))


def _words(setting: dict[str, Value]) -> str:
    return ", ".join(f"{k} {shown(v)}" for k, v in setting.items())
