"""The arm of `pcx.training.fit`: a network and a rule, trained on the data, judged after every epoch."""

from __future__ import annotations

import dataclasses
import json
import statistics
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import jax
import jax.numpy as jnp
import jax.tree_util as jtu
import numpy as np
from jaxtyping import PyTree

from ...analysis import regime
from ...learning import Rule, State
from ...predictive_coding import EnergyModule
from ...training import Fit, LearningRule, Report, fit
from ._data import Data
from ._experiment import Arm
from ._record import FirstSteps, Record
from ._steps import first_steps
from ._told import finite

_MEASURED = "measured.jsonl"  # beside the run's own files
_RENAMED = {"validation_accuracy": "test_accuracy", "validation_loss": "test_loss"}
_LEFT_OUT = ("network", "regime", "uphill", "energy_before", "steps", "energies")

Measured = Callable[[PyTree], Mapping[str, Any]]
"""A function of a network's state that gives numbers by name."""


@dataclasses.dataclass
class Trained(Arm):
    """An arm that `pcx.training.fit` trains. What is judged after every epoch is the test set, under the names
    `test_accuracy` and `test_loss` and those of the metrics with `test_` before them.

    **Arguments:**

    - `make`: a function that makes the network, with first weights from `pcx.RKG`.
    - `rule`: the learning rule.
    - `data`: what it trains on and is judged by.
    - `epochs`, `batch_size`, `metrics`, `augment`: as for `fit`.
    - `each`: measured after every epoch, for each network: a function of its state that gives numbers by name, which
        go into the rows.
    - `after`: measured once, after training, for each network.
    - `keep`: plain data of the first network that the figure is drawn from, after training.
    - `looks`: whether to find the regime of the first network after training.
    - `parallel`: as for `fit`.
    """

    make: Callable[[], EnergyModule]
    rule: LearningRule
    data: Data
    epochs: int
    batch_size: int
    metrics: Mapping[str, Callable[[PyTree, PyTree], jax.Array]] | None = None
    augment: Callable[[jax.Array, PyTree], PyTree] | None = None
    each: Measured | None = None
    after: Measured | None = None
    keep: Measured | None = None
    looks: bool = True
    parallel: Literal["auto", "vmap", "loop"] = "auto"

    def train(self, folder: Path, seeds: Sequence[int], show: bool) -> Record:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "fit: training failed")  # the record says it
            found = fit(
                self.make,
                self.rule,
                self.data.train,
                self.data.test,
                epochs=self.epochs,
                batch_size=self.batch_size,
                seeds=list(seeds),
                metrics=self.metrics,
                augment=self.augment,
                callbacks=[] if self.each is None else [self._watching(folder, seeds)],
                folder=folder,
                resume="auto",
                figure=False,
                show=show,
                parallel=self.parallel,
            )
        rows = _rows(found, _read(folder / _MEASURED))
        if found.ended == "interrupted":
            return Record(rows, found.ended)
        return Record(
            rows,
            "failed" if found.ended == "failed" else "done",
            found.why,
            _seconds(found),
            self._after(found.states),
            {} if self.keep is None else dict(self.keep(found.states[0])),
            self._regime(found.states[0]),
            {"of": self.data.name, **_made_of(folder, found.states[0])},
        )

    def first_steps(self, seed: int, count: int) -> FirstSteps:
        return first_steps(self.make, self.rule, self.data.train, self.batch_size, self.augment, seed, count)

    def _watching(self, folder: Path, seeds: Sequence[int]) -> Callable[[Report], None]:
        """Return a callback that measures, and keeps what it measured: a run that goes on has measured before."""
        assert self.each is not None
        measure = self.each

        def watch(report: Report) -> None:
            lines = [
                {"seed": row["seed"], "epoch": row["epoch"], **_plain(measure(report.states[row["network"]]))}
                for row in report.rows
            ]
            with (folder / _MEASURED).open("a", encoding="utf-8") as file:
                file.writelines(json.dumps(line) + "\n" for line in lines)

        return watch

    def _after(self, states: Sequence[PyTree]) -> dict[str, list[float | None]]:
        if self.after is None:
            return {}
        each = [_plain(self.after(state)) for state in states]
        return {name: [one[name] for one in each] for name in each[0]}

    def _regime(self, state: PyTree) -> dict[str, Any] | None:
        if not self.looks or not isinstance(self.rule, Rule) or not isinstance(state, State):
            return None
        batch = jtu.tree_map(lambda a: jnp.asarray(a[: self.batch_size]), self.data.test)
        found = regime(self.rule, state, batch, curvature=False).to_dict()
        names = ("verdict", "why", "share", "moving", "module_cosine", "module_norm_ratio", "arrival", "alignment")
        return {name: found[name] for name in names}


def _rows(found: Fit, measured: Mapping[tuple[int, int], dict[str, Any]]) -> list[dict[str, Any]]:
    rows = []
    for row in found.history:
        named = {_renamed(name): value for name, value in row.items() if name not in _LEFT_OUT}
        rows.append({**named, **measured.get((row["seed"], row["epoch"]), {})})
    return sorted(rows, key=lambda row: (row["seed"], row["epoch"]))


def _renamed(name: str) -> str:
    return _RENAMED.get(name, name.replace("validation_", "test_", 1))


def _read(path: Path) -> dict[tuple[int, int], dict[str, Any]]:
    """Return what was measured, by seed and epoch: of an epoch that was trained again, the same once more."""
    found = {}
    for line in path.read_text(encoding="utf-8").splitlines() if path.is_file() else ():
        try:
            row = json.loads(line)
        except ValueError:  # the last line of a process that was killed
            continue
        found[row["seed"], row["epoch"]] = row
    return found


def _plain(found: Mapping[str, Any]) -> dict[str, float | None]:
    return {name: finite(value) for name, value in found.items()}


def _seconds(found: Fit) -> float | None:
    """Return the time of an epoch and network. The first epoch of each start holds a compilation."""
    times = {row["epoch"]: row["seconds"] for row in found.history}
    plain = [seconds for epoch, seconds in times.items() if epoch not in found.compiled]
    return statistics.median(plain or times.values()) / len(found.members) if times else None


def _made_of(folder: Path, state: PyTree) -> dict[str, Any]:
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    weights = jtu.tree_leaves(getattr(state, "weights", None))
    made_of = config.get("made_of", {})
    return {
        "rule": made_of.get("rule"),
        "data": made_of.get("data"),
        "augment": made_of.get("augment"),
        "weights": int(sum(np.size(each) for each in weights)),
    }
