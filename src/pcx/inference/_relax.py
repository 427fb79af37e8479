"""The loop in which values settle."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp

from ..predictive_coding._convolution import for_loops
from ..predictive_coding._sums import first_not_finite
from ._descent import as_descent
from ._schedule import AllNodes, LayerTime, Schedule, Segment, WaveFront
from ._solution import RESULT, Solution
from ._stop import Steps, Stop


def relax(
    landscape: Any,
    nodes: Mapping[str, Any],
    *,
    descent: Any,
    stop: Stop | int,
    schedule: Schedule | None = None,
    key: jax.Array | None = None,
    trace: bool = False,
    observe: Callable[[dict[str, Any]], Any] | None = None,
) -> Any:
    """Let the free nodes of a landscape settle.

    Fixed numbers of steps compile in a time that doesn't grow with them; the loop ends early where `stop` says so.

    **Arguments:**

    - `landscape`: the energy as a function of the free nodes, from `pcx.predictive_coding.Problem.landscape`.
    - `nodes`: their values at the start, `{node: [batch, *shape]}`. Parts that the landscape holds start, and stay, at
        what they are held at.
    - `descent`: an Optax transformation, applied to each node by itself, or a `Descent`.
    - `stop`: a `Stop`, or a number of steps.
    - `schedule`: which nodes move when; by default `WaveFront()`.
    - `key`: for descents that draw random numbers.
    - `trace`: whether to keep each node's energy at every step.
    - `observe`: a function of the nodes' values, the results of which are summed over all steps, after each step; with
        it, a pair is returned, the solution and the sum.

    **Raises:** `ValueError` if parts don't go together.
    """
    descent = as_descent("relax", descent)
    stop = Steps(stop) if isinstance(stop, int) else stop
    schedule = WaveFront() if schedule is None else schedule
    if descent.random and key is None:
        raise ValueError(f"relax: {type(descent).__name__} draws random numbers: give a key")
    integrate = getattr(descent, "integrate", None)
    if integrate is not None:
        return integrate(landscape, nodes, stop, schedule, trace)
    nodes = landscape.hold(nodes) if hasattr(landscape, "hold") else nodes
    missing = [n for n in landscape.free if n not in nodes]
    if missing:
        raise ValueError(f"relax: nodes lack a value for {', '.join(missing)}")
    nodes = {n: nodes[n] for n in landscape.free}
    run = Run(landscape, descent, trace, observe)
    if stop.early:
        if isinstance(schedule, LayerTime):
            raise ValueError("relax: LayerTime takes a fixed number of steps; use Steps(...)")
        return run.until(nodes, stop, AllNodes() if isinstance(schedule, WaveFront) else schedule, key)
    return run.fixed(nodes, stop.steps, schedule, key)


class Run:
    """One settling: the steps of a descent on a landscape."""

    def __init__(self, landscape: Any, descent: Any, trace: bool, observe: Any) -> None:
        self.landscape, self.descent, self.trace, self.observe = landscape, descent, trace, observe
        self.index = {n: i for i, n in enumerate(landscape.names)}

    # -- a fixed number of steps ------------------------------------------------------------------------
    def fixed(self, nodes: dict[str, Any], steps: int, schedule: Schedule, key: Any) -> Any:
        segments = schedule.segments(self.landscape, steps)
        idle: dict[str, list[Any]] = {}
        if isinstance(schedule, WaveFront) and steps:
            first = segments[0].groups[0] if segments else ()
            waits = max(steps - segments[-1].repeats if segments else 0, 1)
            alike: dict[Any, list[Any] | None] = {}  # nodes of one form wait alike
            # Those that wait for the wave, and those that it doesn't reach in time.
            for name in [n for n in nodes if n not in first]:
                form = nodes[name].shape, nodes[name].dtype
                if form not in alike:
                    alike[form] = self.descent.idle(nodes[name], waits)
                unmoved = alike[form]
                if unmoved is None:
                    segments, idle = AllNodes().segments(self.landscape, steps), {}
                    break
                idle[name] = unmoved
        states: dict[str, Any] = {}
        bad = self.check(nodes, jnp.int32(-1), 0)
        traces: list[Any] = [self.energies(nodes)] if self.trace else []
        seen = None
        if self.observe is not None:
            seen = jax.tree.map(lambda a: jnp.zeros(a.shape, a.dtype), jax.eval_shape(self.observe, nodes))
        t = 0
        for segment in segments:
            for name in {n: None for group in segment.groups for n in group}:
                if name not in states:
                    states[name] = idle[name][t] if name in idle else self.descent.init(nodes[name])
            nodes, states, bad, key, seen, more = self.segment(segment, nodes, states, bad, key, seen, t)
            traces += [more] if self.trace else []
            t += segment.repeats
        size = next(iter(nodes.values())).shape[0] if nodes else 1
        taken = jnp.full((size,), steps, jnp.int32)
        trace = jax.tree.map(lambda *a: jnp.concatenate([jnp.atleast_2d(b) for b in a]), *traces) if traces else None
        solution = Solution(nodes, taken, _results(nodes, jnp.zeros((size,), jnp.int32)), trace, bad)
        return solution if self.observe is None else (solution, seen)

    def segment(
        self, segment: Segment, nodes: dict[str, Any], states: Any, bad: Any, key: Any, seen: Any, t: int
    ) -> Any:
        moving = [n for group in segment.groups for n in group]
        still = {n: v for n, v in nodes.items() if n not in moving}
        # With one group all that doesn't move is done with before the loop.
        slope = self.landscape.gradient(nodes, segment.groups[0]) if len(segment.groups) == 1 else None

        def step(carry: Any, i: Any) -> Any:
            values, states, bad, key, seen = carry
            key, draw = (None, None) if key is None else jax.random.split(key)
            values, states, _ = self.move(segment.groups, {**still, **values}, states, draw, slope)
            bad = self.check({n: values[n] for n in moving}, bad, t + 1 + i)
            if seen is not None:
                seen = jax.tree.map(jnp.add, seen, self.observe(values))
            energies = self.energies(values) if self.trace else None
            return ({n: values[n] for n in moving}, states, bad, key, seen), energies

        carry = {n: nodes[n] for n in moving}, {n: states[n] for n in moving}, bad, key, seen
        if segment.repeats == 1:
            carry, trace = step(carry, 0)
        else:
            body = for_loops(step, self.landscape.convolves)
            carry, trace = jax.lax.scan(body, carry, jnp.arange(segment.repeats, dtype=jnp.int32))
        values, new, bad, key, seen = carry
        return {**still, **values}, {**states, **new}, bad, key, seen, trace

    def move(self, groups: Sequence[Any], values: dict[str, Any], states: Any, key: Any, slope: Any) -> Any:
        """One step; also gives the gradients that it took."""
        states, gradients = dict(states), {}
        for group in groups:
            gradient = (slope or self.landscape.gradient(values, group))(values)
            moved = {}
            for name in group:
                draw = None if key is None else jax.random.fold_in(key, self.index[name])
                update, states[name] = self.descent.update(gradient[name], states[name], values[name], draw)
                moved[name] = values[name] + update.astype(values[name].dtype)
            values = {**values, **self.hold(moved)}
            gradients |= gradient
        return values, states, gradients

    # -- until settled ----------------------------------------------------------------------------------
    def until(self, nodes: dict[str, Any], stop: Stop, schedule: Schedule, key: Any) -> Any:
        if self.observe is not None:
            raise ValueError("relax: to observe every step needs a fixed number of them; use Steps(...)")
        (segment,) = schedule.segments(self.landscape, 1)
        states = {n: self.descent.init(v) for n, v in nodes.items()}
        size = next(iter(nodes.values())).shape[0]
        slope = self.landscape.gradient(nodes, segment.groups[0]) if len(segment.groups) == 1 else None

        def step(carry: Any) -> Any:
            t, values, states, done, taken, before, bad, key, trace = carry
            key, draw = (None, None) if key is None else jax.random.split(key)
            each = self.energies(values)
            trace = {n: a.at[t].set(each[n]) for n, a in trace.items()}
            energy: Any = sum(each.values())
            moved, states, gradient = self.move(segment.groups, values, states, draw, slope)
            done = done | stop.reached(energy, before, gradient)
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
        body = for_loops(step, self.landscape.convolves)
        t, nodes, _, done, taken, _, bad, _, trace = jax.lax.while_loop(going, body, start)
        if self.trace:
            trace = {n: trace[n].at[t].set(e) for n, e in self.energies(nodes).items()}
        result = jnp.where(done, RESULT.settled, RESULT.out_of_steps).astype(jnp.int32)
        return Solution(nodes, taken, _results(nodes, result), trace or None, bad)

    def hold(self, moved: dict[str, Any]) -> dict[str, Any]:
        held: dict[str, tuple[jax.Array, jax.Array]] = getattr(self.landscape, "held", {})
        return {n: jnp.where(held[n][0], held[n][1], v) if n in held else v for n, v in moved.items()}

    # -- what one looks at ------------------------------------------------------------------------------
    def energies(self, nodes: dict[str, Any]) -> dict[str, Any]:
        return self.landscape.energies(nodes)

    def check(self, values: Mapping[str, Any], bad: Any, step: Any) -> Any:
        """The code of the first value that is not finite, see `Solution`."""
        first = first_not_finite(list(values.values()))
        places = jnp.asarray([self.index[name] for name in values], jnp.int32)
        code = jnp.int32(len(self.index)) * step + places[first] if len(values) else jnp.int32(-1)
        return jnp.where((bad < 0) & (first >= 0), code, bad).astype(jnp.int32)


def _finite(nodes: Mapping[str, Any]) -> jax.Array:
    each = [jnp.all(jnp.isfinite(v), axis=tuple(range(1, v.ndim))) for v in nodes.values()]
    return jnp.all(jnp.stack(each), axis=0)


def _results(nodes: Mapping[str, Any], result: jax.Array) -> jax.Array:
    return jnp.where(_finite(nodes), result, RESULT.not_finite) if nodes else result
