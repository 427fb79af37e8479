"""What training gives."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any


@dataclasses.dataclass(frozen=True)
class Member:
    """One network of a run: its seed, and the settings that it is trained with."""

    seed: int
    settings: dict[str, Any]

    @property
    def name(self) -> str:
        """A short name."""
        return ", ".join([f"seed {self.seed}", *[f"{k} {v:g}" for k, v in self.settings.items()]])


@dataclasses.dataclass
class Fit:
    """A training run.

    **Attributes:**

    - `states`: the last state of each network, in the order of `members`.
    - `members`: seed and settings of each.
    - `history`: one row for each epoch and network.
    - `ended`: `"done"`, `"stopped early"`, `"interrupted"`, or `"failed"`; `why`: in words, if it failed.
    - `folder`: the run's folder, if it has one.
    """

    states: list[Any]
    members: list[Member]
    history: list[dict[str, Any]]
    ended: str
    why: str | None
    folder: Path | None

    def __repr__(self) -> str:
        names = ", ".join(m.name for m in self.members)
        epochs = max((row["epoch"] for row in self.history), default=0)
        why = f", why={self.why!r}" if self.why else ""
        return f"Fit({names}: {self.ended} after {epochs} epoch{'s' if epochs != 1 else ''}{why}, folder={self.folder})"

    def last(self, metric: str) -> list[float]:
        """A metric of each network's last epoch."""
        found: dict[int, float] = {}
        for row in self.history:
            if metric not in row:
                raise ValueError(f"there is no metric {metric!r}; the history has {', '.join(row)}")
            found[row["network"]] = row[metric]
        return [found[i] for i in sorted(found)]

    def of(self, network: int) -> list[dict[str, Any]]:
        """The history of one network, by its number in `members`."""
        return [row for row in self.history if row["network"] == network]


@dataclasses.dataclass
class Report:
    """What a callback is given after every epoch.

    **Attributes:**

    - `epoch`: epochs that are done; `rows`: this epoch's history, one row for each network.
    - `states`: the states of the networks now.
    """

    epoch: int
    rows: list[dict[str, Any]]
    states: list[Any]
    stopped: bool = False

    def stop(self) -> None:
        """End the run after this epoch."""
        self.stopped = True
