"""Clamps: what the output nodes are held at while the others settle."""

from __future__ import annotations

import abc
import dataclasses
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp

from ..inference._numbers import real


@dataclasses.dataclass(frozen=True)
class Phase:
    """One settling.

    **Attributes:**

    - `targets`: what the output nodes are held at.
    - `factor`: of its weight gradient in the update; None for one.
    - `scale`: of the output nodes' energies; None for one.
    """

    targets: dict[str, Any]
    factor: Any = None
    scale: Any = None


class Clamp(abc.ABC):
    """What the output nodes are held at."""

    @property
    def counts(self) -> bool:
        """Whether it needs to know how many steps were taken."""
        return False

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
        return [Phase(dict(targets))]


@dataclasses.dataclass(frozen=True)
class Nudged(Clamp):
    """Held near the prediction u, moved toward the target by a small part b of the error; the weight gradient is
    divided by b (arXiv 2407.01163). Positive b pulls toward the target, negative b pushes away.

    By default the output is held at `u - b (u - y)` with u the prediction of the forward pass, as in the paper. (For a
    cross-entropy output the probabilities `softmax(u)` take the place of u, so that its gradient too is b times the
    loss's.) The output node then resists when the settling values move its prediction, and its error at equilibrium is
    smaller than b (u - y) by a factor that doesn't depend on b: for b -> 0 the update does NOT tend to
    backpropagation's, unless few steps are taken.

    With `follow` the clamp follows the prediction as it moves, which is the same as an output energy b times the loss,
    the nudge of equilibrium propagation. The update then tends to backpropagation's with an error of O(b), or O(b^2) if
    centred.

    **Arguments:**

    - `beta`: b, other than 0 and at most 1 in size.
    - `centred`: two settlings, at +b and -b, and their difference over 2 b, at twice the cost.
    - `alternate`: the sign of b changes with every batch.
    - `follow`: whether the clamp follows the prediction.
    """

    beta: Any
    centred: bool = False
    alternate: bool = False
    follow: bool = False

    def __post_init__(self) -> None:
        real("Nudged", "beta", self.beta, lambda b: (b != 0) & (abs(b) <= 1), "in [-1, 1] and not 0")
        if self.centred and self.alternate:
            raise ValueError("Nudged: centred takes both signs in every step; alternate has nothing to add")

    @property
    def counts(self) -> bool:
        return self.alternate

    def phases(self, problem: Any, u: Mapping[str, Any], targets: Mapping[str, Any], count: Any) -> list[Phase]:
        beta = self.beta if not self.alternate else jnp.where(count % 2 == 0, self.beta, -self.beta)
        if self.centred:
            return [
                self._phase(problem, u, targets, beta, 1 / (2 * beta)),
                self._phase(problem, u, targets, -beta, -1 / (2 * beta)),
            ]
        return [self._phase(problem, u, targets, beta, 1 / beta)]

    def _phase(self, problem: Any, u: Mapping[str, Any], targets: Mapping[str, Any], b: Any, factor: Any) -> Phase:
        if self.follow:
            return Phase(dict(targets), factor, dict.fromkeys(targets, b))
        held = {}
        for name, y in targets.items():
            energy = problem.nodes[name].energy
            if energy not in ("squared", "entropy"):
                raise ValueError(
                    f"a nudged clamp knows pxc.se_energy and pxc.ce_energy, but {name} has another energy; "
                    "use follow=True"
                )
            predicted = u[name] if energy == "squared" else jax.nn.softmax(u[name])
            held[name] = (predicted - b * (predicted - y)).astype(y.dtype)
        return Phase(held, factor)
