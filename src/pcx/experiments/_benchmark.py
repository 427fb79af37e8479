"""Settings and rules that the experiments of the common benchmark (Pinchetti et al., arXiv 2407.01163) share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ._limits import check_momentum
from .frame import Settings

if TYPE_CHECKING:
    import optax

    from ..learning import Rule

NUDGED = ("pn", "nn", "cn")
"""Nudged PC moves the output toward the target and is published with squared error alone."""


@dataclass(frozen=True)
class BenchmarkSettings(Settings):
    """The settings that all of its rules share. The defaults are those of the MLP."""

    lr: float = 3e-4
    """Learning rate of the weights, by AdamW: up to 1.1 times over the first tenth, then down to 0.1 times."""
    weight_decay: float = 1e-3
    """Weight decay of AdamW."""
    state_lr: float = 0.015
    """Step size of the values, by SGD."""
    state_momentum: float = 0.3
    """Momentum of the values."""
    epc_lr: float = 0.05
    """Step size of the errors of ePC, which takes five steps."""

    def check(self) -> None:
        super().check()
        check_momentum("state_momentum", self.state_momentum)


@dataclass(frozen=True)
class ManyRules(BenchmarkSettings):
    """The settings of iPC and of nudged PC, too."""

    beta: float = 0.1
    """Nudge of pn, nn and cn."""
    ipc_lr: float = 2.6e-4
    """Learning rate of the weights of iPC, which are updated T times a batch."""
    ipc_weight_decay: float = 2e-2
    """Weight decay of iPC."""
    ipc_state_lr: float = 0.82
    """Step size of the values of iPC; the momentum is that of the others."""


def rule_of(name: str, s: BenchmarkSettings, T: int, layers: int, batches: int, *, level: bool = False) -> Rule:
    """Return a rule of the benchmark, or one beside them, with the benchmark's optimiser of the weights.

    **Arguments:**

    - `name`: `"pc"`, `"ipc"`, `"pn"`, `"nn"`, `"cn"`, `"zil"`, `"hil"`, `"fpa"`, `"epc"`, `"mcpc"` or `"backprop"`.
    - `s`: the settings; `ManyRules` for iPC and nudged PC.
    - `T`: inference steps of PC, iPC and nudged PC.
    - `layers`: how many the network has on its longest way.
    - `batches`: how many it learns from.
    - `level`: of Z-IL, whether it puts values on skips.
    """
    import optax

    from .. import learning as pxl

    values = optax.sgd(s.state_lr, momentum=s.state_momentum)
    weights = _adamw(s.lr, s.weight_decay, 2 * batches if name == "hil" else batches)
    if name == "ipc":
        assert isinstance(s, ManyRules)
        slow = _adamw(s.ipc_lr, s.ipc_weight_decay, batches * T)
        return pxl.ipc(slow, optax.sgd(s.ipc_state_lr, momentum=s.state_momentum), T)
    if name in NUDGED:
        assert isinstance(s, ManyRules)
        beta = -s.beta if name == "nn" else s.beta
        return pxl.nudged(weights, values, T, beta, centred=name == "cn")
    made: dict[str, Any] = {
        "pc": lambda: pxl.pc(weights, values, T),
        "zil": lambda: pxl.zil(weights, level=level),
        "hil": lambda: pxl.hil(weights, optax.sgd(optax.linear_schedule(1.0, 0.1, 1)), max(8, layers)),
        "fpa": lambda: pxl.fpa(weights, optax.sgd(1.0), layers - 1),
        "epc": lambda: pxl.epc(weights, optax.sgd(s.epc_lr), 5),
        "mcpc": lambda: pxl.mcpc(weights, 0.05, 20, burn_in=8, variance=1e-4),
        "backprop": lambda: pxl.backprop(weights),
    }
    return made[name]()


def _adamw(lr: float, decay: float, steps: int) -> optax.GradientTransformation:
    """The benchmark's optimiser of the weights: up to 1.1 lr over a tenth of the steps, then down to 0.1 lr."""
    import optax

    rate = optax.warmup_cosine_decay_schedule(lr, 1.1 * lr, max(steps // 10, 1), max(steps, 2), 0.1 * lr)
    return optax.adamw(rate, weight_decay=decay)
