"""`pcx run online`: learning one sample at a time, by PC and by backpropagation. Imports nothing heavy."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ._limits import check_images, check_positive
from .frame import Arm, Experiment, Measure, Settings, Where

if TYPE_CHECKING:
    from .frame import Data, Record


@dataclass(frozen=True)
class OnlineSettings(Settings):
    """The settings of `online`, of which `epochs` says how many times a network is judged as it learns, and
    `test_samples` by how many samples: the last of the training set to tune by, the first of the test set to compare.

    **Arguments:** as their help says, and those of `Settings`.
    """

    data: str = "fashion-mnist"
    """Where the images come from: mnist, fashion-mnist, cifar10, or digits, which needs no files."""
    hidden: tuple[int, ...] = (32, 32)
    """Widths of the hidden layers."""
    steps: int = 300
    """Samples, and updates, from one judgement to the next (an epoch here); in switch, a task."""
    few: int = 10
    """Samples of each class in few."""
    trials: int = 12
    """Settings of each rule that are tried."""
    lowest_lr: float = 0.01
    """Lowest rate of the weights that is tried."""
    highest_lr: float = 1.0
    """Highest rate that is tried; those between are evenly spread in their logarithm."""
    state_lrs: tuple[float, ...] = (0.1, 0.5)
    """Rates of the values of PC that are tried; its trials are shared out among them."""
    T: int = 32
    """Inference steps of PC."""
    tuning_seeds: int = 3
    """Networks for each trial, none of which is compared afterwards."""

    def check(self) -> None:
        super().check()
        check_images(self.data)
        check_positive(self, "lowest_lr", "highest_lr", "state_lrs")
        if self.lowest_lr >= self.highest_lr:
            raise ValueError(f"--lowest-lr must be below --highest-lr, got {self.lowest_lr} and {self.highest_lr}")
        if not self.state_lrs or self.trials % len(self.state_lrs) or self.trials // len(self.state_lrs) < 2:
            raise ValueError(f"--trials {self.trials} must be shared out evenly, two or more to each of --state-lrs")
        if self.batch_size != 1:
            raise ValueError(f"--batch-size: online is one sample at a time, got {self.batch_size}")


class Online(Experiment):
    """A stream of new samples, few samples, and two tasks in turn: PC and backpropagation, each tuned by as many
    trials, and compared over new seeds."""

    name = "online"
    help = "One sample at a time (a stream, few samples, two tasks in turn): PC against tuned backpropagation."
    source = (
        "network and tasks are after Song et al. (2024), and smaller; rates are tuned, for each rule and setting by as "
        "many trials."
    )
    prints = (
        "Test accuracy, mean over all judgements while the network learns. The difference of PC from backpropagation "
        "is taken seed by seed, with its 95 % confidence interval (Student's t)."
    )
    settings = OnlineSettings(seeds=10, epochs=10, batch_size=1, test_samples=2000)
    quick = OnlineSettings(
        seeds=3,
        epochs=2,
        batch_size=1,
        data="digits",
        hidden=(8,),
        steps=20,
        few=2,
        trials=4,
        T=4,
        tuning_seeds=1,
        test_samples=100,
    )
    measures = (
        Measure("pc", "PC", once=True),
        Measure("backprop", "backprop", once=True),
        Measure("difference", "difference", form="+.2%", once=True),
        Measure("difference_low", "from", form="+.2%", once=True),
        Measure("difference_high", "to", form="+.2%", once=True),
    )
    arms_are = "setting"

    def arms(self, settings: OnlineSettings) -> tuple[str, ...]:
        return "stream", "few", "switch"

    def data(self, settings: OnlineSettings, where: Where) -> Data:
        from ._orders import labelled

        return labelled(settings, where)

    def arm(self, name: str, settings: OnlineSettings, data: Data) -> Arm:
        from ._in_turn import Compared

        return Compared(name, settings, data)

    def draw(self, path: Path, records: Mapping[str, Record]) -> None:
        from ._in_turn import draw

        draw(path, records)
