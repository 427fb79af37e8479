"""`both-ways`: one network that classifies and generates, by bidirectional predictive coding."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .frame import Experiment, Measure, Record, Settings, Where

if TYPE_CHECKING:
    from .frame import Data, Trained


@dataclass(frozen=True)
class BothWaysSettings(Settings):
    """The networks, and how values settle."""

    hidden: tuple[int, ...] = (256, 256)
    """Widths of the hidden layers, from the images to the classes."""
    T: int = 20
    """Inference steps."""
    lr: float = 1e-3
    """Learning rate of the weights, by Adam."""
    state_lr: float = 0.02
    """Step size of the values, by plain SGD."""
    generative: float = 1e-4
    """Factor of the generative energy of bPC. An image has 784 pixels and a label 10 numbers: at equal factors hidden
    values are what images make of them."""
    discriminative: float = 1.0
    """Factor of the discriminative energy of bPC."""


class BothWays(Experiment):
    """Classification and generation of digits."""

    name = "both-ways"
    help = "One network that classifies and generates MNIST, by bPC; beside it hybrid PC, and PC in either direction."
    source = (
        "the tasks of bidirectional predictive coding (Oliviers, Tang & Bogacz, arXiv 2505.23415); sizes, step sizes "
        "and factors are those of short trials and not published. Images are standardised."
    )
    prints = (
        "Test accuracy by a forward pass, and the root mean squared error of a pixel (from 0 to 1) between what is "
        "generated from each class and the mean of its test images."
    )
    measures = (
        Measure("test_accuracy", "test accuracy"),
        Measure("generation_error", "error of generated images", "min", ".4f"),
    )
    settings = BothWaysSettings(epochs=10)
    quick = BothWaysSettings(seeds=2, epochs=2, samples=2000, test_samples=500, hidden=(64, 64), batch_size=64)

    def arms(self, settings: BothWaysSettings) -> tuple[str, ...]:
        return ("bpc", "hybrid", "pc-classifies", "pc-generates")

    def data(self, settings: BothWaysSettings, where: Where) -> Data:
        from .frame import images

        return images("mnist", settings, where)

    def arm(self, name: str, settings: BothWaysSettings, data: Data) -> Trained:
        from ._directions import directed

        return directed(name, settings, data)

    def draw(self, path: Path, records: Mapping[str, Record]) -> None:
        from ._images import unpacked
        from .frame import draw_with_images

        rows: dict[str, Any] = {}
        for name, record in records.items():
            if "generated" in record.kept:
                rows["means of the classes"] = unpacked(record.kept["means"])
                rows[name] = unpacked(record.kept["generated"])
        draw_with_images(path, self.measures[0], records, rows)
