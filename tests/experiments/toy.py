"""An experiment that trains nothing: what becomes of its numbers, its folder, and of one that is broken off."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from pcx.experiments import Arm, Data, Experiment, FirstSteps, Measure, Record, Settings, Where
from pcx.experiments.frame import sha256_of


@dataclasses.dataclass(frozen=True)
class ToySettings(Settings):
    seeds: int = 3
    epochs: int = 4
    rate: float = 0.5


@dataclasses.dataclass
class Falling(Arm):
    """An arm whose error falls, by a way that depends on its rate and seed."""

    name: str
    rate: float
    epochs: int
    calls: list[str]
    ended: str = "done"

    def errors(self, seed: int) -> list[float]:
        return [(1 + seed) * self.rate**epoch for epoch in range(1, self.epochs + 1)]

    def train(self, folder: Path, seeds: Sequence[int], show: bool) -> Record:
        self.calls.append(self.name)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "checkpoint").write_text("much to go on with")
        rows = [
            {"seed": seed, "epoch": i + 1, "error": error}
            for seed in seeds
            for i, error in enumerate(self.errors(seed))
        ]
        return Record(rows, self.ended, after={"once": [float(seed) for seed in seeds]})

    def first_steps(self, seed: int, count: int) -> FirstSteps:
        losses = [self.rate**i for i in range(count)]
        return FirstSteps({"loss": list(losses)}, {"w": self.rate}, sha256_of(np.asarray(losses)), 1.0, 0.1)


class Toy(Experiment):
    name = "toy"
    help = "Errors that fall."
    source = "made up."
    prints = "Errors."
    settings = ToySettings()
    quick = ToySettings(seeds=1, epochs=1)
    measures = (Measure("error", "error", "min", ".3f"), Measure("once", "once", "max", ".1f", once=True))

    def __init__(self) -> None:
        self.trained: list[str] = []
        self.ends: dict[str, str] = {}
        self.seen = np.arange(5)

    def arms(self, settings: ToySettings) -> tuple[str, ...]:
        return ("slow", "fast")

    def data(self, settings: ToySettings, where: Where) -> Data:
        return Data("numbers", (self.seen, self.seen), (self.seen, self.seen), sha256_of(self.seen))

    def arm(self, name: str, settings: ToySettings, data: Data) -> Falling:
        rate = settings.rate if name == "slow" else settings.rate / 2
        return Falling(name, rate, settings.epochs, self.trained, self.ends.get(name, "done"))
