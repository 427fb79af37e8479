"""`mnist` and `fashion-mnist`: the MLP of the common benchmark, by every rule, with squared error and cross entropy."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from ._benchmark import NUDGED, ManyRules
from ._found import FOUND
from .frame import Experiment, Measure, Settings, Where

if TYPE_CHECKING:
    from .frame import Data, Trained


@dataclass(frozen=True)
class MLPSettings(ManyRules):
    """The network, beside what all rules share."""

    hidden: tuple[int, ...] = (128, 128, 128)
    """Widths of the hidden layers."""
    T: int = 8
    """Inference steps of PC, iPC and nudged PC; 4 to 8 were found best."""
    settings: Literal["published", "found"] = "published"
    """published, or found: of each rule the numbers that a search found, by as many trials for each, with squared
    error. They take the place of the rates, decays, momenta and the nudge."""

    def check(self) -> None:
        super().check()
        if self.settings not in ("published", "found"):
            raise ValueError(f"--settings must be published or found, got {self.settings}")
        # All that the rules share beside what every experiment has is searched for.
        shared = {each.name for each in dataclasses.fields(Settings)}
        numbers = [each for each in dataclasses.fields(ManyRules) if each.name not in shared]
        if self.settings == "found" and (own := [n.name for n in numbers if getattr(self, n.name) != n.default]):
            option = own[0].replace("_", "-")
            raise ValueError(f"--{option} has no effect beside --settings found: leave one of them out")


_BOTH = ("pc", "ipc", "zil", "hil", "fpa", "epc", "mcpc", "backprop")


class Classifier(Experiment):
    """The MLP of the common benchmark on a set of grey images."""

    of: Literal["mnist", "fashion-mnist"]
    source = (
        "the common benchmark's (Pinchetti et al., arXiv 2407.01163): 784-128-128-128-10, gelu, batch 128, AdamW with "
        "warm-up and cosine decay, T = 8, values by SGD with momentum, within the ranges found best there for PC, "
        "nudged PC and iPC. Z-IL, FPA (T = layers - 1, step 1) as they are defined; ePC at step 0.05, T = 5; HIL at "
        "step 0.1, T = 8; MCPC at 20 steps of 0.05, variance 1e-4; all with PC's optimiser of the weights."
    )
    measures = (Measure("test_accuracy", "test accuracy"),)
    settings = MLPSettings()
    quick = MLPSettings(seeds=2, epochs=2, samples=2000, test_samples=1000, hidden=(32, 32), batch_size=100)

    def source_of(self, settings: MLPSettings) -> str:
        if settings.settings == "published":
            return self.source
        return (
            "found by as many trials for each rule, on samples held out of the training set, with squared error "
            f"(benchmarks/results/settings-{self.of}); network, batch, steps and the course of the rate as published."
        )

    def arms(self, settings: MLPSettings) -> tuple[str, ...]:
        if settings.settings == "found":
            if self.of not in FOUND:
                raise ValueError(
                    f"--settings found: none have been found for {self.of}; benchmarks/settings.py searches for them"
                )
            return tuple(f"{rule}-se" for rule in FOUND[self.of])
        return (*[f"{rule}-{energy}" for rule in _BOTH for energy in ("se", "ce")], *[f"{r}-se" for r in NUDGED])

    def data(self, settings: MLPSettings, where: Where) -> Data:
        from .frame import images

        return images(self.of, settings, where)

    def arm(self, name: str, settings: MLPSettings, data: Data) -> Trained:
        import jax

        from .. import models as pxm
        from .. import predictive_coding as pxc
        from ._benchmark_rules import numbers_of, rule_of
        from .frame import Trained

        rule, _, energy = name.partition("-")
        widths = [data.train[0].shape[1], *settings.hidden, data.classes]
        output = {"se": pxc.se_energy, "ce": pxc.ce_energy}[energy]

        def make() -> pxm.MLP:
            return pxm.MLP(widths, act=jax.nn.gelu, energy=output)

        batches = settings.epochs * (len(data.train[0]) // settings.batch_size)
        numbers = FOUND[self.of][rule] if settings.settings == "found" else numbers_of(rule, settings)
        made = rule_of(rule, numbers, settings.T, len(settings.hidden) + 1, batches)
        return Trained(make, made, data, settings.epochs, settings.batch_size)


class MNIST(Classifier):
    """The MLP on MNIST."""

    name = of = "mnist"
    help = "MLP 784-128-128-128-10 on MNIST: every rule, with squared error and cross entropy."
    prints = "Test accuracy on MNIST."


class FashionMNIST(Classifier):
    """The MLP on Fashion-MNIST."""

    name = of = "fashion-mnist"
    help = "MLP 784-128-128-128-10 on Fashion-MNIST: every rule, with squared error and cross entropy."
    prints = "Test accuracy on Fashion-MNIST."
