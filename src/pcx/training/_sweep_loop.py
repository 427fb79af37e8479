"""The loop of a sweep: which settings there are, and going through them until all have ended."""

from __future__ import annotations

import dataclasses
import json
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jax

from ..core import NOTHING
from ._describe import describe
from ._display import display
from ._search import SamplerMaker, SamplerName, drawn
from ._space import Setting, Space
from ._stopping import Mode
from ._sweep_result import Sweep, shown
from ._trials import Trials
from ._types import Json, Row
from ._units import Trainer, Unit, chosen, units_of

if TYPE_CHECKING:
    from optuna.trial import FrozenTrial

_WAIT = 0.5  # seconds between two looks at trials that other processes run


@dataclasses.dataclass(frozen=True)
class Plan:
    """The settings of a sweep: a grid, or a search.

    **Attributes:**

    - `space`: the values of each.
    - `trials`: how many a search draws; None for a grid.
    - `sampler`, `seed`, `at_once`: of a search.
    """

    space: Space
    trials: int | None
    sampler: SamplerName | SamplerMaker
    seed: int
    at_once: int

    def check(self) -> None:
        """Refuse a space without a grid where one is asked for.

        **Raises:** `ValueError`.
        """
        if self.trials is None:
            self.space.grid()

    def describe(self) -> Json:
        """Return the plan as plain data; a search may become longer."""
        if self.trials is None:
            return "grid"
        return {"search": describe(self.sampler), "seed": self.seed, "at_once": self.at_once}

    @property
    def size(self) -> int:
        """The number of places."""
        return (self.space.size or 0) if self.trials is None else self.trials

    def first(self) -> list[Setting]:
        """Return the settings that are tried first."""
        if self.trials is None:
            return self.space.grid()
        found = self._drawn("min", {}, 0)  # before there are results it doesn't matter
        return [self.space.read(params) for params in found.values()]

    def add(self, trials: Trials, mode: Mode) -> dict[int, Setting]:
        """Add to the trials those that can be run now: all of a grid; of a search the next, once those before ended.

        **Returns:** the settings of all places that there are.
        """
        there = trials.by_place()
        distributions = self.space.distributions()
        if self.trials is None:
            grid = self.space.grid()
            if len(there) < len(grid):
                trials.add({i: self.space.stored(s) for i, s in enumerate(grid)}, distributions)
            return dict(enumerate(grid))
        first = 0
        while first < self.trials and all(
            p in there and there[p].state.is_finished() for p in range(first, min(first + self.at_once, self.trials))
        ):
            first += self.at_once
        if any(p not in there for p in range(first, min(first + self.at_once, self.trials))):
            trials.add(self._drawn(mode, there, first), distributions)
            there = trials.by_place()
        return {place: self.space.read(trial.params) for place, trial in there.items() if place < self.trials}

    def _drawn(self, mode: str, there: Mapping[int, FrozenTrial], first: int) -> dict[int, dict[str, Any]]:
        last = min(first + self.at_once, self.trials or 0)
        before = {place: trial for place, trial in there.items() if place < first}
        return drawn(self.sampler, self.seed, mode, self.space.distributions(), before, first, last)


def go_through(
    trials: Trials,
    plan: Plan,
    trainer: Trainer,
    ensemble: int | None,
    prunes: bool,
    show: bool,
    note: Callable[[], None],
) -> str:
    """Run trials until all have ended, those of other processes included.

    **Arguments:**

    - `note`: is called after each unit, to keep how far the sweep is.

    **Returns:** `"done"` or `"interrupted"`.
    """
    most = ensemble or (4 if jax.default_backend() == "cpu" else 64)
    last: Setting | None = None
    told, begun, alone = 0, False, True
    with display(plan.size, 0, show) as (advance, say):
        while True:
            trials.again()
            settings = plan.add(trials, trainer.mode)
            there = trials.by_place()
            ended = sum(there[p].state.is_finished() for p in settings if p in there)
            advance(ended - told, f"{ended} of {plan.size} settings")
            told = ended
            units = units_of(plan.space, settings, most)
            if not begun:
                say(_beginning(plan, units, ended))
            if alone and trials.others_run():
                say("another process takes part")
                alone = False
            begun = True
            if ended == plan.size:
                return "done"
            states = {place: trial.state.name for place, trial in there.items()}
            unit = chosen(units, states, last)
            claimed = {} if unit is None else trials.claim(unit.places)
            if unit is None or not claimed:
                time.sleep(_WAIT if unit is None else 0.01)
                continue
            last = unit.program
            unit = Unit(unit.program, {place: unit.places[place] for place in claimed})
            if _run(trials, trainer, unit, claimed, prunes) == "interrupted":
                return "interrupted"
            note()
            for line in _lines(unit, trials, trainer):
                say(line)


def _beginning(plan: Plan, units: Sequence[Unit], ended: int) -> str:
    """Return what is said of a sweep before its first unit."""
    if plan.trials is None:
        programs = len({json.dumps(unit.program, sort_keys=True) for unit in units})
        text = f"{plan.size} settings of {programs} program{'s' * (programs > 1)}"
    else:
        text = f"a search of {plan.size} settings, {min(plan.at_once, plan.size)} at a time"
    if ended == plan.size:
        return f"{text}: all are done"
    return f"{text}; {ended} of {plan.size} are done, going on" if ended else text


def _run(trials: Trials, trainer: Trainer, unit: Unit, claimed: Mapping[int, int], prunes: bool) -> str:
    def prune(place: int, epoch: int, value: float) -> bool:
        trials.report(claimed[place], epoch, value)
        return trials.should_prune(claimed[place])

    with trials.running(claimed.values()):
        ended, found = trainer.run(unit, prune if prunes else None)
        for place, result in found.items():
            trials.finish(claimed[place], result["ended"], result["value"], result)
    return ended


def _lines(unit: Unit, trials: Trials, trainer: Trainer) -> list[str]:
    """The results of a unit, a line for each setting."""
    there, lines = trials.by_place(), []
    for place, setting in unit.places.items():
        result = there[place].user_attrs.get("result") if place in there else None
        if result is None:
            continue
        value = NOTHING if result["value"] is None else f"{result['value']:.4g}"
        words = ", ".join(f"{k} {shown(v)}" for k, v in setting.items())
        state = "" if result["ended"] == "done" else f" ({result['ended']})"
        lines.append(f"setting {place}: {words}: {trainer.metric.replace('_', ' ')} {value}{state}")
    return lines


def result_of(trials: Trials, plan: Plan, metric: str, mode: Mode, ended: str, folder: Path | None) -> Sweep:
    """Return the result of a sweep from its trials."""
    there = trials.by_place()
    settings = dict(enumerate(plan.space.grid())) if plan.trials is None else {
        place: plan.space.read(trial.params) for place, trial in there.items() if place < plan.trials
    }  # fmt: skip
    nothing = {"ended": "not run", "why": None, "value": None, "deviation": None, "epochs": 0, "last": {}}
    rows: list[Row] = []
    for place, setting in sorted(settings.items()):
        trial = there.get(place)
        result = trial.user_attrs.get("result", {}) if trial is not None and trial.state.is_finished() else {}
        rows.append({"place": place, "setting": setting, **nothing, "seconds": None, **result})
    return Sweep(rows, metric, mode, ended, folder, plan.space)
