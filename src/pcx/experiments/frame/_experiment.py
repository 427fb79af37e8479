"""An experiment: what it says of itself, its arms, and what they are measured by. Imports nothing heavy."""

from __future__ import annotations

import abc
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from ._settings import Settings, Where

if TYPE_CHECKING:
    from ._data import Data
    from ._record import FirstSteps, Record


@dataclass(frozen=True)
class Measure:
    """A number that an experiment is about.

    **Arguments:**

    - `key`: its name in the rows of an arm; of what is measured once, in its `after`.
    - `title`: its name in tables and figures.
    - `better`: whether more (`"max"`) or less (`"min"`) of it is better.
    - `form`: how it is written, for `format`: `.2%` for shares.
    - `once`: whether it is measured once, after training, and not after every epoch.
    """

    key: str
    title: str
    better: Literal["max", "min"] = "max"
    form: str = ".2%"
    once: bool = False


class Arm(abc.ABC):
    """One of the things that an experiment compares: a network and a rule, trained from several seeds. `Trained` is the
    arm of `pcx.training.fit`; an experiment that trains otherwise has its own subclass.
    """

    @abc.abstractmethod
    def train(self, folder: Path, seeds: Sequence[int], show: bool) -> Record:
        """Train all seeds, and measure. Where the folder holds what an earlier call left that was killed, go on with
        it.

        **Arguments:**

        - `folder`: for all that is needed to go on; it is removed when the record is kept.
        - `seeds`: of the networks.
        - `show`: whether to show progress.

        **Returns:** what came out; with `ended` `"interrupted"` if it was told to stop before its end.
        """

    @abc.abstractmethod
    def first_steps(self, seed: int, count: int) -> FirstSteps:
        """Take the first steps again, by which a folder is verified.

        **Arguments:**

        - `seed`: of the network.
        - `count`: how many steps.

        **Returns:** the numbers of each, and how far the weights have moved.
        """


class Experiment(abc.ABC):
    """An experiment: a file of its own, with one subclass, listed in `pcx.experiments`. `pcx run NAME` runs it.

    **Attributes:**

    - `name`, `help`, `source`, `prints`: its name on the command line; what it does, in a line; where its settings
        come from; what its table shows.
    - `settings`: the published ones; `quick`: those of `--quick`, which take seconds.
    - `measures`: what it is about, the first one first.
    - `arms_are`: what its arms are, the head of the table's first column.
    """

    name: ClassVar[str]
    help: ClassVar[str]
    source: ClassVar[str]
    prints: ClassVar[str]
    settings: ClassVar[Settings]
    quick: ClassVar[Settings]
    measures: ClassVar[tuple[Measure, ...]] = (Measure("test_accuracy", "test accuracy"),)
    arms_are: ClassVar[str] = "rule"

    def source_of(self, settings: Any) -> str:
        """Return where settings come from: the table's last line.

        **Arguments:**

        - `settings`: as in `arms`.

        **Returns:** `self.source`, unless an experiment has several kinds of settings.
        """
        return self.source

    @abc.abstractmethod
    def arms(self, settings: Any) -> tuple[str, ...]:
        """Return the names of the arms, in the order in which they run. Imports nothing heavy.

        **Arguments:**

        - `settings`: an instance of the class of `self.settings`.

        **Returns:** names that folders can have: letters, digits and dashes.
        """

    @abc.abstractmethod
    def data(self, settings: Any, where: Where) -> Data:
        """Return the data that the arms share.

        **Arguments:**

        - `settings`: as in `arms`.
        - `where`: where the files are.

        **Returns:** the data, and their hash.
        """

    @abc.abstractmethod
    def arm(self, name: str, settings: Any, data: Data) -> Arm:
        """Return one arm, ready to be trained. Nothing is trained yet.

        **Arguments:**

        - `name`: one of `arms`.
        - `settings`, `data`: as of `arms` and `data`.

        **Returns:** the arm.
        """

    def draw(self, path: Path, records: Mapping[str, Record]) -> None:
        """Draw the figure: the first measure of every arm over the epochs, every seed and the mean; of what is
        measured once, every seed and the mean.

        **Arguments:**

        - `path`: of the PNG file.
        - `records`: by arm.
        """
        from ._figure import draw_measure

        draw_measure(path, self.measures[0], records)
