"""The result of a run, and the records that its callbacks are called with."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Literal

from jaxtyping import PyTree

from ..core import Whole, html_or_text
from ..predictive_coding import EnergyModule
from ._html import fit_html
from ._member import Member
from ._stopping import direction
from ._table import Table, tabled
from ._types import Row, is_whole


@dataclasses.dataclass
class Fit:
    """The result of a training run.

    **Attributes:**

    - `states`: the last state of each network, in the order of `members`; with `restore_best=True` the best.
    - `members`: seed and settings of each.
    - `history`: one row for each epoch and network.
    - `ended`: `"done"`, `"stopped early"`, `"interrupted"`, or `"failed"`. A run whose settling goes uphill to its end
        has failed.
    - `why`: the reason, in words, if it failed.
    - `folder`: the run's folder, if it has one.
    - `best_states`, `best_epochs`: each network's state after its best epoch, and which one that is (0: it had none,
        and the state is the last); empty if there was neither validation nor `best`.
    - `by`, `mode`: the metric that says which is best, and whether `"max"` or `"min"` of it.
    - `compiled`: the epochs whose seconds hold a compilation: the first, and the first after each resume.
    """

    states: list[PyTree]
    members: list[Member]
    history: list[Row]
    ended: str
    why: str | None
    folder: Path | None
    best_states: list[PyTree] = dataclasses.field(default_factory=list)
    best_epochs: list[int] = dataclasses.field(default_factory=list)
    by: str | None = None
    mode: Literal["min", "max"] = "min"
    compiled: list[int] = dataclasses.field(default_factory=list)

    def __repr__(self) -> str:
        names = ", ".join(m.name for m in self.members)
        epochs = max((row["epoch"] for row in self.history), default=0)
        why = f", why={self.why!r}" if self.why else ""
        return f"Fit({names}: {self.ended} after {epochs} epoch{'s' if epochs != 1 else ''}{why}, folder={self.folder})"

    def _repr_html_(self) -> str:
        return html_or_text(lambda: fit_html(self), self)

    def last(self, metric: str) -> list[float]:
        """Return a metric of each network's last epoch.

        **Arguments:**

        - `metric`: its name in the history.

        **Returns:** a number for each network that has an epoch, in the order of `members`.

        **Raises:** `ValueError` if there is no such metric, naming those that there are.
        """
        found: dict[int, float] = {}
        for row in self.history:
            if metric not in row:
                raise ValueError(f"last: there is no metric {metric!r}; the history has {', '.join(row)}")
            found[row["network"]] = row[metric]
        return [found[i] for i in sorted(found)]

    def restore_best(self, model: EnergyModule, network: Whole = 0) -> None:
        """Set a model to the weights of a network's best epoch.

        **Arguments:**

        - `model`: built as the one that was trained.
        - `network`: its number in `members`.

        **Raises:** `ValueError` if the run has no best epoch, or the model is built differently.
        """
        if not self.best_states:
            raise ValueError("restore_best: the run has no best epoch; give fit validation, or `best`")
        self._check_network("restore_best", network)
        if not self.best_epochs[network]:
            raise ValueError(f"restore_best: network {network} has no epoch that went well")
        self.best_states[network].write_to(model)

    def table(self, by: str | None = None, mode: Literal["min", "max"] | None = None) -> Table:
        """Return a table with a line for each setting, or for each network if there are no settings, the best first.

        **Arguments:**

        - `by`: the metric that says which is best, by its best epochs; by default that of the run, or the training
            loss.
        - `mode`: whether `"max"` or `"min"` of it is best; by default as in the run, or as it follows from what the
            metric is.

        **Returns:** a table that shows itself as text, with `columns` and `rows`, a dict for each line.

        **Raises:** `ValueError` if there is no such metric, or `mode` is needed.
        """
        if by is None:
            by, way = (self.by, mode or self.mode) if self.by is not None else ("loss", mode or "min")
        else:
            way = mode or (self.mode if by == self.by else direction(by, "table: mode"))
        return tabled(self.members, self.history, by, way)

    def of(self, network: Whole) -> list[Row]:
        """Return the history of one network.

        **Arguments:**

        - `network`: its number in `members`.

        **Returns:** its rows, one for each epoch.

        **Raises:** `ValueError` if there is no such network.
        """
        self._check_network("of", network)
        return [row for row in self.history if row["network"] == network]

    def _check_network(self, call: str, network: Whole) -> None:
        if not is_whole(network) or not 0 <= network < len(self.members):
            raise ValueError(f"{call}: there is no network {network!r}; the run has {len(self.members)}, from 0")


@dataclasses.dataclass(frozen=True)
class Dispatch:
    """Batches that are about to be given to the device at once: as `on_dispatch` is told of them.

    **Attributes:**

    - `epoch`: from 1.
    - `batch`: the number in the epoch of the first batch, from 0; so many are done.
    - `batches`: how many batches the device is given.
    """

    epoch: int
    batch: int
    batches: int


@dataclasses.dataclass
class Report:
    """An epoch that is done, as callbacks are told of it.

    **Attributes:**

    - `epoch`: epochs that are done.
    - `rows`: this epoch's history, one row for each network.
    - `states`: the states of the networks now.
    - `stopped`: whether `stop` was called for the run.
    - `left`: the networks that it was called for.
    """

    epoch: int
    rows: list[Row]
    states: list[PyTree]
    stopped: bool = False
    left: set[int] = dataclasses.field(default_factory=set)

    def stop(self, network: Whole | None = None) -> None:
        """End the run after this epoch, or the training of one network; the others go on.

        **Arguments:**

        - `network`: its number in `states`; all if it is left out.

        **Raises:** `ValueError` if there is no such network.
        """
        if network is None:
            self.stopped = True
        elif not is_whole(network) or not 0 <= network < len(self.states):
            raise ValueError(f"stop: there is no network {network!r}; the run has {len(self.states)}, from 0")
        else:
            self.left.add(int(network))
