"""Coordinates: the variables that settle, values of nodes or their errors."""

from __future__ import annotations

import abc
import dataclasses

from ..energy import (
    Bound,
    ForwardPass,
    Landscape,
    OverErrors,
    OverErrorStacks,
    OverFixedErrors,
    OverFixedErrorStacks,
    Problem,
    check_errors,
)
from ._clamp import Phase


class Coordinates(abc.ABC):
    """A choice of the landscape that a rule descends.

    **Attributes**, set in the class:

    - `travels`: whether errors travel one prediction a step, so that too few steps leave layers out.
    - `follow`: whether predictions follow the coordinates as they move.
    - `in_stacks`: whether the landscape computes equal layers together where the bound problem does.
    """

    travels = True
    follow = True
    in_stacks = False

    @abc.abstractmethod
    def landscape(self, bound: Bound, forward: ForwardPass, phase: Phase) -> Landscape:
        """Return the energy as a function of the coordinates.

        **Arguments:**

        - `bound`: the problem and its arrays.
        - `forward`: its forward pass.
        - `phase`: the values that the output nodes are clamped at, and factors of their energies.

        **Returns:** a `pcx.energy.Landscape`.
        """

    def check(self, rule: str, problem: Problem) -> None:  # noqa: B027
        """Refuse a problem that can't be written in these coordinates.

        **Arguments:**

        - `rule`: the name by which errors begin.
        - `problem`: the problem.

        **Raises:** `ValueError`, with the reason.
        """


@dataclasses.dataclass(frozen=True)
class Values(Coordinates):
    """The values of the nodes: predictive coding."""

    in_stacks = True

    def landscape(self, bound: Bound, forward: ForwardPass, phase: Phase) -> Landscape:
        return bound.landscape(phase.targets, scale=phase.scale, forward=forward)


@dataclasses.dataclass(frozen=True)
class Errors(Coordinates):
    """The errors of the nodes, from which values follow (arXiv 2505.20137)."""

    travels = False
    in_stacks = True

    def landscape(self, bound: Bound, forward: ForwardPass, phase: Phase) -> Landscape:
        if bound.together is not None:
            return OverErrorStacks(bound, phase.targets, phase.scale, forward)
        return OverErrors(bound, phase.targets, phase.scale)

    def check(self, rule: str, problem: Problem) -> None:
        check_errors(rule, problem)


@dataclasses.dataclass(frozen=True)
class FixedErrors(Coordinates):
    """The errors of the nodes, with predictions and Jacobians at their forward values (arXiv 2006.04182)."""

    follow = False
    in_stacks = True

    def landscape(self, bound: Bound, forward: ForwardPass, phase: Phase) -> Landscape:
        if bound.together is not None:
            return OverFixedErrorStacks(bound, phase.targets, phase.scale)
        return OverFixedErrors(bound, phase.targets, phase.scale)

    def check(self, rule: str, problem: Problem) -> None:
        check_errors(rule, problem)


def landscape_of(rule: str, coordinates: Coordinates, bound: Bound, forward: ForwardPass, phase: Phase) -> Landscape:
    """Return the landscape that coordinates give, with checks of what it is.

    **Arguments:**

    - `rule`: the name by which errors begin; the others as in `Coordinates.landscape`.

    **Raises:** `TypeError`, naming the coordinates.
    """
    call, landscape = f"{rule}: {type(coordinates).__name__}.landscape", coordinates.landscape(bound, forward, phase)
    if not isinstance(landscape, Landscape):
        raise TypeError(f"{call} must return a pxe.Landscape, got {type(landscape).__name__}")
    missing = [name for name in ("free", "names", "order") if not hasattr(landscape, name)]
    if missing:
        raise TypeError(
            f"{call}: {type(landscape).__name__} lacks {', '.join(missing)}; a landscape has the names of the "
            "nodes that move (free), of all nodes (names), and of all with parents before children (order)"
        )
    return landscape
