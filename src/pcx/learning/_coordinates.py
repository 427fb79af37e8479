"""Coordinates: what settles, the values of nodes or their errors."""

from __future__ import annotations

import abc
import dataclasses

from ..energy import Bound, ForwardPass, Landscape, OverErrors, OverFixedErrors, Problem
from ..energy._over_errors import check_errors
from ._clamp import Phase


class Coordinates(abc.ABC):
    """A choice of the landscape that a rule descends."""

    travels = True  # whether errors travel one prediction a step, so that too few steps leave layers out
    follow = True  # whether predictions follow what moves

    @abc.abstractmethod
    def landscape(self, bound: Bound, forward: ForwardPass, phase: Phase) -> Landscape:
        """Return the energy as a function of the coordinates.

        **Arguments:**

        - `bound`: the problem and its arrays.
        - `forward`: its forward pass.
        - `phase`: what the output nodes are clamped at.
        """

    def check(self, rule: str, problem: Problem) -> None:  # noqa: B027
        """Refuse a problem that can't be written in these coordinates, in the name of `rule`.

        **Raises:** `ValueError`, with the reason.
        """


@dataclasses.dataclass(frozen=True)
class Values(Coordinates):
    """The values of the nodes: predictive coding."""

    def landscape(self, bound: Bound, forward: ForwardPass, phase: Phase) -> Landscape:
        return bound.landscape(phase.targets, scale=phase.scale, forward=forward)


@dataclasses.dataclass(frozen=True)
class Errors(Coordinates):
    """The errors of the nodes, from which values follow (arXiv 2505.20137)."""

    travels = False

    def landscape(self, bound: Bound, forward: ForwardPass, phase: Phase) -> Landscape:
        return OverErrors(bound, phase.targets, phase.scale)

    def check(self, rule: str, problem: Problem) -> None:
        check_errors(rule, problem)


@dataclasses.dataclass(frozen=True)
class FixedErrors(Coordinates):
    """The errors of the nodes, with predictions and Jacobians at their forward values (arXiv 2006.04182)."""

    follow = False

    def landscape(self, bound: Bound, forward: ForwardPass, phase: Phase) -> Landscape:
        return OverFixedErrors(bound, phase.targets, phase.scale)

    def check(self, rule: str, problem: Problem) -> None:
        check_errors(rule, problem)
