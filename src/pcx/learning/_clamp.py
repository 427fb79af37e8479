"""Clamps: what the output nodes are held at while the others settle."""

from __future__ import annotations

import abc
import dataclasses
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp


@dataclasses.dataclass(frozen=True)
class Phase:
    """One settling: the targets, and the factor of its weight gradient in the update, None for one."""

    targets: dict[str, Any]
    factor: Any


class Clamp(abc.ABC):
    """What the output nodes are held at."""

    counts = False  # whether it needs to know how many steps were taken

    @abc.abstractmethod
    def phases(self, problem: Any, u: Mapping[str, Any], targets: Mapping[str, Any], count: Any) -> list[Phase]:
        """The settlings of one step.

        **Arguments:**

        - `u`: the forward predictions, by node.
        - `targets`: the true targets of the output nodes.
        - `count`: steps taken so far, if `counts`.
        """


@dataclasses.dataclass(frozen=True)
class Hard(Clamp):
    """Held at the target."""

    def phases(self, problem: Any, u: Mapping[str, Any], targets: Mapping[str, Any], count: Any) -> list[Phase]:
        return [Phase(dict(targets), None)]


@dataclasses.dataclass(frozen=True)
class Nudged(Clamp):
    """Held near the prediction, moved toward the target by a small part of the error: at `u - b (u - y)`, the weight
    gradient divided by b (arXiv 2407.01163, with equilibrium propagation's nudges). For a cross-entropy output the
    probabilities `softmax(u)` take the place of u, so that its gradient too is b times the loss's.

    **Arguments:**

    - `beta`: b, other than 0 and at most 1 in size; positive pulls toward the target, negative pushes away.
    - `centred`: two settlings, at +b and -b, and their difference over 2 b: the error of the gradient falls from O(b) to
        O(b^2), the cost doubles.
    - `alternate`: the sign of b changes with every batch.
    """

    beta: Any
    centred: bool = False
    alternate: bool = False

    def __post_init__(self) -> None:
        if isinstance(self.beta, (int, float)) and not 0 < abs(self.beta) <= 1:
            raise ValueError(f"Nudged: beta must be in [-1, 1] and not 0, got {self.beta}")
        if self.centred and self.alternate:
            raise ValueError("Nudged: centred takes both signs in every step; alternate has nothing to add")

    @property
    def counts(self) -> bool:  # type: ignore[override]
        return self.alternate

    def phases(self, problem: Any, u: Mapping[str, Any], targets: Mapping[str, Any], count: Any) -> list[Phase]:
        predicted = {}
        for name in targets:
            energy = problem.nodes[name].energy
            if energy not in ("squared", "entropy"):
                raise ValueError(
                    f"a nudged clamp knows how to nudge pxc.se_energy and pxc.ce_energy, but {name} has another energy"
                )
            predicted[name] = u[name] if energy == "squared" else jax.nn.softmax(u[name])
        beta = self.beta if not self.alternate else jnp.where(count % 2 == 0, self.beta, -self.beta)

        def nudged(b: Any, factor: Any) -> Phase:
            return Phase(
                {n: (p - b * (p - targets[n])).astype(p.dtype) for n, p in predicted.items()}, factor
            )

        if self.centred:
            return [nudged(beta, 1 / (2 * beta)), nudged(-beta, -1 / (2 * beta))]
        return [nudged(beta, 1 / beta)]
