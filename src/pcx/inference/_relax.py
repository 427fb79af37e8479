"""Settling: values move to low energy, with the weights fixed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

from ..core import warn, whole
from ..energy import Landscape, NodesIn, forms_of
from ._descent_solver import SolverLike, as_solver
from ._schedule import Schedule
from ._solution import RESULT, Solution
from ._solver import Observe, Solver, Trace, look_of
from ._stop import Stop, as_stop
from ._waiting import never_moving


def relax(
    landscape: Landscape,
    nodes: NodesIn,
    *,
    descent: SolverLike,
    stop: Stop | int,
    schedule: Schedule | None = None,
    key: Array | None = None,
    trace: Trace = False,
    observe: Observe | None = None,
    unobserved: int = 0,
) -> Solution:
    """Let the free nodes of a landscape settle.

    Fixed numbers of steps compile in a time that doesn't grow with them; the loop ends early where `stop` says so.

    **Arguments:**

    - `landscape`: the energy as a function of the free nodes, such as `Bound.landscape` gives.
    - `nodes`: their coordinates at the start, `{node: [batch, *shape]}`: those of the landscape's own forward pass, or
        any others. It is known by the arrays themselves which they are; where errors are in others is found out from
        the values, and an error no larger than rounding counts as none. Parts that the landscape clamps start, and
        stay, at what they are clamped at.
    - `descent`: an Optax transformation, applied to each node and sample by itself, or a `Descent`; or a dict of these
        by node, or a function that gives one for a node's name; or a `Solver`, such as `Flow`.
    - `stop`: a `Stop`, or a number of steps.
    - `schedule`: which nodes move when; by default `WaveFront()`.
    - `key`: for descents that draw random numbers.
    - `trace`: whether to keep each node's energy at every step; or a function of the nodes' coordinates that gives what
        is kept in their place, `{name: [batch]}`.
    - `observe`: a function of the nodes' coordinates, the results of which are summed over all steps, after each step,
        in the solution's `observed`.
    - `unobserved`: the number of steps at the beginning that are not observed, fewer than there are.

    **Returns:** a `Solution`.

    **Raises:** `TypeError` or `ValueError` for parts that don't go together, with the reason.
    """
    solver, stop = as_solver("relax", descent, schedule), as_stop("relax", stop)
    _check_unobserved(whole("relax", "unobserved", unobserved, 0), observe, stop)
    if isinstance(descent, Mapping):
        still = [n for n in descent if n in landscape.names and n not in landscape.free]
        if still:
            raise ValueError(
                f"relax: descent has an entry for {still[0]!r}, which is clamped and never moves; the nodes that move "
                f"are {', '.join(landscape.free)}"
            )
    found = settle(landscape, nodes, solver, stop, key=key, trace=trace, observe=observe, unobserved=unobserved)
    if stop.steps and landscape.free and solver.descent is not None:
        values = {n: v for n, v in forms_of(landscape.begin(nodes)).items() if n in landscape.free}
        still, why = never_moving(solver.descent, values, stop.steps)
        if still:
            warn(f"relax: the values of {', '.join(still)} never settle: {why}")
    return _compared(landscape, nodes, found, solver.temperature, stop) if landscape.free else found


def _check_unobserved(unobserved: int, observe: Observe | None, stop: Stop) -> None:
    """Refuse steps that are not observed where nothing is, or where none would be left."""
    if unobserved and observe is None:
        raise ValueError(f"relax: unobserved={unobserved} has no effect without observe, the function to observe by")
    if unobserved and unobserved >= stop.steps:
        raise ValueError(f"relax: unobserved={unobserved} leaves none of {stop.steps} steps to observe")


def settle(
    landscape: Landscape,
    nodes: NodesIn,
    solver: Solver,
    stop: Stop,
    *,
    key: Array | None = None,
    trace: Trace = False,
    observe: Observe | None = None,
    unobserved: int = 0,
) -> Solution:
    """Settle as `relax` does, for callers that compare energies themselves: no sample is marked as gone uphill.

    **Arguments:**

    - `solver`: how values settle; for others see `relax`.

    **Raises:** `ValueError` for parts that don't go together, with the reason.
    """
    solver.check("relax", landscape.free, landscape.names)
    if solver.random and key is None:
        raise ValueError(f"relax: {type(solver.descent or solver).__name__} draws random numbers: give a key")
    if not landscape.free:
        return _nothing_settles(landscape, stop, trace, observe, unobserved)
    start = landscape.begin(nodes)
    landscape.check_names("relax", start)
    start: Any = landscape.arranged(start, None if solver.descent is None else solver.descent.kind)
    return solver.solve(landscape, start, stop, key=key, trace=trace, observe=observe, unobserved=unobserved)


def _compared(
    landscape: Landscape, nodes: NodesIn, found: Solution, temperature: Array | float | None, stop: Stop
) -> Solution:
    """Return a solution whose result says which samples have gone uphill.

    **Arguments:**

    - `nodes`: the coordinates that settling was asked to start at.
    - `found`: the solution.
    - `temperature`: of the noise, see `Descent.temperature`.
    - `stop`: when it stopped.
    """
    if temperature is None:
        return found
    start = landscape.begin(nodes)
    before = landscape.energies(landscape.arranged(start))
    after = landscape.energies(found.nodes)
    rose = landscape.went_uphill(found.nodes, before, after, temperature, each=True)
    # One whose stop says that it is at rest is at rest, if not in the nearest valley.
    ended = RESULT.out_of_steps if stop.early else RESULT.settled
    result = jnp.where((found.result == ended) & rose, RESULT.diverged, found.result)
    return found._replace(result=result.astype(jnp.int32))


def _nothing_settles(
    landscape: Landscape, stop: Stop, trace: Trace, observe: Observe | None, unobserved: int
) -> Solution:
    """Return the solution of a network without free nodes: its energy is what it is, at every step."""
    energies = landscape.energies({})
    size = next(iter(energies.values())).shape[0]
    steps = 0 if stop.early else stop.steps
    look = look_of(landscape, trace)
    traces = None if look is None else {n: jnp.broadcast_to(e, (steps + 1, size)) for n, e in look({}).items()}
    result = jnp.full((size,), RESULT.settled, jnp.int32)
    times = max(steps - unobserved, 0)
    observed = None if observe is None else jax.tree.map(lambda a: times * a, observe({}))
    return Solution({}, jnp.full((size,), steps, jnp.int32), result, traces, jnp.int32(-1), observed)
