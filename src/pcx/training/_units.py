"""The parts of a sweep that are run in one go: settings of one program, trained together as one ensemble."""

from __future__ import annotations

import dataclasses
import json
import math
import statistics
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from ..predictive_coding import EnergyModule
from ._domains import Value
from ._fit import fit
from ._history import went_uphill
from ._options import FitOptions
from ._result import Fit, Report
from ._rule import LearningRule, RuleMaker, is_rule
from ._source import Data
from ._space import Setting, Space, bound
from ._stopping import Mode, cost
from ._types import Row

_NOT_SHOWN = ("epoch", "network", "seed", "seconds", "energies", "energy_before", "steps", "uphill", "regime")


@dataclasses.dataclass(frozen=True)
class Unit:
    """Places of one program: numbers of the trials that are trained together, and their settings."""

    program: dict[str, Value]
    places: dict[int, Setting]


def units_of(space: Space, places: Mapping[int, Setting], most: int) -> list[Unit]:
    """Return the places in units: those of one program together, at most so many, in order."""
    groups: dict[str, dict[int, Setting]] = {}
    for place, setting in sorted(places.items()):
        groups.setdefault(json.dumps(space.program(setting), sort_keys=True), {})[place] = setting
    found = []
    for group in groups.values():
        items = list(group.items())
        for start in range(0, len(items), most):
            part = dict(items[start : start + most])
            found.append(Unit(space.program(items[0][1]), part))
    return found


def chosen(units: Iterable[Unit], states: Mapping[int, str], last: Setting | None) -> Unit | None:
    """Return the unit to run next, with the places that wait; None if none waits.

    Best one of the program that this process has compiled; otherwise of one that nobody is at.

    **Arguments:**

    - `states`: of the trial of each place.
    - `last`: the program that this process ran last.
    """
    waiting, taken = [], []
    for unit in units:
        places = {p: s for p, s in unit.places.items() if states.get(p) == "WAITING"}
        if places:
            waiting.append(Unit(unit.program, places))
        if any(states.get(p) == "RUNNING" for p in unit.places):
            taken.append(unit.program)
    waiting.sort(key=lambda unit: 0 if unit.program == last else 1 if unit.program not in taken else 2)
    return waiting[0] if waiting else None


@dataclasses.dataclass(frozen=True)
class Trainer:
    """All that trains a unit.

    **Attributes:**

    - `model`, `rule`, `train`, `validation`: as they were given.
    - `options`: those of `fit` that all units have.
    - `metric`, `mode`: by which one setting is better than another.
    """

    model: Callable[..., EnergyModule]
    rule: LearningRule | RuleMaker
    train: Data
    validation: Data | None
    space: Space
    options: FitOptions
    metric: str
    mode: Mode

    def parts(self, settings: Sequence[Setting]) -> tuple[Any, Any, FitOptions]:
        """Return the model's function, the rule, and the options of `fit` that train settings of one program."""
        first, space = settings[0], self.space
        model = bound(self.model, space.of_model, first)
        rule: Any = self.rule
        numbers = [space.numbers(setting) for setting in settings]
        if not is_rule(rule):
            rule = bound(rule, space.of_rule, space.program(first))
            if not numbers[0]:
                rule = rule()
        changed: dict[str, Any] = {"settings": numbers if numbers[0] else None}
        if "batch_size" in first:
            changed["batch_size"] = first["batch_size"]
        return model, rule, dataclasses.replace(self.options, **changed)

    def run(self, unit: Unit, prune: Callable[[int, int, float], bool] | None) -> tuple[str, dict[int, dict[str, Any]]]:
        """Train a unit.

        **Arguments:**

        - `prune`: is told of a place, the epoch and its value then, and says whether the place is given up.

        **Returns:** how the run ended, and what came out of each place.
        """
        found: dict[int, dict[str, Any]] = {}
        # Without numbers that a program is given, every setting is a program, and so a run.
        parts = [unit.places] if self.space.numbers(next(iter(unit.places.values()))) else [
            {place: setting} for place, setting in unit.places.items()
        ]  # fmt: skip
        for places in parts:
            model, rule, options = self.parts(list(places.values()))
            pruned: dict[int, int] = {}
            if prune is not None:
                options = dataclasses.replace(options, callbacks=[self._pruning(list(places), prune, pruned)])
            with warnings.catch_warnings():
                # That a setting fails is what a sweep finds out; the table says it.
                warnings.filterwarnings("ignore", "fit: (training failed|seed [0-9]+)")
                done = fit(model, rule, self.train, self.validation, **vars(options))
            if done.ended == "interrupted":
                return done.ended, found
            seconds = sum({row["epoch"]: row["seconds"] for row in done.history}.values()) / len(places)
            for i, place in enumerate(places):
                networks = range(i, len(done.members), len(places))  # seeds change slowest
                found[place] = {**self._result(done, networks, pruned.get(place)), "seconds": round(seconds, 3)}
        return "done", found

    def _pruning(
        self, places: list[int], prune: Callable[[int, int, float], bool], pruned: dict[int, int]
    ) -> Callable[[Report], None]:
        best: dict[int, float] = {}

        def look(report: Report) -> None:
            for i, place in enumerate(places):
                rows = [row for row in report.rows if row["network"] % len(places) == i]
                complete = len(rows) == len(report.states) // len(places)
                costs = [cost(row, self.metric, self.mode) for row in rows]
                if place in pruned or not complete or not all(map(math.isfinite, costs)):
                    continue
                best[place] = min(best.get(place, math.inf), statistics.fmean(costs))
                value = -best[place] if self.mode == "max" else best[place]
                if prune(place, report.epoch, value):
                    pruned[place] = report.epoch
                    for network in range(i, len(report.states), len(places)):
                        report.stop(network)

        return look

    def _result(self, done: Fit, networks: Sequence[int], pruned: int | None) -> dict[str, Any]:
        """Means over the networks of one setting: at their last epochs, and of the metric at each one's best."""
        own = [done.of(i) for i in networks]
        failed = [why for i in networks if (why := self._failure(done, i))]
        best = [min((cost(r, self.metric, self.mode) for r in rows), default=math.inf) for rows in own]
        values = [-b if self.mode == "max" else b for b in best]
        finite = all(map(math.isfinite, values))
        hidden = {*_NOT_SHOWN, *done.members[0].settings}
        names = [n for n in (done.history[0] if done.history else {}) if n not in hidden]
        lasts = {n: [rows[-1].get(n) if rows else None for rows in own] for n in names}
        return {
            "ended": "failed" if failed or not finite else "done" if pruned is None else "pruned",
            "why": failed[0] if failed else None if finite else f"{self.metric} was never finite",
            "value": statistics.fmean(values) if finite else None,
            "deviation": statistics.stdev(values) if finite and len(values) > 1 else None,
            "epochs": max((rows[-1]["epoch"] for rows in own if rows), default=0),
            "last": {name: _mean(last) for name, last in lasts.items()},
        }

    def _failure(self, done: Fit, network: int) -> str | None:
        """Return why a network failed, without its name; None if it didn't."""
        rows = done.of(network)
        uphill = went_uphill(rows)
        if uphill is not None:
            return uphill
        if rows and rows[-1]["epoch"] == self.options.epochs:
            return None
        _, name, said = (done.why or "").partition(f"{done.members[network].name}, epoch ")
        return f"epoch {said.split('; seed ')[0]}" if name else None


def _mean(values: Sequence[float | None]) -> float | None:
    there = [v for v in values if v is not None]
    return statistics.fmean(there) if len(there) == len(values) else None


def best_of(rows: Sequence[Row], mode: Mode) -> Row | None:
    """Return the row with the best value of those that are done, the first of equal ones."""
    done = [row for row in rows if row["ended"] == "done" and row["value"] is not None]
    return min(done, key=lambda row: -row["value"] if mode == "max" else row["value"], default=None)
