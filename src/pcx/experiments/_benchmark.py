"""Settings that the experiments of the common benchmark (Pinchetti et al., arXiv 2407.01163) share."""

from __future__ import annotations

from dataclasses import dataclass

from ._limits import check_momentum
from .frame import Settings

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
