"""Rules that let the values settle and learn from where they came to rest: PC, nudged PC, MCPC, and incremental PC."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import optax

from ..energy._landscape import Landscape
from ..energy._loops import for_loops
from ..energy._problem import Problem
from ..energy._problem import Start as ForwardPass
from ..energy._structure import Structure, Values
from ..inference._descent import as_descent
from ..inference._proof import stands_still
from ..inference._relax import Run, relax, settle
from ..inference._schedule import AllNodes, LayerTime, Schedule, WaveFront, as_schedule
from ..inference._stop import Stop, as_stop
from ._batch import Batch
from ._clamp import Clamp, Hard
from ._gradient import output_energy, weight_gradient
from ._hold import check_values
from ._precision import values_of
from ._reach import moves_by_gradient_alone, warn_of_layers_out_of_reach
from ._rule import Learned, Rule
from ._start import Forward, Start
from ._state import State
from ._timing import AtEnd, ChainAverage, EveryStep, Timing
from ._uphill import rose, start_energies


class PredictiveCoding(Rule):
    """Values settle, weights learn from the energy's gradient there: `clamp` x `start` x settling x `timing`.

    **Arguments:**

    - `optim_w`, `learn`, `call`, `precision`: see `Rule`.
    - `optim_h`: how values move: an Optax transformation, applied to each node and each sample by itself, to gradients
        of the energy summed over the batch; or a `pcx.inference.Descent`. Or a dict from the name of each node that
        moves to one of these, or a function that gives one for a node's name.
    - `T`: the number of inference steps, or a `pcx.inference.Stop`.
    - `schedule`: which nodes move when, by default `pcx.inference.WaveFront()`.
    - `clamp`: `Hard()` or `Nudged(...)`.
    - `start`: `Forward()`, `Zeros()` or `Kept()`.
    - `timing`: `AtEnd()`, `EveryStep()` or `ChainAverage(...)`.
    """

    _settles_outputs = True

    def __init__(
        self,
        optim_w: optax.GradientTransformation,
        optim_h: Any,
        T: int | Stop,
        *,
        schedule: Schedule | None = None,
        clamp: Clamp | None = None,
        start: Start | None = None,
        timing: Timing | None = None,
        **options: Any,
    ):
        super().__init__(optim_w, **options)
        name = type(self).__name__
        self.descent = as_descent(name, optim_h)
        self.stop = as_stop(name, T, 1, "T")
        self.schedule = as_schedule(name, schedule)
        self.clamp = _part(name, "clamp", clamp, Clamp, Hard(), "Hard() or pxl.Nudged(0.1)")
        self.start = _part(name, "start", start, Start, Forward(), "Forward() or pxl.Zeros()")
        self.timing = _part(name, "timing", timing, Timing, AtEnd(), "AtEnd() or pxl.EveryStep()")
        self.random = self.descent.random
        if type(self.timing) not in (AtEnd, EveryStep, ChainAverage):
            raise TypeError(
                f"{name}: timing must be AtEnd(), EveryStep() or ChainAverage(...), got {type(self.timing).__name__}: "
                "a timing has no methods, so that one of your own would do nothing"
            )
        if not isinstance(self.timing, AtEnd):
            kind = type(self.timing).__name__
            if self.stop.early:
                raise ValueError(f"{name}: {kind} needs a fixed number of steps, T an int or pxi.Steps(...)")
            if not isinstance(self.clamp, Hard):
                raise ValueError(
                    f"{name}: {kind} learns on the way, where a nudged clamp's weight gradients don't add up"
                )
            if hasattr(self.descent, "integrate"):
                raise ValueError(f"{name}: {kind} needs steps, but {type(self.descent).__name__} integrates a flow")
        if isinstance(self.timing, EveryStep) and not isinstance(self.schedule, (WaveFront, AllNodes)):
            raise ValueError(
                f"{name}: EveryStep moves all values and weights at one point: schedule must be AllNodes()"
            )
        if isinstance(self.timing, ChainAverage) and self.timing.burn_in >= self.stop.steps:
            raise ValueError(
                f"{name}: burn_in={self.timing.burn_in} leaves none of T={self.stop.steps} steps to learn from"
            )
        if isinstance(self.schedule, LayerTime):
            if self.stop.early:
                raise ValueError(f"{name}: LayerTime takes a fixed number of steps, T an int or pxi.Steps(...)")
            if not self.start.forward:
                raise ValueError(f"{name}: LayerTime follows the wave from a forward pass: start must be Forward()")
        if self.start.keeps and (self.clamp.counts or getattr(self.clamp, "centred", False)):
            raise ValueError(f"{name}: kept values belong to one clamp, but this one has two")

    def _admit(self, problem: Problem) -> None:
        super()._admit(problem)
        self.descent.check(type(self).__name__, problem.free, problem.nodes)
        # From elsewhere errors are everywhere; and noise, or a weight decay of the values, moves all of them.
        if self.start.forward and moves_by_gradient_alone(self.descent, problem):
            schedule = AllNodes() if self.stop.early or isinstance(self.timing, EveryStep) else self.schedule
            # At every step the gradient is taken before the move: the last one is of no use to the weights.
            late = 1 if isinstance(self.timing, EveryStep) else 0
            warn_of_layers_out_of_reach(type(self).__name__, problem, schedule, self.stop.steps, late=late)

    def _remember(self, problem: Problem, state: State, x: Any, y: Any) -> dict[str, Any]:
        memory: dict[str, Any] = {}
        if self.clamp.counts:
            memory["count"] = jnp.int32(0)
        if self.start.keeps:
            memory["nodes"] = problem.start(state.weights, state.rest, state.key, x, y).h
        return memory

    def _learn(self, batch: Batch, targets: dict[str, Any], state: State) -> Learned:
        p = batch.problem
        begin = p.start(*batch.arrays)
        nodes = self.start.nodes(begin.h, state.memory.get("nodes"))
        draw = self._draw(batch.key)
        if isinstance(self.timing, EveryStep):
            return self._every_step(batch, targets, state, begin, nodes, draw)
        gradient: Any = None
        values: Any = None
        energies: dict[str, Any] = {}
        elements: dict[str, Any] = {}
        before: dict[str, Any] = {}
        steps, bad, uphill = jnp.int32(0), jnp.int32(-1), jnp.array(False)
        for phase in self.clamp.phases(p, begin.u, targets, state.memory.get("count")):
            landscape = batch.landscape(phase.targets, (*p.clamped, *p.unsettled), phase.scale)
            nodes = {**_unmoved(landscape, begin), **nodes}
            if isinstance(self.timing, ChainAverage):
                values, part, taken, new_bad = self._chain(batch, landscape, nodes, draw, self.timing.burn_in)
                _, energies, elements = weight_gradient(batch, landscape, values)
            else:
                solution = settle(
                    landscape, nodes, descent=self.descent, stop=self.stop, schedule=self.schedule, key=draw
                )
                values, taken, new_bad = solution.nodes, solution.steps, solution.first_bad
                part, energies, elements = weight_gradient(batch, landscape, values)
            before = start_energies(landscape, landscape.hold(nodes), self.start.forward)
            uphill |= rose(batch, before, energies, self.descent.temperature)
            steps = steps + taken
            bad = jnp.where(bad < 0, new_bad, bad)
            if phase.factor is not None:
                part = jax.tree.map(lambda g, f=phase.factor: (f * g).astype(g.dtype), part)
            gradient = part if gradient is None else jax.tree.map(jnp.add, gradient, part)
        weights, optim = self._updated(gradient, state.optim, batch.weights, batch, energies)
        memory = self._learn_precision(batch, state, elements)
        if self.clamp.counts:
            memory["count"] = memory["count"] + 1
        if self.start.keeps:
            memory["nodes"] = {n: values[n] for n in p.free}
        loss = output_energy(batch, begin.u, targets)
        return Learned(weights, optim, memory, energies, begin.u, p.outputs, loss, steps, bad, before, uphill)

    def _at_rest(
        self,
        structure: Structure,
        outputs: tuple[str, ...],
        values: Values,
        memory: dict[str, Any],
        key: Any,
        x: Any,
        hold: Mapping[str, tuple[Any, Any]],
    ) -> tuple[dict[str, Any], Any]:
        y = None
        if x is None:  # the size of the batch is that of what is held
            y = {n: v for n, (_, v) in hold.items() if n in structure.frozen}
            y = next(iter(y.values())) if len(y) == 1 else y or None
        p = Problem.of(structure, values, (x, y), training=False)
        check_values(f"{type(self).__name__}.predict", hold, p)
        batch = Batch(p, values.weights, values.rest, key, x, y, values_of(self.precision, p, memory))
        begin = p.start(*batch.arrays)
        first = {**{n: u for n, u in begin.u.items() if u is not None}, **begin.h}
        # An output that predicts nothing follows its own prediction, and has no energy then.
        ends = {n: first[n] for n in outputs if not p.graph.children[n]}
        # What the model's own call holds (an input, say) is held here, too, if it is no output.
        said = {n: begin.targets[n] for n in p.clamped if n not in ends}
        sources = tuple([n for n in (*said, *p.unsettled) if n not in ends])
        held = {n: jnp.where(mask, v, first[n]) if n in first else v for n, (mask, v) in hold.items()}
        landscape = batch.landscape(
            {**ends, **said, **held},
            None if held else sources,
            {n: 0.0 for n in ends if n not in held},
            {n: mask for n, (mask, _) in hold.items()},
        )
        if held:
            landscape.arrival = None
        start = Forward() if self.start.keeps else self.start  # what was kept is of another batch
        begins = start.nodes(first, None)
        nodes = landscape.begin({n: begins[n] for n in landscape.free if n in begins})
        result = None
        if nodes:
            draw = self._draw(key)
            solution = relax(landscape, nodes, descent=self.descent, stop=self.stop, schedule=self.schedule, key=draw)
            nodes, result = solution.nodes, solution.result
        known = landscape.known | {p.h_ids[n]: v for n, v in nodes.items()}
        found = {n: nodes[n] if n in nodes else p.predict(n, known) for n in outputs}
        return {n: jnp.where(*hold[n], u) if n in ends and n in hold else u for n, u in found.items()}, result

    def _chain(self, batch: Batch, landscape: Any, nodes: Any, key: Any, burn_in: int) -> Any:
        # One chain, which is only looked at later: momentum, moments and rates go on through the burn-in.
        solution, total = settle(
            landscape,
            nodes,
            descent=self.descent,
            stop=self.stop,
            schedule=self.schedule,
            key=key,
            observe=lambda values: weight_gradient(batch, landscape, values)[0],
            unobserved=burn_in,
        )
        mean = jax.tree.map(lambda g: g / (self.stop.steps - burn_in), total)
        return solution.nodes, mean, solution.steps, solution.first_bad

    def _every_step(self, batch: Batch, targets: Any, state: State, begin: Any, nodes: Any, key: Any) -> Learned:
        p = batch.problem
        run = Run(batch.landscape(targets), self.descent, False, None)
        (segment,) = AllNodes().segments(run.landscape, 1)
        nodes = run.landscape.hold({**_unmoved(run.landscape, begin), **nodes})
        run.watch(nodes, (segment,), self.stop.steps)
        if run.wave is not None and not stands_still(self.optim_w.update, batch.weights, state.optim):
            run.wave = run.wave.at_once()  # weights that move give nodes errors, wherever these are

        def step(carry: Any, i: Any) -> Any:
            nodes, states, weights, optim, bad, key = carry
            key, draw = (None, None) if key is None else jax.random.split(key)
            now = batch._replace(weights=weights)
            landscape = now.landscape(targets)
            gradient, energies, _ = weight_gradient(now, landscape, nodes)
            slope = landscape.gradient(nodes)
            nodes, states, _ = run.move(segment.groups, nodes, states, draw, slope, i)
            weights, optim = self._updated(gradient, optim, weights, now, energies)
            bad = run.check(nodes, bad, i + 1)
            return (nodes, states, weights, optim, bad, key), None

        start = nodes
        states = {n: self.descent.at(n).init(v) for n, v in nodes.items()}
        carry = nodes, states, batch.weights, state.optim, jnp.int32(-1), key
        body = for_loops(step, p.convolves)
        (nodes, _, weights, optim, bad, _), _ = jax.lax.scan(body, carry, jnp.arange(self.stop.steps, dtype=jnp.int32))
        after = batch._replace(weights=weights)
        _, energies, elements = weight_gradient(after, after.landscape(targets), nodes)
        memory = self._learn_precision(batch, state, elements)
        if self.start.keeps:
            memory["nodes"] = {n: nodes[n] for n in p.free}
        loss, steps = output_energy(batch, begin.u, targets), jnp.int32(self.stop.steps)
        # Values and weights descend on one energy.
        before = start_energies(run.landscape, start, self.start.forward)
        uphill = rose(batch, before, energies, self.descent.temperature)
        return Learned(weights, optim, memory, energies, begin.u, p.outputs, loss, steps, bad, before, uphill)


def _unmoved(landscape: Landscape, begin: ForwardPass) -> dict[str, Any]:
    """The values that nodes which are held in part start from: their predictions, or zero."""
    u = {n: begin.u[n] for n in landscape.held}
    return {n: jnp.zeros_like(landscape.held[n][1]) if u[n] is None else u[n] for n in u}


def _part(call: str, name: str, x: Any, kind: Any, default: Any, such_as: str) -> Any:
    if x is None:
        return default
    if not isinstance(x, kind):
        made = f"; make one: {x.__name__}(...)" if isinstance(x, type) and issubclass(x, kind) else ""
        raise TypeError(f"{call}: {name} must be a {kind.__name__}, such as pxl.{such_as}, got {x!r}{made}")
    return x
