"""`mnist` and `fashion-mnist`: the MLP of the common benchmark, by every rule, with squared error and cross entropy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from .frame import Experiment, Measure, Settings, Where

if TYPE_CHECKING:
    import optax

    from ..learning import Rule
    from .frame import Data, Trained


@dataclass(frozen=True)
class MLPSettings(Settings):
    """The network, and what all rules share."""

    hidden: tuple[int, ...] = (128, 128, 128)
    """Widths of the hidden layers."""
    T: int = 8
    """Inference steps of PC, iPC and nudged PC; 4 to 8 were found best."""
    lr: float = 3e-4
    """Learning rate of the weights, by AdamW: up to 1.1 times over the first tenth, then down to 0.1 times."""
    weight_decay: float = 1e-3
    """Weight decay of AdamW."""
    state_lr: float = 0.015
    """Step size of the values of PC and nudged PC, by SGD."""
    state_momentum: float = 0.3
    """Momentum of the values of PC, iPC and nudged PC."""
    beta: float = 0.1
    """Nudge of pn, nn and cn."""
    ipc_lr: float = 2.6e-4
    """Learning rate of the weights of iPC, which are updated T times a batch."""
    ipc_weight_decay: float = 2e-2
    """Weight decay of iPC."""
    ipc_state_lr: float = 0.82
    """Step size of the values of iPC."""


# Nudged PC moves the output toward the target and is published with squared error alone.
_BOTH = ("pc", "ipc", "zil", "hil", "fpa", "epc", "mcpc", "backprop")
_NUDGED = ("pn", "nn", "cn")


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

    def arms(self, settings: MLPSettings) -> tuple[str, ...]:
        return (*[f"{rule}-{energy}" for rule in _BOTH for energy in ("se", "ce")], *[f"{r}-se" for r in _NUDGED])

    def data(self, settings: MLPSettings, where: Where) -> Data:
        from .frame import images

        return images(self.of, settings, where)

    def arm(self, name: str, settings: MLPSettings, data: Data) -> Trained:
        import jax

        from .. import models as pxm
        from .. import predictive_coding as pxc
        from .frame import Trained

        rule, _, energy = name.partition("-")
        widths = [data.train[0].shape[1], *settings.hidden, data.classes]
        output = {"se": pxc.se_energy, "ce": pxc.ce_energy}[energy]

        def make() -> pxm.MLP:
            return pxm.MLP(widths, act=jax.nn.gelu, energy=output)

        batches = settings.epochs * (len(data.train[0]) // settings.batch_size)
        made = _rule(rule, settings, batches)
        return Trained(make, made, data, settings.epochs, settings.batch_size)


def _rule(name: str, s: MLPSettings, batches: int) -> Rule:
    import optax

    from .. import learning as pxl

    values = optax.sgd(s.state_lr, momentum=s.state_momentum)
    layers = len(s.hidden) + 1
    weights = _adamw(s.lr, s.weight_decay, 2 * batches if name == "hil" else batches)
    if name == "ipc":
        slow = _adamw(s.ipc_lr, s.ipc_weight_decay, batches * s.T)
        return pxl.ipc(slow, optax.sgd(s.ipc_state_lr, momentum=s.state_momentum), s.T)
    if name in _NUDGED:
        beta = -s.beta if name == "nn" else s.beta
        return pxl.nudged(weights, values, s.T, beta, centred=name == "cn")
    made: dict[str, Any] = {
        "pc": lambda: pxl.pc(weights, values, s.T),
        "zil": lambda: pxl.zil(weights),
        "hil": lambda: pxl.hil(weights, optax.sgd(optax.linear_schedule(1.0, 0.1, 1)), max(8, layers)),
        "fpa": lambda: pxl.fpa(weights, optax.sgd(1.0), layers - 1),
        "epc": lambda: pxl.epc(weights, optax.sgd(0.05), 5),
        "mcpc": lambda: pxl.mcpc(weights, 0.05, 20, burn_in=8, variance=1e-4),
        "backprop": lambda: pxl.backprop(weights),
    }
    return made[name]()


def _adamw(lr: float, decay: float, steps: int) -> optax.GradientTransformation:
    """The benchmark's optimiser of the weights: up to 1.1 lr over a tenth of the steps, then down to 0.1 lr."""
    import optax

    rate = optax.warmup_cosine_decay_schedule(lr, 1.1 * lr, max(steps // 10, 1), max(steps, 2), 0.1 * lr)
    return optax.adamw(rate, weight_decay=decay)


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
