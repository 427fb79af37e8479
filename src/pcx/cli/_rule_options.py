"""The options of each learning rule, with defaults that work. Imports nothing heavy."""

from dataclasses import dataclass
from typing import Literal, get_args

RuleName = Literal["pc", "ipc", "zil", "hil", "fpa", "nudged", "epc", "mcpc", "backprop"]
RULE_NAMES: tuple[RuleName, ...] = get_args(RuleName)


@dataclass(frozen=True)
class PCOptions:
    """Predictive coding: values settle for T steps, then the weights learn once (Rao & Ballard 1999; Whittington &
    Bogacz 2017)."""

    T: int = 8
    """Inference steps for each batch; 4 to 12 are usual, no fewer than the number of layers less one."""
    state_lr: float = 0.015
    """Step size of the values; 0.01 to 0.07 are usual. Larger ones learn as well at first, and may become unstable late
    in training, when the weights have grown."""
    state_momentum: float = 0.3
    """Momentum of the values, from 0 to below 1."""


@dataclass(frozen=True)
class IPCOptions:
    """Incremental PC: values and weights move together at each of T steps (arXiv 2212.00720)."""

    T: int = 8
    """Steps for each batch, no fewer than the number of layers; the weight optimiser takes as many."""
    state_lr: float = 0.8
    """Step size of the values; about 0.8 is usual."""
    state_momentum: float = 0.3
    """Momentum of the values, from 0 to below 1."""


@dataclass(frozen=True)
class ZILOptions:
    """Z-IL: backpropagation's update, by one sweep of local steps (NeurIPS 2020; arXiv 2103.04689)."""

    state_lr: float = 1.0
    """Step size of the values. 1 is exact; g < 1 scales a layer's update by g for each layer above it."""


@dataclass(frozen=True)
class HILOptions:
    """The hybrid: Z-IL's update while the error travels, then PC's from the settled values."""

    T: int = 8
    """Inference steps, no fewer than the network has layers."""
    state_lr: float = 0.1
    """Step size of the values after their first step, which is 1."""


@dataclass(frozen=True)
class FPAOptions:
    """Fixed predictions: errors relax under the Jacobians of the forward pass, toward backpropagation's (arXiv
    2006.04182)."""

    T: int = 16
    """Steps of relaxation; with a step size of 1 the number of layers less one is exact."""
    state_lr: float = 0.5
    """Step size of the errors, below 2."""


@dataclass(frozen=True)
class NudgedOptions:
    """Nudged PC: the output is held near its prediction, a part beta of the way to the target (arXiv 2407.01163)."""

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


@dataclass(frozen=True)
class EPCOptions:
    """PC with errors as coordinates: the same equilibria, reached in far fewer steps in deep networks (arXiv
    2505.20137)."""

    T: int = 5
    """Steps, each a pass of backpropagation; 4 to 8 are usual."""
    state_lr: float = 0.05
    """Step size of the errors; 0.001 to 0.1 are usual. What is stable falls as training goes on."""


@dataclass(frozen=True)
class MCPCOptions:
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
