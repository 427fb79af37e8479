"""The loop in which values settle."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp

from ..energy._landscape import SLACK, Landscape
from ..energy._loops import scan, while_loop
from ..energy._sums import first_not_finite
from ._descent import as_descent
from ._schedule import AllNodes, LayerTime, Schedule, Segment, WaveFront, as_schedule, check_segments, cut
from ._solution import RESULT, Solution
from ._stop import Stop, as_stop
from ._wave import Wave


def relax(
    landscape: Landscape,
    nodes: Mapping[str, Any],
    *,
    descent: Any,
    stop: Stop | int,
    schedule: Schedule | None = None,
    key: jax.Array | None = None,
    trace: bool = False,
    observe: Callable[[dict[str, Any]], Any] | None = None,
    unobserved: int = 0,
) -> Solution:
    """Let the free nodes of a landscape settle.

    Fixed numbers of steps compile in a time that doesn't grow with them; the loop ends early where `stop` says so.

    **Arguments:**

    - `landscape`: the energy as a function of the free nodes, from `pcx.energy.Problem.landscape`.
    - `nodes`: their values at the start, `{node: [batch, *shape]}`: those of the landscape's own forward pass, or any
        others. It is known by the arrays themselves which they are; where errors are in others is found out from the
        values, and an error no larger than rounding counts as none. Parts that the landscape holds start, and stay, at
        what they are held at.
    - `descent`: an Optax transformation, applied to each node and sample by itself, or a `Descent`; or a dict of these
        by node, or a function that gives one for a node's name.
    - `stop`: a `Stop`, or a number of steps.
    - `schedule`: which nodes move when; by default `WaveFront()`.
    - `key`: for descents that draw random numbers.
    - `trace`: whether to keep each node's energy at every step.
    - `observe`: a function of the nodes' values, the results of which are summed over all steps, after each step, in
        the solution's `observed`.
    - `unobserved`: steps at the beginning that are not observed.

    **Raises:** `ValueError` if parts don't go together.
    """
    descent = as_descent("relax", descent)
    stop = as_stop("relax", stop)
    found = settle(
        landscape,
        nodes,
        descent=descent,
        stop=stop,
        schedule=schedule,
        key=key,
        trace=trace,
        observe=observe,
        unobserved=unobserved,
    )
    if not landscape.free:
        return found
    return _compared(landscape, landscape.begin(nodes), found, descent.temperature, stop)


def settle(
    landscape: Landscape,
    nodes: Mapping[str, Any],
    *,
    descent: Any,
    stop: Stop | int,
    schedule: Schedule | None = None,
    key: jax.Array | None = None,
    trace: bool = False,
    observe: Callable[[dict[str, Any]], Any] | None = None,
    unobserved: int = 0,
) -> Solution:
    """Settle as `relax` does, for callers that compare energies themselves: no sample is marked as gone uphill.

    **Arguments:** see `relax`.
    """
    descent = as_descent("relax", descent)
    stop = as_stop("relax", stop)
    schedule = as_schedule("relax", schedule)
    descent.check("relax", landscape.free, landscape.names)
    if descent.random and key is None:
        raise ValueError(f"relax: {type(descent).__name__} draws random numbers: give a key")
    if not landscape.free:
        return _nothing_settles(landscape, stop, trace, observe, unobserved)
    integrate = getattr(descent, "integrate", None)
    if integrate is not None:
        if observe is not None:
            raise ValueError(f"relax: {type(descent).__name__} integrates a flow, which has no steps to observe")
        return integrate(landscape, nodes, stop, schedule, trace)
    nodes = landscape.begin(nodes)
    missing = [n for n in landscape.free if n not in nodes]
    if missing:
        raise ValueError(f"relax: nodes lack a value for {', '.join(missing)}")
    nodes = {n: nodes[n] for n in landscape.free}
    if isinstance(schedule, LayerTime) and not _starts_forward(landscape, nodes):
        raise ValueError(
            "relax: LayerTime follows the wave from a forward pass, and these nodes are not the landscape's: give the "
            "values of its own start(), made in the same compiled function; or another schedule"
        )
    run = Run(landscape, descent, trace, observe, unobserved)
    if stop.early:
        if isinstance(schedule, LayerTime):
            raise ValueError("relax: LayerTime takes a fixed number of steps; use Steps(...)")
        return run.until(nodes, stop, AllNodes() if isinstance(schedule, WaveFront) else schedule, key)
    return run.fixed(nodes, stop.steps, schedule, key)


class Run:
    """One settling: the steps of a descent on a landscape."""

    def __init__(self, landscape: Landscape, descent: Any, trace: bool, observe: Any, unobserved: int = 0) -> None:
        self.landscape, self.descent, self.trace, self.observe = landscape, descent, trace, observe
        self.unobserved = unobserved
        self.index = {n: i for i, n in enumerate(landscape.names)}
        self.alike: dict[Any, tuple[int, list[Any] | None]] = {}  # nodes of one form and one descent wait alike
        self.wave: Wave | None = None
        self.unreached: Any = 0  # the step at which an error may reach the last node

    # -- a fixed number of steps ------------------------------------------------------------------------
    def fixed(self, nodes: dict[str, Any], steps: int, schedule: Schedule, key: Any) -> Any:
        segments, idle = self.planned(nodes, steps, schedule)
        states: dict[str, Any] = {}
        bad = self.check(nodes, jnp.int32(-1), 0)
        traces: list[Any] = [self.energies(nodes)] if self.trace else []
        seen = None
        if self.observe is not None:
            seen = jax.tree.map(lambda a: jnp.zeros(a.shape, a.dtype), jax.eval_shape(self.observe, nodes))
        t = 0
        # Schedules leave out steps at the end in which nothing moves; those who look see them.
        left = Segment(max(steps - sum(segment.repeats for segment in segments), 0), ())
        for segment in cut((*segments, left), self.unobserved):
            for name in {n: None for group in segment.groups for n in group}:
                if name not in states:
                    states[name] = idle[name][t] if name in idle else self.descent.at(name).init(nodes[name])
            looked = None if t < self.unobserved else seen
            nodes, states, bad, key, looked, more = self.segment(segment, nodes, states, bad, key, looked, t)
            seen = seen if looked is None else looked
            traces += [more] if self.trace else []
            t += segment.repeats
        size = next(iter(nodes.values())).shape[0] if nodes else 1
        taken = jnp.full((size,), steps, jnp.int32)
        trace = jax.tree.map(lambda *a: jnp.concatenate([jnp.atleast_2d(b) for b in a]), *traces) if traces else None
        return Solution(nodes, taken, _results(nodes, jnp.zeros((size,), jnp.int32)), trace, bad, seen)

    def planned(
        self, nodes: dict[str, Any], steps: int, schedule: Schedule
    ) -> tuple[tuple[Segment, ...], dict[str, list[Any]]]:
        """The steps to take, and the states of nodes that wait for the wave after each step of waiting."""
        every = AllNodes().segments(self.landscape, steps)
        if not isinstance(schedule, WaveFront):
            segments = schedule.segments(self.landscape, steps)
            check_segments(schedule, self.landscape, segments, steps)
            self.watch(nodes, segments, steps)
            return segments, {}
        segments = schedule.segments(self.landscape, steps) if _starts_forward(self.landscape, nodes) else every
        first = segments[0].groups[0] if segments else ()
        waits = max(steps - segments[-1].repeats if segments else 0, 1)
        waiting = [n for n in nodes if n not in first] if steps else []
        idle = self.idle({n: nodes[n] for n in waiting}, waits)
        if idle is None:
            segments, idle = every, {}
        self.watch(nodes, segments, steps)
        return segments, idle

    def idle(self, nodes: dict[str, Any], steps: int) -> dict[str, list[Any]] | None:
        """The states of nodes after 0, 1, ..., `steps` steps with zero gradient; None if one may move."""
        idle: dict[str, list[Any]] = {}
        for name, value in nodes.items():
            descent = self.descent.at(name)
            form = id(descent), value.shape, value.dtype
            known, states = self.alike.get(form, (-1, None))
            if known < steps and (known < 0 or states is not None):
                states = descent.idle(value, steps)
                self.alike[form] = steps, states
            if states is None:
                return None
            idle[name] = states
        return idle

    def watch(
        self,
        nodes: dict[str, Any],
        segments: Sequence[Segment],
        steps: int,
        early: bool = False,
        tied: Mapping[str, Any] | None = None,
    ) -> None:
        """Find out where errors are at the start: nodes that none can have reached have a gradient of exactly zero."""
        self.wave, self.unreached = None, 0
        if not segments or not steps:
            return
        # Where a step with zero gradient moves nodes, all have errors of their own after it.
        stays = self.idle(nodes, 1) is not None
        if not stays and not early and not _starts_forward(self.landscape, nodes):
            return
        groups = next((s.groups for s in segments if len(s.groups) > 1), None)
        wave = Wave.of(self.landscape, nodes, groups, tied)
        if wave is not None:
            self.unreached = wave.last()
            self.wave = wave if stays else wave.at_once()

    def segment(
        self, segment: Segment, nodes: dict[str, Any], states: Any, bad: Any, key: Any, seen: Any, t: int
    ) -> Any:
        if not segment.groups:
            if seen is not None:
                seen = jax.tree.map(lambda s, a: s + segment.repeats * a, seen, self.observe(nodes))
            trace = None
            if self.trace:
                each = self.energies(nodes)
                trace = {n: jnp.broadcast_to(e, (segment.repeats, *e.shape)) for n, e in each.items()}
            return nodes, states, bad, key, seen, trace
        moving = [n for group in segment.groups for n in group]
        still = {n: v for n, v in nodes.items() if n not in moving}
        # With one group all that doesn't move is done with before the loop.
        slope = self.landscape.gradient(nodes, segment.groups[0]) if len(segment.groups) == 1 else None

        def step(carry: Any, i: Any) -> Any:
            values, states, bad, key, seen = carry
            key, draw = (None, None) if key is None else jax.random.split(key)
            values, states, _ = self.move(segment.groups, {**still, **values}, states, draw, slope, t + i)
            bad = self.check({n: values[n] for n in moving}, bad, t + 1 + i)
            if seen is not None:
                seen = jax.tree.map(jnp.add, seen, self.observe(values))
            energies = self.energies(values) if self.trace else None
            return ({n: values[n] for n in moving}, states, bad, key, seen), energies

        carry = {n: nodes[n] for n in moving}, {n: states[n] for n in moving}, bad, key, seen
        if segment.repeats == 1:
            carry, trace = step(carry, 0)
        else:
            carry, trace = scan(step, carry, jnp.arange(segment.repeats, dtype=jnp.int32))
        values, new, bad, key, seen = carry
        return {**still, **values}, {**states, **new}, bad, key, seen, trace

    def move(self, groups: Sequence[Any], values: dict[str, Any], states: Any, key: Any, slope: Any, step: Any) -> Any:
        """One step, the `step`-th from 0; also gives the gradients that it took."""
        states, gradients = dict(states), {}
        for group in groups:
            gradient = (slope or self.landscape.gradient(values, group))(values)
            if self.wave is not None:
                gradient = {n: self.wave.felt(n, g, step) for n, g in gradient.items()}
            moved = {}
            for name in group:
                descent = self.descent.at(name)
                draw = jax.random.fold_in(key, self.index[name]) if key is not None and descent.random else None
                update, states[name] = descent.update(gradient[name], states[name], values[name], draw)
                moved[name] = values[name] + update.astype(values[name].dtype)
            values = {**values, **self.landscape.project(moved)}
            gradients |= gradient
        return values, states, gradients

    # -- until settled ----------------------------------------------------------------------------------
    def until(self, nodes: dict[str, Any], stop: Stop, schedule: Schedule, key: Any) -> Any:
        if self.observe is not None:
            raise ValueError("relax: to observe every step needs a fixed number of them; use Steps(...)")
        segment = _each_step(schedule, self.landscape, stop.steps)
        self.watch(nodes, (segment,), stop.steps, early=True)
        states = {n: self.descent.at(n).init(v) for n, v in nodes.items()}
        size = next(iter(nodes.values())).shape[0]
        slope = self.landscape.gradient(nodes, segment.groups[0]) if len(segment.groups) == 1 else None

        def step(carry: Any) -> Any:
            t, values, states, done, taken, before, bad, key, trace = carry
            key, draw = (None, None) if key is None else jax.random.split(key)
            each = self.energies(values)
            trace = {n: a.at[t].set(each[n]) for n, a in trace.items()}
            energy: Any = sum(each.values())
            moved, states, gradient = self.move(segment.groups, values, states, draw, slope, t)
            rest = stop.reached(energy, before, gradient)
            done = done | (rest & (t >= self.unreached) if stop.waits else rest)
            values = {n: jnp.where(done.reshape(-1, *[1] * (v.ndim - 1)), values[n], v) for n, v in moved.items()}
            bad = self.check(values, bad, t + 1)
            done = done | ~_finite(values)
            return t + 1, values, states, done, taken + (~done).astype(jnp.int32), energy, bad, key, trace

        def going(carry: Any) -> Any:
            return (carry[0] < stop.steps) & ~jnp.all(carry[3])

        each = self.energies(nodes)
        energy: Any = sum(each.values())
        unseen = {n: jnp.full((stop.steps + 1, size), jnp.nan, e.dtype) for n, e in each.items()} if self.trace else {}
        start = (
            jnp.int32(0),
            nodes,
            states,
            jnp.zeros((size,), bool),
            jnp.zeros((size,), jnp.int32),
            jnp.full((size,), jnp.inf, jnp.result_type(energy)),
            self.check(nodes, jnp.int32(-1), 0),
            key,
            unseen,
        )
        t, nodes, _, done, taken, _, bad, _, trace = while_loop(going, step, start)
        if self.trace:
            trace = {n: trace[n].at[t].set(e) for n, e in self.energies(nodes).items()}
        result = jnp.where(done, RESULT.settled, RESULT.out_of_steps).astype(jnp.int32)
        return Solution(nodes, taken, _results(nodes, result), trace or None, bad)

    # -- what one looks at ------------------------------------------------------------------------------
    def energies(self, nodes: dict[str, Any]) -> dict[str, Any]:
        return self.landscape.energies(nodes)

    def check(self, values: Mapping[str, Any], bad: Any, step: Any) -> Any:
        """The code of the first value that is not finite, see `Solution`."""
        first = first_not_finite(list(values.values()))
        places = jnp.asarray([self.index[name] for name in values], jnp.int32)
        code = jnp.int32(len(self.index)) * step + places[first] if len(values) else jnp.int32(-1)
        return jnp.where((bad < 0) & (first >= 0), code, bad).astype(jnp.int32)


def _compared(
    landscape: Landscape, start: Mapping[str, Any], found: Solution, temperature: Any, stop: Stop
) -> Solution:
    """Return a solution whose result says which samples have gone uphill.

    **Arguments:**

    - `start`: the coordinates from which the nodes settled.
    - `temperature`: of the noise, see `Descent.temperature`.
    """
    if temperature is None:
        return found
    before = landscape.energies({n: start[n] for n in landscape.free})
    scale = sum([jnp.abs(e) for e in landscape.without_logs(before).values()])
    rise = sum(landscape.energies(found.nodes).values()) - sum(before.values())
    values = found.nodes.values()
    eps = max(float(jnp.finfo(v.dtype).eps) for v in values)
    allowed = SLACK * scale + sum(v[0].size for v in values) * (eps + temperature)
    # One whose stop says that it is at rest is at rest, if not in the nearest valley.
    ended = RESULT.out_of_steps if stop.early else RESULT.settled
    result: Any = jnp.where((found.result == ended) & (rise > allowed), RESULT.diverged, found.result)
    return found._replace(result=result.astype(jnp.int32))


def _each_step(schedule: Schedule, landscape: Landscape, steps: int) -> Segment:
    """Return the step that a schedule takes again and again."""
    segments = schedule.segments(landscape, max(steps, 1))
    check_segments(schedule, landscape, segments, max(steps, 1))
    if len({s.groups for s in segments}) != 1 or sum(s.repeats for s in segments) < steps:
        raise ValueError(
            f"relax: with a stop that may come early every step must be the same, but those of "
            f"{type(schedule).__name__} are not; use Steps(...)"
        )
    return Segment(1, segments[0].groups)


def _starts_forward(landscape: Landscape, nodes: Mapping[str, Any]) -> bool:
    """Return whether nodes are at the start that the landscape's `arrival` is of."""
    return landscape.arrival is not None and landscape.starts_forward(nodes)


def _nothing_settles(landscape: Landscape, stop: Stop, trace: bool, observe: Any, unobserved: int) -> Solution:
    """The solution of a network without free nodes: its energy is what it is, at every step."""
    energies = landscape.energies({})
    size = next(iter(energies.values())).shape[0]
    steps = 0 if stop.early else stop.steps
    traces = {n: jnp.broadcast_to(e, (steps + 1, size)) for n, e in energies.items()} if trace else None
    result = jnp.full((size,), RESULT.settled, jnp.int32)
    times = max(steps - unobserved, 0)
    observed = None if observe is None else jax.tree.map(lambda a: times * a, observe({}))
    return Solution({}, jnp.full((size,), steps, jnp.int32), result, traces, jnp.int32(-1), observed)


def _finite(nodes: Mapping[str, Any]) -> jax.Array:
    each = [jnp.all(jnp.isfinite(v), axis=tuple(range(1, v.ndim))) for v in nodes.values()]
    return jnp.all(jnp.stack(each), axis=0)


def _results(nodes: Mapping[str, Any], result: jax.Array) -> jax.Array:
    return jnp.where(_finite(nodes), result, RESULT.not_finite) if nodes else result
