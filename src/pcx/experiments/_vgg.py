"""`vgg`: the convolutional networks of the common benchmark on CIFAR-10."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from ._benchmark import NUDGED, ManyRules
from .frame import Experiment, Where

if TYPE_CHECKING:
    from .frame import Data, Trained

_LAYERS = {"vgg5": 5, "vgg7": 7, "vgg9": 9}
_STEPS = {"vgg5": 7, "vgg7": 10, "vgg9": 12}
_BOTH = ("pc", "backprop")


@dataclass(frozen=True)
class VGGSettings(ManyRules):
    """The network, beside what all rules share."""

    network: Literal["vgg5", "vgg7", "vgg9"] = "vgg5"
    """Which VGG."""
    T: int | None = None
    """Inference steps of PC, iPC and nudged PC, at least as many as there are hidden layers; 7, 10 and 12 for VGG-5, 7
    and 9 if left out."""
    augment: bool = True
    """Mirror images, and cut them out of 40 x 40 pixels, at random."""

    @property
    def steps(self) -> int:
        """The inference steps."""
        return _STEPS[self.network] if self.T is None else self.T

    def check(self) -> None:
        super().check()
        if self.network not in _LAYERS:
            raise ValueError(f"--network must be one of {', '.join(_LAYERS)}, got {self.network}")
        least = _LAYERS[self.network] - 1
        if self.steps < least:
            raise ValueError(
                f"--T must be at least {least}, the number of hidden layers of {self.network}: with fewer steps no "
                f"error reaches the first layer; got {self.steps}"
            )


class VGG(Experiment):
    """VGG-5, 7 or 9 on CIFAR-10."""

    name = "vgg"
    help = "VGG-5, 7 or 9 on CIFAR-10: PC, iPC, nudged PC, Z-IL, ePC and backprop."
    source = (
        "networks, batch 128, 50 epochs, AdamW with warm-up and cosine decay, values by SGD with momentum, mirrored "
        "and shifted images: of the common benchmark (Pinchetti et al., arXiv 2407.01163). T and the rates of PC and "
        "nudged PC lie within the ranges found best there for VGG-5 and VGG-7. Not published: VGG-9 and its T; gelu; "
        "the rates of iPC; Z-IL and ePC (step 1e-3, T = 5) with PC's optimiser of the weights; five seeds, all of "
        "which count."
    )
    prints = "Test accuracy on CIFAR-10."
    settings = VGGSettings(
        epochs=50, lr=1.2e-4, state_lr=0.03, state_momentum=0.4, ipc_lr=3e-5, ipc_weight_decay=1e-3, ipc_state_lr=0.1,
        epc_lr=1e-3,
    )  # fmt: skip
    quick = dataclasses.replace(settings, seeds=1, epochs=1, samples=320, test_samples=200, batch_size=32)

    def arms(self, settings: VGGSettings) -> tuple[str, ...]:
        both = [f"{rule}-{energy}" for rule in _BOTH for energy in ("se", "ce")]
        return (*both, *[f"{rule}-se" for rule in ("ipc", *NUDGED, "zil", "epc")])

    def data(self, settings: VGGSettings, where: Where) -> Data:
        from ._cifar import cifar

        return cifar(settings, where)

    def arm(self, name: str, settings: VGGSettings, data: Data) -> Trained:
        import jax

        from .. import models as pxm
        from .. import predictive_coding as pxc
        from ._benchmark_rules import numbers_of, rule_of
        from ._cifar import augmentation
        from .frame import Trained

        rule, _, energy = name.partition("-")
        output = {"se": pxc.se_energy, "ce": pxc.ce_energy}[energy]
        network = {"vgg5": pxm.vgg5, "vgg7": pxm.vgg7, "vgg9": pxm.vgg9}[settings.network]

        def make() -> pxm.VGG:
            return network(classes=data.classes, act=jax.nn.gelu, energy=output)

        batches = settings.epochs * (len(data.train[0]) // settings.batch_size)
        made = rule_of(rule, numbers_of(rule, settings), settings.steps, _LAYERS[settings.network], batches)
        return Trained(
            make, made, data, settings.epochs, settings.batch_size, augment=augmentation(settings.augment),
            parallel="loop",
        )  # fmt: skip
