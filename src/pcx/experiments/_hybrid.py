"""`hybrid`: an amortised start of the values against predictive coding from zero, at equal steps."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from .frame import Experiment, Measure, Settings, Where

if TYPE_CHECKING:
    from .frame import Data, Trained


@dataclass(frozen=True)
class HybridSettings(Settings):
    """The networks, and how values settle."""

    hidden: tuple[int, ...] = (256, 256)
    """Widths of the hidden layers, from the images to the classes."""
    T: tuple[int, ...] = (5, 20, 100)
    """Inference steps, while learning and for test images; an arm of each kind for each."""
    lr: float = 1e-3
    """Learning rate of the weights, by Adam."""
    state_lr: float = 0.02
    """Step size of the values, by plain SGD."""


class Hybrid(Experiment):
    """Classes of digits, by settling of a generative network."""

    name = "hybrid"
    help = "A generative network of MNIST: values from a recognition network, or from zero, at equal steps."
    source = (
        "the comparison of hybrid predictive coding (Tschantz et al., PLOS Computational Biology 2023): the same "
        "generative network, with and without amortised values to begin with; sizes and step sizes are those of short "
        "trials and not published."
    )
    prints = (
        "Share of test images whose label, settled for T steps under the image, is right; beside it that of the values "
        "that settling begins with."
    )
    measures = (Measure("test_accuracy", "accuracy, settled"), Measure("start_accuracy", "accuracy at the start"))
    arms_are = "rule and T"
    settings = HybridSettings(epochs=10)
    quick = HybridSettings(seeds=2, epochs=2, samples=2000, test_samples=500, hidden=(64, 64), T=(5, 20), batch_size=64)

    def arms(self, settings: HybridSettings) -> tuple[str, ...]:
        return tuple(f"{kind}-T{T}" for T in settings.T for kind in ("hybrid", "pc"))

    def data(self, settings: HybridSettings, where: Where) -> Data:
        from .frame import images

        return images("mnist", settings, where)

    def arm(self, name: str, settings: HybridSettings, data: Data) -> Trained:
        from ._amortised import amortised, from_zero

        kind, _, steps = name.partition("-T")
        return (amortised if kind == "hybrid" else from_zero)(settings, int(steps), data)
