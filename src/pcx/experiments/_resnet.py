"""`resnet`: residual networks on CIFAR-10, with values on their skips and without."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from ._benchmark import BenchmarkSettings
from .frame import Experiment, Where

if TYPE_CHECKING:
    from .frame import Data, Trained


@dataclass(frozen=True)
class ResNetSettings(BenchmarkSettings):
    """The network, beside what all rules share."""

    blocks: tuple[int, ...] = (2, 2, 2, 2)
    """Blocks of each stage, of two convolutions and a skip each; as they stand, they make a ResNet-18."""
    channels: tuple[int, ...] = (64, 128, 256, 512)
    """Channels of each stage."""
    norm: Literal["batch", "none"] = "batch"
    """Whether every convolution is followed by batch normalisation."""
    T: int | None = None
    """Inference steps of PC; as many as there are hidden layers on the longest way if left out, 17 of ResNet-18."""
    augment: bool = True
    """Mirror images, and cut them out of 40 x 40 pixels, at random."""

    @property
    def hidden(self) -> int:
        """The hidden layers on the longest way."""
        return 1 + 2 * sum(self.blocks)

    @property
    def steps(self) -> int:
        """The inference steps."""
        return self.hidden if self.T is None else self.T

    def check(self) -> None:
        super().check()
        if not self.blocks or len(self.blocks) != len(self.channels):
            raise ValueError(
                f"--channels must be a number for each stage of --blocks, got {len(self.channels)} for "
                f"{len(self.blocks)}"
            )
        if self.norm not in ("batch", "none"):
            raise ValueError(f"--norm must be batch or none, got {self.norm}")
        if self.steps < self.hidden:
            raise ValueError(
                f"--T must be at least {self.hidden}, the number of hidden layers: with fewer steps no error reaches "
                f"the first layer; got {self.steps}"
            )


class ResNet(Experiment):
    """ResNet-18 on CIFAR-10."""

    name = "resnet"
    help = "ResNet-18 on CIFAR-10, with values on its skips (levelled) and without (plain): PC, Z-IL, ePC, backprop."
    source = (
        "ResNet-18 in its form for CIFAR with batch normalisation, on which PC and ePC were compared (Goemaere et al., "
        "arXiv 2505.20137); optimisers and augmentation as in vgg, of the common benchmark (arXiv 2407.01163), "
        "which has no settings for this network: rates, T, ePC's step 1e-3 with T = 5, and squared error are ours and "
        "untried. Z-IL levels the plain network while it computes. As a forward pass both networks are the same, so "
        "backprop has one arm."
    )
    prints = "Test accuracy on CIFAR-10."
    arms_are = "rule and skips"
    settings = ResNetSettings(epochs=50, lr=1.2e-4, state_lr=0.03, state_momentum=0.4, epc_lr=1e-3)
    quick = dataclasses.replace(
        settings, seeds=1, epochs=1, samples=320, test_samples=200, batch_size=32, blocks=(1, 1), channels=(8, 16)
    )

    def arms(self, settings: ResNetSettings) -> tuple[str, ...]:
        return (*[f"{rule}-{skips}" for skips in ("levelled", "plain") for rule in ("pc", "zil", "epc")], "backprop")

    def data(self, settings: ResNetSettings, where: Where) -> Data:
        from ._cifar import cifar

        return cifar(settings, where)

    def arm(self, name: str, settings: ResNetSettings, data: Data) -> Trained:
        from .. import models as pxm
        from ._benchmark_rules import numbers_of, rule_of
        from ._cifar import augmentation
        from .frame import Trained

        rule, _, given = name.partition("-")
        skips: Literal["levelled", "plain"] = "plain" if given == "plain" else "levelled"
        norm: Literal["batch"] | None = "batch" if settings.norm == "batch" else None

        def make() -> pxm.ResNet:
            return pxm.ResNet(settings.blocks, settings.channels, classes=data.classes, skips=skips, norm=norm)

        batches = settings.epochs * (len(data.train[0]) // settings.batch_size)
        numbers, layers = numbers_of(rule, settings), settings.hidden + 1
        made = rule_of(rule, numbers, settings.steps, layers, batches, level=skips == "plain")
        return Trained(
            make, made, data, settings.epochs, settings.batch_size, augment=augmentation(settings.augment),
            parallel="loop",
        )  # fmt: skip
