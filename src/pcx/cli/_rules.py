"""The table of rules: the options of each, their checks, and what is made of them.

A new rule is a class of options here, with a line in `Rules`. Imports nothing heavy: JAX and the rules themselves are
imported when a rule is made.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Literal, TypedDict, Unpack

from . import _checks
from ._failures import Refused

if TYPE_CHECKING:
    import jax
    import optax

    from ..learning import Rule


class Shared(TypedDict):
    """The options that every rule takes.

    **Attributes:**

    - `dtype`: of the products of layers; None for that of the network.
    - `equal_layers`: how layers that repeat are computed.
    """

    dtype: str | None
    equal_layers: Literal["auto", "looped", "stacked", "apart"]


@dataclass(frozen=True)
class RuleOptions:
    """The options of one rule: each kind of number is checked by its name."""

    def check(self, rule: str) -> None:
        """Raises `Refused` if an option has a value that can't be used.

        **Arguments:**

        - `rule`: the name of the rule.
        """
        for each in fields(self):
            value, option = getattr(self, each.name), f"{rule}.{each.name}"
            if each.name == "T":
                _checks.at_least(option, value, 1)
                _checks.at_most(option, value, _checks.MOST)
            elif each.name in ("state_lr", "step"):
                _checks.rate(option, value)
            elif each.name in ("variance", "burn_in"):
                _checks.at_least(option, value, 0)
            elif each.name in ("state_momentum", "momentum"):
                _checks.momentum(option, value)

    def make(self, optim: optax.GradientTransformation, **shared: Unpack[Shared]) -> Rule:
        """Return the rule.

        **Arguments:**

        - `optim`: the optimiser of the weights.
        - `shared`: what every rule takes.
        """
        raise NotImplementedError

    @property
    def updates(self) -> int:
        """The number of updates of the weights for each batch."""
        return 1


@dataclass(frozen=True)
class PCOptions(RuleOptions):
    """Predictive coding: values settle for T steps, then the weights learn once (Rao & Ballard 1999; Whittington &
    Bogacz 2017)."""

    T: int = 8
    """Inference steps for each batch; 4 to 12 are usual, no fewer than the number of layers less one."""
    state_lr: float = 0.015
    """Step size of the values; 0.01 to 0.07 are usual. Larger ones learn as well at first, and may become unstable late
    in training, when the weights have grown."""
    state_momentum: float = 0.3
    """Momentum of the values, from 0 to below 1."""

    def make(self, optim: optax.GradientTransformation, **shared: Unpack[Shared]) -> Rule:
        from .. import learning as pxl

        return pxl.pc(optim, _sgd(self.state_lr, self.state_momentum), self.T, **shared)


@dataclass(frozen=True)
class IPCOptions(RuleOptions):
    """Incremental PC: values and weights move together at each of T steps (arXiv 2212.00720)."""

    T: int = 8
    """Steps for each batch, no fewer than the number of layers; the weight optimiser takes as many."""
    state_lr: float = 0.8
    """Step size of the values; about 0.8 is usual."""
    state_momentum: float = 0.3
    """Momentum of the values, from 0 to below 1."""

    def make(self, optim: optax.GradientTransformation, **shared: Unpack[Shared]) -> Rule:
        from .. import learning as pxl

        return pxl.ipc(optim, _sgd(self.state_lr, self.state_momentum), self.T, **shared)

    @property
    def updates(self) -> int:
        return self.T


@dataclass(frozen=True)
class ZILOptions(RuleOptions):
    """Z-IL: backpropagation's update, by one sweep of local steps (NeurIPS 2020; arXiv 2103.04689)."""

    state_lr: float = 1.0
    """Step size of the values. 1 is exact; g < 1 scales a layer's update by g for each layer above it."""

    def make(self, optim: optax.GradientTransformation, **shared: Unpack[Shared]) -> Rule:
        from .. import learning as pxl

        return pxl.zil(optim, _sgd(self.state_lr), **shared)


@dataclass(frozen=True)
class HILOptions(RuleOptions):
    """The hybrid: Z-IL's update while the error travels, then PC's from the settled values."""

    T: int = 8
    """Inference steps, no fewer than the network has layers."""
    state_lr: float = 0.1
    """Step size of the values after their first step, which is 1."""

    def make(self, optim: optax.GradientTransformation, **shared: Unpack[Shared]) -> Rule:
        import optax

        from .. import learning as pxl

        return pxl.hil(optim, optax.sgd(optax.linear_schedule(1.0, self.state_lr, 1)), self.T, **shared)

    @property
    def updates(self) -> int:
        return 2


@dataclass(frozen=True)
class FPAOptions(RuleOptions):
    """Fixed predictions: errors relax under the Jacobians of the forward pass, toward backpropagation's (arXiv
    2006.04182)."""

    T: int = 16
    """Steps of relaxation; with a step size of 1 the number of layers less one is exact."""
    state_lr: float = 0.5
    """Step size of the errors, below 2."""

    def make(self, optim: optax.GradientTransformation, **shared: Unpack[Shared]) -> Rule:
        from .. import learning as pxl

        return pxl.fpa(optim, _sgd(self.state_lr), self.T, **shared)


@dataclass(frozen=True)
class NudgedOptions(RuleOptions):
    """Nudged PC: the output is clamped near its prediction, a part beta of the way to the target (arXiv 2407.01163)."""

    T: int = 8
    """Inference steps for each settling; 4 to 12 are usual, no fewer than the number of layers less one."""
    state_lr: float = 0.05
    """Step size of the values; 0.01 to 0.1 are usual."""
    state_momentum: float = 0.5
    """Momentum of the values, from 0 to below 1."""
    beta: float = 0.5
    """Part of the way to the target, from -1 to 1, not 0; below 0 pushes away from it."""
    phases: Literal["one", "centred", "alternate"] = "one"
    """one: at beta; centred: at beta and at -beta, at twice the cost; alternate: sign by batch."""
    follow: bool = False
    """Let the clamp follow the prediction as the values settle, as in equilibrium propagation."""

    def check(self, rule: str) -> None:
        super().check(rule)
        if not 0 < abs(self.beta) <= 1:
            raise Refused(f"--{rule}.beta must be from -1 to 1 and not 0, got {self.beta}")

    def make(self, optim: optax.GradientTransformation, **shared: Unpack[Shared]) -> Rule:
        from .. import learning as pxl

        optim_h = _sgd(self.state_lr, self.state_momentum)
        centred, alternate = self.phases == "centred", self.phases == "alternate"
        return pxl.nudged(
            optim, optim_h, self.T, self.beta, centred=centred, alternate=alternate, follow=self.follow, **shared
        )


@dataclass(frozen=True)
class EPCOptions(RuleOptions):
    """PC with errors as coordinates: the same equilibria, reached in far fewer steps in deep networks (arXiv
    2505.20137)."""

    T: int = 5
    """Steps, each a pass of backpropagation; 4 to 8 are usual."""
    state_lr: float = 0.05
    """Step size of the errors; 0.001 to 0.1 are usual. What is stable falls as training goes on."""

    def make(self, optim: optax.GradientTransformation, **shared: Unpack[Shared]) -> Rule:
        from .. import learning as pxl

        return pxl.epc(optim, _sgd(self.state_lr), self.T, **shared)


@dataclass(frozen=True)
class MCPCOptions(RuleOptions):
    """Monte Carlo PC: values follow Langevin dynamics, weights learn from the mean gradient over the chain (Oliviers,
    Bogacz & Meulemans 2024)."""

    T: int = 20
    """Steps of the chain for each batch."""
    step: float = 0.05
    """Step size of the chain."""
    variance: float = 1e-4
    """Temperature: 1 samples from the posterior, smaller values stay nearer to its peak."""
    momentum: float = 0.0
    """Momentum of the chain, from 0 to below 1."""
    burn_in: int = 8
    """Steps at the start of the chain that the weights don't learn from, fewer than T."""

    def check(self, rule: str) -> None:
        super().check(rule)
        if self.burn_in >= self.T:
            raise Refused(f"--{rule}.burn-in must be below --{rule}.T, got {self.burn_in} of {self.T}")

    def make(self, optim: optax.GradientTransformation, **shared: Unpack[Shared]) -> Rule:
        from .. import learning as pxl

        return pxl.mcpc(
            optim, self.step, self.T, burn_in=self.burn_in, variance=self.variance, momentum=self.momentum, **shared
        )


@dataclass(frozen=True)
class BackpropOptions(RuleOptions):
    """Backpropagation of the same loss."""

    def make(self, optim: optax.GradientTransformation, **shared: Unpack[Shared]) -> Rule:
        from .. import learning as pxl

        return pxl.backprop(optim, **shared)


@dataclass(frozen=True)
class Rules:
    """The table: the options of each rule, by the name that it has in the command."""

    pc: PCOptions = field(default_factory=PCOptions)
    ipc: IPCOptions = field(default_factory=IPCOptions)
    zil: ZILOptions = field(default_factory=ZILOptions)
    hil: HILOptions = field(default_factory=HILOptions)
    fpa: FPAOptions = field(default_factory=FPAOptions)
    nudged: NudgedOptions = field(default_factory=NudgedOptions)
    epc: EPCOptions = field(default_factory=EPCOptions)
    mcpc: MCPCOptions = field(default_factory=MCPCOptions)
    backprop: BackpropOptions = field(default_factory=BackpropOptions)


RULE_NAMES = tuple([each.name for each in fields(Rules)])
if TYPE_CHECKING:
    RuleName = str
else:
    RuleName = Literal[RULE_NAMES]


def momentum_of(momentum: float | jax.Array) -> float | jax.Array | None:
    """Return a momentum as Optax takes it; one of 0 is none, unless it is traced, as in a sweep."""
    return None if isinstance(momentum, (int, float)) and not momentum else momentum


def _sgd(rate: float | jax.Array, momentum: float | jax.Array = 0.0) -> optax.GradientTransformation:
    """The transformation of the values."""
    import optax

    return optax.sgd(rate, momentum_of(momentum))  # pyright: ignore[reportArgumentType]  # it may be traced
