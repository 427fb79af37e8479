"""Settling by the steps of a descent."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeAlias

from jax import Array

from ..energy import Landscape, Nodes
from ._by_node import DescentLike, as_descent
from ._descent import Descents
from ._fixed import fixed_steps
from ._schedule import Schedule
from ._solution import Solution
from ._solver import Observe, Solver, Trace, look_of
from ._stop import Stop
from ._until import until
from ._wave_front import WaveFront

SolverLike: TypeAlias = Solver | DescentLike
"""How values settle: a solver, or what makes a descent."""


class DescentSolver(Solver):
    """The steps of a descent, in the order of a schedule.

    **Arguments:**

    - `descent`: how each node moves.
    - `schedule`: which nodes move when.
    """

    def __init__(self, descent: Descents, schedule: Schedule) -> None:
        self._descent, self.schedule = descent, schedule

    @property
    def descent(self) -> Descents:
        return self._descent

    @property
    def random(self) -> bool:
        return self._descent.random

    @property
    def temperature(self) -> Array | float | None:
        return self._descent.temperature

    def check(self, call: str, free: Iterable[str], nodes: Iterable[str]) -> None:
        self._descent.check(call, free, nodes)

    def solve(
        self,
        landscape: Landscape,
        start: Nodes,
        stop: Stop,
        *,
        key: Array | None = None,
        trace: Trace = False,
        observe: Observe | None = None,
        unobserved: int = 0,
    ) -> Solution:
        if stop.early and observe is not None:
            raise ValueError("relax: to observe every step needs a fixed number of them; use Steps(...)")
        plan = self.schedule.prepare(landscape, start, stop, self._descent)
        look = look_of(landscape, trace)
        if stop.early:
            return until(stop, landscape, self._descent, plan, start, key, look)
        return fixed_steps(stop.steps, landscape, self._descent, plan, start, key, look, observe, unobserved)


def as_schedule(call: str, x: object) -> Schedule:
    """Return a schedule, from one, or from None for the wave-front.

    **Arguments:**

    - `call`: what to name in errors.
    - `x`: the schedule.

    **Raises:** `TypeError` for anything else.
    """
    if x is None:
        return WaveFront()
    if not isinstance(x, Schedule):
        raise TypeError(
            f"{call}: schedule must be a pcx.inference.Schedule, such as pxi.AllNodes() or pxi.Sweeps('down'), got "
            f"{x!r}"
        )
    return x


def as_solver(call: str, x: object, schedule: Schedule | None = None) -> Solver:
    """Return a solver, from one, or from a descent or what makes one, see `as_descent`.

    **Arguments:**

    - `call`: what to name in errors.
    - `x`: how values settle.
    - `schedule`: which nodes move when; by default `WaveFront()`.

    **Raises:** `TypeError` for what is none of these; `ValueError` for a schedule with a solver that has none.
    """
    schedule = as_schedule(call, schedule)
    if isinstance(x, Solver):
        if not schedule.together:
            raise ValueError(
                f"{call}: {type(x).__name__} moves all nodes together: {type(schedule).__name__} can't be used"
            )
        return x
    return DescentSolver(as_descent(call, x), schedule)
