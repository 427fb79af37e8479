"""The first steps of `pcx run zil`, by which its folder is verified, and the study as `pcx verify` looks at it."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from ..experiments import (
    ARMS,
    Arm,
    Experiment,
    FirstSteps,
    Record,
    Settings,
    Where,
    sha256_of,
    steps_between,
)
from ..experiments import Data as Samples
from ..learning import State
from ..training import Folder
from ._experiment import STUDIES
from ._options import ZilOptions
from ._zil import Data, Epoch, Study, two_moons

DATA = "two moons"
STEPS = 10
"""That many at least, where there are so many: those of whole epochs."""


class Seen:
    """The epochs of a rule, of which the first are kept as steps: losses of the first seed, and weights of all.

    **Arguments:**

    - `first`: the states of all seeds before the first step.
    - `epochs`: what `Study.train` yields.
    """

    def __init__(self, first: State, epochs: Iterator[tuple[Epoch, State]]) -> None:
        self._first, self._epochs = first, epochs
        self._losses: list[float] = []
        self.steps: FirstSteps | None = None

    def __iter__(self) -> Iterator[tuple[Epoch, State]]:
        for result, state in self._epochs:
            if len(self._losses) < STEPS:
                self._losses += result.losses[0].tolist()
                self.steps = steps_between(self._first, state, {"loss": self._losses})
            yield result, state


def digest_of(data: Data) -> str:
    """Return the SHA-256 of the points."""
    return sha256_of(data.x, data.y, data.x_test, data.y_test)


def keep_steps(folder: Folder, rule: str, seen: Seen, code: dict[str, Any]) -> None:
    """Write what a rule is verified by; its numbers by seed and epoch are in `metrics.jsonl`.

    **Arguments:**

    - `folder`, `rule`: where, and of which.
    - `seen`: its epochs.
    - `code`: the state of the code that trained it.
    """
    (folder.path / ARMS).mkdir(exist_ok=True)
    record = Record([], made_of={"of": DATA}, first_steps=seen.steps, code=code)
    folder.write_json(f"{ARMS}/{rule}.json", record.as_json())


class ZilStudy(Experiment):
    """The study as an experiment that can be verified. It runs by its own command.

    **Arguments:**

    - `options`: the study's.
    """

    name = "zil"
    help = STUDIES["zil"]
    source = "the tutorial's own."
    prints = "Test accuracy on two moons."
    settings = quick = Settings()

    def __init__(self, options: ZilOptions) -> None:
        self.options = options

    @functools.cached_property
    def study(self) -> Study:
        """The compiled programs: those of the folder, since other ones may have other bits."""
        return Study(self.options, tuple(range(self.options.seeds)), 1)

    def arms(self, settings: Settings) -> tuple[str, ...]:
        return self.options.rules

    def data(self, settings: Settings, where: Where) -> Samples:
        found = two_moons(self.options.batch_size)
        return Samples(DATA, (found.x, found.y), (found.x_test, found.y_test), digest_of(found), 2)

    def arm(self, name: str, settings: Settings, data: Samples) -> Arm:
        return _Rule(self, name)


class _Rule(Arm):
    def __init__(self, of: ZilStudy, name: str) -> None:
        self.of, self.name = of, name

    def train(self, folder: Path, seeds: Sequence[int], show: bool) -> Record:
        raise NotImplementedError("pcx run zil trains")

    def first_steps(self, seed: int, count: int) -> FirstSteps:
        study: Any = self.of.study
        seen = Seen(study.first()[self.name], study.train(self.name, two_moons(self.of.options.batch_size)))
        for _ in seen:
            if seen.steps is not None and seen.steps.count >= count:
                break
        assert seen.steps is not None
        return seen.steps
