"""Predictive coding, and the base of all rules whose values settle before the weights learn."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeVar, Unpack

import jax.numpy as jnp
import jax.tree_util as jtu
from jax import Array

from ..core import Choice
from ..energy import Bound, ForwardPass, Landscape, Nodes, PolicyLike, Problem, WeightGradient, Weights
from ..inference import (
    AllNodes,
    Descents,
    Schedule,
    Solution,
    Solver,
    SolverLike,
    Stop,
    as_schedule,
    as_solver,
    as_stop,
    relax,
    settle,
)
from ..nn import LayerParam
from ._clamp import Clamp, Hard, Phase, phases_of
from ._coordinates import Coordinates, Values, landscape_of
from ._equal_layers import as_equal_layers
from ._idle import from_any_energy, from_errors
from ._reach import check_moves, moves_by_gradient_alone, warn_of_layers_out_of_reach
from ._rule import Memory, Rule
from ._settling import Settling
from ._start import Forward, Start, coords_of, kept_of
from ._types import Call, Count, EqualLayers, Optimiser, PrecisionLike, RuleOptions
from ._update import Update


class PredictiveCoding(Rule):
    """Values settle, then weights learn from the energy's gradient there: coordinates x clamp x start x settling.

    **Arguments:**

    - `optim_w`, `optim_h`, `T`, `schedule`, `clamp`, `start`: see `pc`.
    - `coordinates`: what settles, by default the values of the nodes.
    - `options`: `learn`, `call`, `precision` and `dtype`, see `Rule`.

    **Raises:** `TypeError` or `ValueError` for parts that don't go together, with the reason.
    """

    settles_outputs = True
    in_stacks = True
    by_layer = True
    repeats_that_pay = 10

    @property
    def name(self) -> str:
        return "pc"

    def __init__(
        self,
        optim_w: Optimiser,
        optim_h: SolverLike,
        T: Count | Stop,
        *,
        coordinates: Coordinates | None = None,
        schedule: Schedule | None = None,
        clamp: Clamp | None = None,
        start: Start | None = None,
        **options: Unpack[RuleOptions],
    ) -> None:
        super().__init__(optim_w, **options)
        solver = as_solver(self.name, optim_h, schedule)
        self.descent = solver if solver.descent is None else solver.descent
        self.stop = as_stop(self.name, T, 1, "T")
        self.coordinates = part(self.name, "coordinates", coordinates, Coordinates, Values(), "Values()")
        as_equal_layers(self.name, self.equal_layers, type(self.coordinates).in_stacks)
        self.schedule = as_schedule(self.name, schedule)
        self.clamp = part(self.name, "clamp", clamp, Clamp, Hard(), "Hard() or pxl.Nudged(0.1)")
        self.start = part(self.name, "start", start, Start, Forward(), "Forward() or pxl.Zeros()")
        self.random = solver.random or self.start.random
        self.schedule.check(self.name, self.stop, self.start.forward)
        if self.start.keeps and self.clamp.several:
            raise ValueError(
                f"{self.name}: kept values belong to one clamp, but this one has two; start "
                "elsewhere, as by pxl.Forward(), or clamp by pxl.Hard()"
            )

    @property
    def solver(self) -> Solver:
        """The way values settle: by the descent, in the order of the schedule; or by what was given in its place."""
        return as_solver(self.name, self.descent, self.schedule)

    def check(self, problem: Problem) -> None:
        super().check(problem)
        self.coordinates.check(self.name, problem)
        self.descent.check(self.name, problem.free, problem.nodes)
        check_moves(self.name, problem, self.solver.descent, self.stop.steps, self.settles_outputs)
        # From elsewhere errors are everywhere; and noise, or a weight decay of the values, moves all of them.
        if self.coordinates.travels and self._waits(problem):
            schedule = AllNodes() if self.stop.early else self.schedule
            descent = self.solver.descent
            assert descent is not None  # what waits moves by steps
            self._warn_of_reach(problem, schedule, descent)

    def can_stack(self, problem: Problem) -> bool:
        return type(self.coordinates).in_stacks

    def takes_apart(self, problem: Problem) -> str | None:
        if not self.schedule.together:
            return (
                f"{type(self.schedule).__name__} moves them one after the other, so that all devices but one would wait"
            )
        if self.start.keeps:
            return f"{type(self.start).__name__} keeps the values of each by itself"
        descent = self.solver.descent
        if descent is None:
            return f"{type(self.descent).__name__} moves each by itself"
        for names in [group.names for run in problem.runs for group in run.groups]:
            if len({descent.kind(n) for n in names}) > 1:
                return f"the values of {names[0]} to {names[-1]} don't all move alike"
        return None

    def learning_weights(self, problem: Problem) -> set[str]:
        if self.coordinates.travels and self._waits(problem):
            return from_errors(problem, self.coordinates.follow)
        return from_any_energy(problem)

    def _waits(self, problem: Problem) -> bool:
        """Return whether nodes stay where they are until an error comes to them."""
        return self.start.forward and moves_by_gradient_alone(self.solver.descent, problem)

    def _warn_of_reach(self, problem: Problem, schedule: Schedule, descent: Descents) -> None:
        steps, follows = self.stop.steps, self.coordinates.follow
        warn_of_layers_out_of_reach(self.name, problem, schedule, descent, steps, follows=follows)

    def init_memory(self, bound: Bound) -> Memory:
        memory: Memory = {}
        if self.clamp.counts:
            memory["count"] = jnp.int32(0)
        if self.start.keeps:
            forward = bound.start(effects=False)
            landscape = landscape_of(self.name, self.coordinates, bound, forward, Phase(forward.targets))
            memory["nodes"] = {n: v for n, v in landscape.start().items() if n in bound.problem.free}
        return memory

    def settling(self, bound: Bound, forward: ForwardPass, memory: Memory) -> Sequence[Settling]:
        key = self.draw_if_random(bound)
        phases = phases_of(self.name, self.clamp, bound.problem, forward.u, forward.targets, memory.get("count"))
        if self.start.keeps and len(phases) > 1:
            raise ValueError(
                f"{self.name}: kept values belong to one phase, and {type(self.clamp).__name__} has {len(phases)}; "
                "start elsewhere, as by pxl.Forward()"
            )
        landscapes = [landscape_of(self.name, self.coordinates, bound, forward, phase) for phase in phases]
        return [
            Settling(phase, each, self.begin(bound, each, memory, key), self.solver, self.stop, key)
            for phase, each in zip(phases, landscapes, strict=True)
        ]

    def learn(self, bound: Bound, forward: ForwardPass, memory: Memory) -> Update:
        settled = [
            (s, settle(s.landscape, s.start, s.solver, s.stop, key=s.key))
            for s in self.settling(bound, forward, memory)
        ]
        return self.learned(bound, memory, settled)

    def learned(self, bound: Bound, memory: Memory, settled: Sequence[tuple[Settling, Solution]]) -> Update:
        """Return what weights learn from where values have come to rest.

        **Arguments:**

        - `bound`, `memory`: see `learn`.
        - `settled`: each settling of a step, with its solution.

        **Returns:** an `Update`.

        **Raises:** `TypeError` for a landscape that gives something else than it must.
        """
        parts: list[Weights] = []
        update = Update(None, {})
        uphill, steps, first_bad = jnp.array(False), jnp.int32(0), jnp.int32(-1)
        for (phase, landscape, start, *_), solution in settled:
            found = landscape.weight_gradient(solution.nodes)
            if not isinstance(found, WeightGradient):
                raise TypeError(
                    f"{self.name}: {type(landscape).__name__}.weight_gradient must return a pxe.WeightGradient, got "
                    f"{type(found).__name__}"
                )
            before = landscape.energies_before(start)
            uphill |= landscape.went_uphill(solution.nodes, before, found.energies, self.descent.temperature)
            steps, first_bad = steps + solution.steps, jnp.where(first_bad < 0, solution.first_bad, first_bad)
            parts.append(_times(phase.factor, found.gradient))
            new = self._memory(bound.problem, memory, solution.nodes)
            update = Update(None, found.energies, found.elements, before, memory=new)
        gradient = jtu.tree_map(lambda *a: sum(a[1:], a[0]), *parts)
        return update._replace(gradient=gradient, uphill=uphill, steps=steps, first_bad=first_bad)

    def begin(self, bound: Bound, landscape: Landscape, memory: Memory, key: Array | None) -> Nodes:
        """Return the coordinates that values settle from, as the rule's start gives them.

        **Arguments:**

        - `bound`: the problem.
        - `landscape`: the landscape of this phase.
        - `memory`: what the rule remembers, in which kept coordinates are.
        - `key`: the rule's key, None if nothing draws.

        **Returns:** the coordinates of all nodes of the landscape, `{node: [batch, *shape]}`.

        **Raises:** `TypeError` or `ValueError` for what the start gives, or keeps of another number of samples.
        """
        kept = kept_of(self.name, self.start, bound.problem, memory.get("nodes"))
        return landscape.begin(coords_of(self.name, self.start, landscape, kept, key))

    def _memory(self, problem: Problem, memory: Memory, nodes: Nodes) -> Memory:
        new: Memory = {"count": memory["count"] + 1} if self.clamp.counts else {}
        return new | ({"nodes": {n: nodes[n] for n in problem.free}} if self.start.keeps else {})

    def settle(
        self,
        bound: Bound,
        forward: ForwardPass,
        outputs: tuple[str, ...],
        hold: Mapping[str, tuple[Array, Array]],
    ) -> tuple[Nodes, Array | None]:
        p = bound.problem
        first = {**{n: u for n, u in forward.u.items() if u is not None}, **forward.h}
        # An output that predicts nothing follows its own prediction, and has no energy then.
        ends = {n: first[n] for n in outputs if not p.graph.children[n]}
        # What the model's own call clamps (an input, say) is clamped here, too, if it is no output.
        said = {n: forward.targets[n] for n in p.clamped if n not in ends}
        sources = tuple([n for n in (*said, *p.with_error) if n not in ends])
        held: Nodes = {}
        for name, (mask, value) in hold.items():
            held[name] = jnp.asarray(jnp.where(mask, value, first[name])) if name in first else value
        landscape = bound.landscape(
            {**ends, **said, **held},
            scale={n: 0.0 for n in ends if n not in held},
            hold={n: mask for n, (mask, _) in hold.items()},
            sources=sources,
            wave=not held,
            forward=forward,
        )
        start = Forward() if self.start.keeps else self.start  # what was kept is of another batch
        key = self.draw_if_random(bound)
        coords = coords_of(self.name, start, landscape, None, key)
        nodes = landscape.begin({n: v for n, v in coords.items() if n not in held})
        result = None
        if nodes:
            solution = relax(landscape, nodes, descent=self.solver, stop=self.stop, key=key)
            nodes, result = solution.nodes, solution.result
        u = bound.predictions(landscape.values(nodes))
        found = {n: nodes[n] if n in nodes else u[n] for n in outputs}
        return {n: jnp.where(*hold[n], u) if n in ends and n in hold else u for n, u in found.items()}, result


def pc(
    optim_w: Optimiser,
    optim_h: SolverLike,
    T: Count | Stop,
    *,
    schedule: Schedule | None = None,
    clamp: Clamp | None = None,
    start: Start | None = None,
    learn: Choice = LayerParam,
    call: Call | None = None,
    precision: PrecisionLike = None,
    dtype: PolicyLike = None,
    equal_layers: EqualLayers = "auto",
) -> Rule:
    """Predictive coding, or inference learning: values start at a forward pass, settle for T steps of

    `h <- h - g dE/dh`, with `E = sum over nodes of p/2 |h - u|^2`,

    then each weight takes one step down the energy at the settled values. The first layer learns nothing for
    T < L - 1; a true equilibrium takes many more steps.

    Cost: T + 1 passes of backpropagation, less what the wave-front saves.

    **Arguments:**

    - `optim_w`: an Optax transformation for the weights, see `Rule`.
    - `optim_h`: how values move: an Optax transformation, applied to each node and each sample by itself, to gradients
        of the energy summed over the batch; or a `pcx.inference.Descent`. Or a dict from the name of each node that
        moves to one of these, or a function that gives one for a node's name; or a
        `pcx.inference.Flow`.
    - `T`: the number of inference steps, or a `pcx.inference.Stop`.
    - `schedule`: which nodes move when, by default `pcx.inference.WaveFront()`.
    - `clamp`: `Hard()` or `Nudged(...)`.
    - `start`: `Forward()`, `Zeros()` or `Kept()`.
    - `learn`, `call`, `precision`, `dtype`, `equal_layers`: see `Rule`.

    **Returns:** the rule.

    **Raises:** `TypeError` or `ValueError` for parts that don't go together, with the reason.

    **Reference:**

    ```bibtex
    @article{whittington2017approximation,
        author  = {James C. R. Whittington and Rafal Bogacz},
        title   = {An Approximation of the Error Backpropagation Algorithm in a Predictive Coding Network with Local
                   Hebbian Synaptic Plasticity},
        journal = {Neural Computation}, volume = {29}, number = {5}, year = {2017}, doi = {10.1162/NECO_a_00949},
    }
    ```
    """
    options = {"learn": learn, "call": call, "precision": precision, "dtype": dtype, "equal_layers": equal_layers}
    return PredictiveCoding(optim_w, optim_h, T, schedule=schedule, clamp=clamp, start=start, **options)


P = TypeVar("P")


def _times(factor: Array | float | None, gradient: Weights) -> Weights:
    if factor is None:
        return gradient
    return jtu.tree_map(lambda g: (factor * g).astype(g.dtype), gradient)


def part(call: str, name: str, x: P | None, kind: type[P], default: P, such_as: str) -> P:
    """Return a part of a rule, or the default for None.

    **Arguments:**

    - `call`: the rule's name.
    - `name`: the argument's.
    - `kind`: its class.
    - `such_as`: an example of one.

    **Raises:** `TypeError` for what is no such part.
    """
    if x is None:
        return default
    if not isinstance(x, kind):
        made = f"; make one: {x.__name__}(...)" if isinstance(x, type) and issubclass(x, kind) else ""
        raise TypeError(f"{call}: {name} must be a {kind.__name__}, such as pxl.{such_as}, got {x!r}{made}")
    return x
