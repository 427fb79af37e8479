"""`pcx run memory`: images are stored, and recalled from a half of their pixels and from noise. Imports nothing
heavy."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ._limits import check_images, check_momentum, check_positive, check_unused
from .frame import Arm, Experiment, Measure, Settings, Where

if TYPE_CHECKING:
    from .frame import Data, Record


@dataclass(frozen=True)
class MemorySettings(Settings):
    """The settings of `memory`.

    **Arguments:** as their help says, and those of `Settings`, of which `samples` says how many images are stored, and
    `batch_size` how many at once.
    """

    data: str = "mnist"
    """Where the images come from: mnist, fashion-mnist, cifar10, or digits, which needs no files."""
    hidden: tuple[int, ...] = (256, 512)
    """Widths of the hidden nodes of the generative memory, from the memory vector on."""
    T: int = 30
    """Its inference steps while it learns."""
    state_lr: float = 0.05
    """Rate of its values."""
    state_momentum: float = 0.5
    """Their momentum."""
    lr: float = 1e-3
    """Rate of Adam on its weights."""
    recall_T: int = 500
    """Inference steps of a recall."""
    sharpness: float = 1.0
    """Inverse variance of the valley of the Hopfield energy around each image, per pixel."""
    noise: float = 0.2
    """Standard deviation of the noise to recall from; pixels are from 0 to 1."""
    bound: float = 0.01
    """An image counts as recalled if its mean squared error per pixel is below this."""

    def check(self) -> None:
        super().check()
        check_images(self.data)
        check_unused(self, "test_samples")
        check_positive(self, "state_lr", "lr", "sharpness", "noise", "bound")
        check_momentum("state_momentum", self.state_momentum)


class Memory(Experiment):
    """Images stored in a generative memory and in a Hopfield memory, and recalled."""

    name = "memory"
    help = "Images stored in associative memories, and recalled from a half of their pixels and from noise."
    source = (
        "the generative memory is after Salvatori et al. (2021), the Hopfield energy after Ramsauer et al. (2021); "
        "widths, rates and steps were found by short trials and are not published."
    )
    prints = "Images recalled, and the mean squared error per pixel."
    settings = MemorySettings(seeds=5, epochs=200, batch_size=50, samples=50)
    quick = MemorySettings(
        seeds=1, epochs=100, batch_size=5, samples=5, data="digits", hidden=(32, 32), T=20, lr=5e-3, recall_T=200
    )
    measures = (
        Measure("half", "recalled from a half", once=True),
        Measure("half_error", "error", "min", ".4f", once=True),
        Measure("half_missing_error", "error of the missing pixels", "min", ".4f", once=True),
        Measure("noise", "recalled from noise", once=True),
        Measure("noise_error", "error", "min", ".4f", once=True),
    )
    arms_are = "memory"

    def arms(self, settings: MemorySettings) -> tuple[str, ...]:
        return "pc", "hopfield"

    def data(self, settings: MemorySettings, where: Where) -> Data:
        from ._images import first_images

        return first_images(settings.data, settings.samples, where)

    def arm(self, name: str, settings: MemorySettings, data: Data) -> Arm:
        from ._memories import Hopfield, generative

        return Hopfield(settings, data) if name == "hopfield" else generative(settings, data)

    def draw(self, path: Path, records: Mapping[str, Record]) -> None:
        from ._memories import draw

        draw(path, records)
