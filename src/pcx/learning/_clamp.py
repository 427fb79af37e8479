"""Clamps: the values that the output nodes are clamped at while the others settle."""

from __future__ import annotations

import abc
import dataclasses
from typing import Any

import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike
from jaxtyping import Int

from ..core import real
from ..energy import Factors, Nodes, Problem
from ..predictive_coding import se_energy


@dataclasses.dataclass(frozen=True)
class Phase:
    """One settling of the values in a step.

    **Attributes:**

    - `targets`: the values that the output nodes are clamped at, `{node: [batch, *shape]}`.
    - `factor`: of its weight gradient in the update, a scalar; None for one.
    - `scale`: factors of the output nodes' energies, by name; None for one.
    """

    targets: Nodes
    factor: Array | float | None = None
    scale: Factors | None = None


class Clamp(abc.ABC):
    """The values that the output nodes are clamped at."""

    @property
    def counts(self) -> bool:
        """True if the phases depend on the number of steps taken."""
        return False

    @property
    def several(self) -> bool:
        """True if values settle more than once a step, or differently from step to step, so that none can be kept."""
        return self.counts

    @abc.abstractmethod
    def phases(self, problem: Problem, u: Nodes, targets: Nodes, count: Int[Array, ""] | None) -> list[Phase]:
        """Return the phases of one step.

        **Arguments:**

        - `problem`: nodes, their graph, and which are outputs.
        - `u`: the forward predictions, `{node: [batch, *shape]}`.
        - `targets`: the true targets of the output nodes, likewise.
        - `count`: the number of steps taken, if `counts`; else None.

        **Returns:** at least one `Phase`, in the order in which the values settle.

        **Raises:** `ValueError` for nodes that the clamp isn't made for.
        """


@dataclasses.dataclass(frozen=True)
class Hard(Clamp):
    """Clamped at the target."""

    def phases(self, problem: Problem, u: Nodes, targets: Nodes, count: Int[Array, ""] | None) -> list[Phase]:
        return [Phase(dict(targets))]


@dataclasses.dataclass(frozen=True)
class Nudged(Clamp):
    """Clamped near the prediction u, moved toward the target by a small part b of the error; the weight gradient is
    divided by b (arXiv 2407.01163). Positive b pulls toward the target, negative b pushes away.

    By default the output is clamped at `u - b (u - y)` with u the prediction of the forward pass, as in the paper. (For
    a cross-entropy output the probabilities `softmax(u)` take the place of u, so that its gradient too is b times the
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

    **Raises:** `TypeError` or `ValueError` for a `beta` out of this range, `ValueError` for `centred` with `alternate`.
    """

    beta: ArrayLike
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

    @property
    def several(self) -> bool:
        return self.counts or self.centred

    def phases(self, problem: Problem, u: Nodes, targets: Nodes, count: Int[Array, ""] | None) -> list[Phase]:
        beta: Any = self.beta
        if count is not None:
            beta = jnp.where(count % 2 == 0, beta, -beta)
        if self.centred:
            return [
                self._phase(problem, u, targets, beta, 1 / (2 * beta)),
                self._phase(problem, u, targets, -beta, -1 / (2 * beta)),
            ]
        return [self._phase(problem, u, targets, beta, 1 / beta)]

    def _phase(self, problem: Problem, u: Nodes, targets: Nodes, b: Any, factor: Any) -> Phase:
        if self.follow:
            scale: dict[str, Any] = dict.fromkeys(targets, b)
            return Phase(dict(targets), factor, scale)
        clamped = {}
        for name, y in targets.items():
            node = problem.nodes[name]
            form = se_energy if node.squared else node.form
            if form is None:
                raise ValueError(
                    f"a nudged clamp must know how the energy of {name} is nudged: give the node a pxc.Energy with "
                    "nudged(u, y, b), such as pxc.se_energy or pxc.ce_energy, or use follow=True"
                )
            clamped[name] = form.nudged(u[name], y, b).astype(y.dtype)
        return Phase(clamped, factor)


def phases_of(rule: str, clamp: Clamp, problem: Problem, u: Any, targets: Nodes, count: Array | None) -> list[Phase]:
    """Return the phases of a clamp, with checks of what it returns.

    **Arguments:**

    - `rule`: the name by which errors begin; the others as in `Clamp.phases`.

    **Raises:** `TypeError` or `ValueError`, naming the clamp.
    """
    call = f"{rule}: {type(clamp).__name__}.phases"
    # Of equal layers each prediction would be taken out of its stack; the clamps of this file read the targets' alone.
    own = type(clamp).phases.__module__ == __name__
    known = {n: u[n] for n in targets if n in u} if own else dict(u)
    phases: Any = clamp.phases(problem, known, dict(targets), count)
    if not isinstance(phases, (list, tuple)) or not phases or not all(isinstance(p, Phase) for p in phases):
        raise TypeError(f"{call} must return a list of at least one pxl.Phase, got {_shown(phases)}")
    for phase in phases:
        unknown = [n for n in phase.scale or {} if n not in problem.nodes]
        if unknown:
            raise ValueError(f"{call}: scale names {unknown[0]!r}; the nodes are {', '.join(problem.nodes)}")
        if phase.factor is not None and not _is_number(phase.factor):
            raise ValueError(f"{call}: the factor of a phase is one number, got {_shown(phase.factor)}")
    return list(phases)


def _is_number(x: Any) -> bool:
    return isinstance(x, (int, float)) or getattr(x, "shape", None) == ()


def _shown(x: Any) -> str:
    shape = getattr(x, "shape", None)
    if shape is not None:
        return f"an array of shape {shape}"
    return f"a {type(x).__name__}" + (
        f" of {', '.join(type(p).__name__ for p in x) or 'none'}" if isinstance(x, list) else ""
    )
