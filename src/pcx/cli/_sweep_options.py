"""The options of `pcx sweep`. Imports nothing heavy: they are read before anything else is."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro

from . import _checks
from ._failures import Refused
from ._programs import Programs
from ._rules import RuleName
from ._settings import Experiment, TrainOptions, is_own
from ._vary import Vary, varied, with_setting


@dataclass(frozen=True)
class SweepOptions(Programs, Experiment):
    """Train a network by many settings of rule, optimiser and layers, all of a grid or those that a search draws, and
    say which is best and what mattered. The same command goes on with a sweep, and may run several times at once."""

    rule: RuleName | str = "pc"
    """Learning rule, as in pcx train."""
    vary: Annotated[tuple[str, ...], tyro.conf.UseAppendAction] = ()
    """A setting and its values: NAME=A,B,C or NAME=LOW..HIGH, with :log for an even spread of logarithms and, in a
    grid, with a number of points, as in lr=1e-4..1e-2:log:5. NAME is an option of the network, of the optimiser or of
    the rule: lr, hidden, T, state-lr. Once for each setting."""
    trials: int | None = None
    """Search: draw so many settings. All of the grid if left out."""
    sampler: Literal["tpe", "random"] = "tpe"
    """What a search draws by: Optuna's tree-structured Parzen estimator, or at random."""
    search_seed: int = 0
    """Seed of the search."""
    at_once: int = 8
    """Settings that a search draws before it looks at what came out of them."""
    pruner: Literal["none", "median", "halving", "hyperband"] = "none"
    """Give up settings after an epoch: Optuna's median pruner, successive halving, Hyperband."""
    ensemble: int | None = None
    """Settings that are trained together at most; 4 on CPUs and 64 otherwise if left out."""
    storage: str | None = None
    """URL of a database for processes on several machines, such as postgresql://...; a file in --out if left out."""
    out: Path | None = None
    """Folder of the sweep: new, empty, or one that this command began; runs/sweep-<date>-<time> if left out."""
    resume: bool = False
    """Go on with the sweep in --out, or join it, with the options that it was begun with."""
    config: Path | None = None
    """Folder or config.json of a run of pcx train, or of a sweep, whose options are the defaults of this one."""
    quiet: bool = False
    """Show no progress."""

    @property
    def varied(self) -> tuple[Vary, ...]:
        """The settings that are tried."""
        constant = self.schedule == "constant" and not any(text.startswith("schedule=") for text in self.vary)
        return tuple([varied(text, self.used_rules, constant) for text in self.vary])

    @property
    def used_rules(self) -> tuple[str, ...]:
        for text in self.vary:
            name, _, values = text.partition("=")
            if name.strip() == "rule" and values:
                return tuple([rule.strip() for rule in values.split(",")])
        return (self.rule,)

    def check(self) -> None:
        super().check()
        if not self.vary:
            raise Refused("--vary NAME=VALUES is needed: the settings to try, such as --vary lr=1e-4,3e-4,1e-3")
        if self.layer_devices != 1:
            raise Refused("--layer-devices is for one large network; a sweep shares its settings out over --devices")
        names = [each.name for each in self.varied]
        twice = [name for name in names if names.count(name) > 1]
        if twice:
            raise Refused(f"--vary {twice[0]} is given twice")
        for name in ("trials", "at_once", "ensemble"):
            _checks.at_least(name, getattr(self, name), 1)
            _checks.at_most(name, getattr(self, name), _checks.MOST)
        _checks.at_least("search-seed", self.search_seed, 0)
        if self.validation == "test":
            raise Refused("--validation test can't choose a setting; take held-out, and test the best by pcx eval")
        if self.resume and self.out is None:
            raise Refused("--resume needs --out, the folder of the sweep")
        for each in self.varied:
            for value in each.examples:
                self._check_value(each, value)

    def _check_value(self, each: Vary, value: Any) -> None:
        try:
            with_setting(self.of({}), (each,), {each.name: value}).check()
        except Refused as error:
            raise Refused(f"--vary {each.text}: {error}") from error

    def without_effect(self) -> dict[str, str]:
        """Return the options that have no effect beside the others, each with the reason."""
        found = super().without_effect()
        names = {each.name for each in self.varied}
        for option in ("hidden", "act", "energy", "momentum", "weight-decay", "decay-epochs"):
            if names & {"model", "optimiser", "schedule"}:  # a setting may give them one
                found.pop(option, None)
        if any(is_own(value) for each in self.varied if each.name == "energy" for value in each.values):
            found.pop("energy", None)
        found |= dict.fromkeys(["checkpoint-every", "checkpoint-seconds"], "the trials of a sweep keep no checkpoints")
        if self.trials is None:
            found |= dict.fromkeys(["sampler", "search-seed", "at-once"], "without --trials all of a grid is tried")
        return found

    def of(self, setting: dict[str, Any]) -> TrainOptions:
        """Return the options of `pcx train` with a setting."""
        shared = {f.name: getattr(self, f.name) for f in dataclasses.fields(Experiment)}
        return with_setting(TrainOptions(**shared, rule=self.rule), self.varied, setting)

    def each(self, settings: list[dict[str, Any]]) -> Iterator[TrainOptions]:
        """Go through the options of settings. **Raises:** `Refused` for one whose values don't fit together."""
        for setting in settings:
            made = self.of(setting)
            try:
                made.check()
            except Refused as error:
                words = ", ".join(f"{k} {v}" for k, v in setting.items())
                raise Refused(f"--vary: {words}: {error}") from error
            yield made
