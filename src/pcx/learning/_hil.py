"""The hybrid of Z-IL and PC (HIL)."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from functools import partial
from typing import Any, Unpack

import jax.numpy as jnp
import optax
from jax import Array
from jaxtyping import PyTree

from ..core import Choice, see, whole
from ..energy import (
    Bound,
    Energies,
    ForwardPass,
    OverStacks,
    PolicyLike,
    Problem,
    Stacks,
    Weights,
    blocks_of,
    check_errors,
    in_blocks,
    regrouped,
    scan,
)
from ..inference import DescentLike, Schedule, Segment, as_descent, as_solver, as_stop, find_bad, take_step
from ..nn import LayerParam
from ._begun import first_state
from ._clamp import Phase
from ._idle import from_outputs
from ._late import Late, late_states, states_begun
from ._node_states import NodeStates, OwnWeights, own_weights
from ._reach import check_moves
from ._rule import Memory, Rule
from ._settling import Settling
from ._stacked_optim import looks_at_paths, weights_in_stacks
from ._types import Call, Count, EqualLayers, Optimiser, PrecisionLike, RuleOptions
from ._update import Update
from ._weights_in_turn import Apply, InTurn, after


class _OnceReached(Schedule):
    """All nodes that the error has reached move, and each one's first step is its descent's first."""

    def segments(self, landscape: Any, steps: int) -> tuple[Segment, ...]:
        arrival = landscape.arrival or {}
        travel = min(max(arrival.values(), default=0), steps)
        there = [tuple([n for n in landscape.free if arrival.get(n, steps) <= t]) for t in range(travel + 1)]
        found = [*[Segment(1, (names,)) for names in there[:-1]], Segment(steps - travel, (there[-1],))]
        return tuple([each for each in found if each.repeats and each.groups[0]])


class HIL(Rule):
    """The weights of each node learn when the error reaches it, and once more at the end, see `hil`."""

    def __init__(
        self, optim_w: Optimiser, optim_h: DescentLike | None, T: Count, **options: Unpack[RuleOptions]
    ) -> None:
        super().__init__(optim_w, **options)
        default = optax.sgd(optax.linear_schedule(1.0, 0.1, 1))
        self.descent = as_descent(self.name, default if optim_h is None else optim_h)
        if self.descent.random:
            raise ValueError(
                f"hil: {type(self.descent).__name__} takes no single steps of descent; give one such as optax.sgd(0.1)"
            )
        self.T = whole("hil", "T", T, 1)

    in_stacks = True
    repeats_that_pay = 10

    @property
    def name(self) -> str:
        return "hil"

    def check(self, problem: Problem) -> None:
        super().check(problem)
        check_errors("hil", problem)
        self.descent.check("hil", problem.free, problem.nodes)
        check_moves("hil", problem, self.descent, self.T, settles_outputs=False)
        needed = max(problem.graph.distances(problem.clamped)[0].values()) + 1
        if needed > self.T:
            raise ValueError(
                f"hil: T={self.T}, but the error needs {needed} steps to reach every weight of this model: take "
                f"T={needed} or more{see('learns')}"
            )

    def learning_weights(self, problem: Problem) -> set[str]:
        return from_outputs(problem)

    def _weights_by_node(self, problem: Problem) -> dict[str, tuple[str, ...]]:
        """Return the weights that learn with each node: those of its prediction; shared ones with the node that the
        error reaches last."""
        nearest, _ = problem.graph.distances(problem.clamped)
        owner: dict[str, str] = {}
        for name in sorted(nearest, key=lambda n: nearest[n]):
            owner.update(dict.fromkeys(problem.weights_of(name), name))
        return {n: tuple([w for w, o in owner.items() if o == n]) for n in nearest}

    def _together(self, problem: Problem) -> OwnWeights | None:
        """Return which nodes' optimisers take their steps together; None if each takes its own."""
        if type(self).apply is not Rule.apply or type(self).init_optim is not HIL.init_optim:
            return None
        return own_weights(problem, self._weights_by_node(problem))

    def can_stack(self, problem: Problem) -> bool:
        return not looks_at_paths(self.optim_w, problem.weight_numbers) and self._together(problem) is not None

    def _stacked(self, problem: Problem, weights: Weights) -> Any:
        return weights_in_stacks(problem, weights)

    def init_optim(self, problem: Problem, weights: Weights) -> PyTree:
        own = self._together(problem) if isinstance(weights, Stacks) else None
        if own is not None:
            return own.begun(self.optim_w, weights)
        groups = self._weights_by_node(problem)
        return {n: first_state(self.optim_w.init, {w: weights[w] for w in own}) for n, own in groups.items()}

    def settling(self, bound: Bound, forward: ForwardPass, memory: Memory) -> Sequence[Settling]:
        # With the weights as they are, which here move meanwhile.
        landscape = dataclasses.replace(bound, form=None).landscape(forward.targets, forward=forward)
        solver, stop = as_solver(self.name, self.descent, _OnceReached()), as_stop(self.name, self.T)
        return [Settling(Phase(forward.targets), landscape, landscape.start(), solver, stop, None)]

    def learn(self, bound: Bound, forward: ForwardPass, memory: Memory) -> Update:
        p, targets = bound.problem, forward.targets
        first = bound.landscape(targets, forward=forward)
        own = self._together(p) if isinstance(first, OverStacks) and first.alike else None
        if isinstance(first, OverStacks) and own is not None:
            return self._learn_together(bound, forward, memory, first, own)
        if bound.form is not None:  # equal layers have other precisions
            bound = dataclasses.replace(bound, form=None)
            first = bound.landscape(targets, forward=forward)
        groups = self._weights_by_node(p)
        nearest, _ = p.graph.distances(p.clamped)
        arrival = first.arrival or {}
        weights, optim_kept = bound.weights, memory["optim"]
        optim: PyTree = optim_kept
        nodes: dict[str, Array] = dict(forward.h)
        states: dict[str, PyTree] = {}
        bad: Array = jnp.int32(-1)

        def stepped(
            names: list[str], gradient: Weights, energies: Energies, weights: Weights, optim: PyTree
        ) -> tuple[Weights, PyTree]:
            weights, optim = dict(weights), dict(optim)
            for name in names:
                own = {w: weights[w] for w in groups[name]}
                new, optim[name] = self.apply({w: gradient[w] for w in own}, optim[name], own, bound, energies)
                weights |= new
            return weights, optim

        travel = max(nearest.values()) + 1
        for t in range(travel):
            landscape = bound.at(weights).landscape(targets)
            reached = [n for n in groups if nearest[n] == t]
            found = landscape.weight_gradient(nodes)
            moving = tuple([n for n in landscape.free if arrival.get(n, t + 1) <= t])
            states |= {n: self.descent.at(n).init(nodes[n]) for n in moving if n not in states}
            nodes, states, _ = take_step(landscape, self.descent, (moving,), nodes, states, t)
            bad = find_bad(landscape.names, [(n, nodes[n]) for n in moving], t + 1, bad)
            weights, optim = stepped(reached, found.gradient, found.energies, weights, optim)
        landscape = bound.at(weights).landscape(targets)
        arrived: Energies = {}
        if travel < self.T:
            arrived = landscape.energies(nodes)
            everything, grad = (landscape.free,), landscape.gradient(nodes)

            def settle(carry: PyTree, i: Array) -> tuple[Any, None]:
                nodes, states, bad = carry
                nodes, states, _ = take_step(landscape, self.descent, everything, nodes, states, travel + i, grad=grad)
                return (nodes, states, find_bad(landscape.names, nodes.items(), travel + 1 + i, bad)), None

            states |= {n: self.descent.at(n).init(nodes[n]) for n in landscape.free if n not in states}
            steps = jnp.arange(self.T - travel, dtype=jnp.int32)
            (nodes, states, bad), _ = scan(settle, (nodes, states, bad), steps)
        found = landscape.weight_gradient(nodes)
        weights, optim = stepped(list(groups), found.gradient, found.energies, weights, optim)
        return Update(
            None,
            found.energies,
            found.elements,
            first.energies_before(forward.h),
            # While the error travels, the weights move too, and first steps of 1 are no descent.
            landscape.went_uphill(nodes, arrived, found.energies, 0.0),
            self.T,
            bad,
            {"optim": optim_kept.regrouped(optim) if isinstance(optim_kept, NodeStates) else optim},
            weights=weights,
        )

    def _learn_together(
        self, bound: Bound, forward: ForwardPass, memory: Memory, first: OverStacks, own: OwnWeights
    ) -> Update:
        """Learn with equal layers computed by one program: while the error travels, that is one loop over the steps."""
        p, targets, descent = bound.problem, forward.targets, self.descent
        nearest, _ = p.graph.distances(p.clamped)
        arrival, everything = first.arrival or {}, (first.free,)
        travel, in_turn = max(nearest.values()) + 1, InTurn(own, nearest, first.together.form)

        def apply(now: Bound, energies: Energies) -> Apply:
            return lambda gradient, state, weights: self.apply(gradient, state, weights, now, energies)

        def step(carry: PyTree, t: Array) -> tuple[PyTree, None]:
            nodes, states, weights, optim, bad = carry
            now = bound.at(weights)
            landscape = now.landscape(targets)
            assert isinstance(landscape, OverStacks)
            learned = in_turn.learned(landscape, nodes, weights, optim, t, partial(apply, now))
            # One after the other: where old values or weights were still to be read, XLA would copy all of them.
            t = after(t, [weights for weights, _ in learned])
            late, sweep = Late(descent, t), landscape.sweep(nodes, arrival)
            nodes, states, _ = take_step(landscape, late, everything, nodes, states, t, sweep=sweep)
            nodes, states = in_blocks(blocks, nodes), in_blocks(blocks, states)
            bad = find_bad(first.names, blocks_of(nodes), t + 1, bad)
            weights, optim = in_turn.written(learned, weights, optim, after(t, bad))
            return (nodes, states, weights, optim, bad), None

        nodes: Any = first.arranged(forward.h, descent.kind)
        blocks = [names for names, _ in blocks_of(nodes)]
        weights, old = bound.weights, memory["optim"]
        weights: Any = weights if isinstance(weights, Stacks) else regrouped(p.weight_blocks(weights), weights)
        optim = old if isinstance(old, NodeStates) else NodeStates.of(own, old)
        carry = nodes, late_states(descent, nodes, arrival), weights, optim, jnp.int32(-1)
        (nodes, states, weights, optim, bad), _ = scan(step, carry, jnp.arange(travel, dtype=jnp.int32))
        now = bound.at(weights)
        landscape, states = now.landscape(targets), states_begun(states)
        arrived: Energies = {}
        if travel < self.T:
            arrived = landscape.energies(nodes)
            sweep = landscape.sweep(nodes, None)
            grad = landscape.gradient(nodes) if sweep is None else None

            def settle(carry: PyTree, t: Array) -> tuple[PyTree, None]:
                nodes, states, bad = carry
                nodes, states, _ = take_step(landscape, descent, everything, nodes, states, t, grad=grad, sweep=sweep)
                nodes, states = in_blocks(blocks, nodes), in_blocks(blocks, states)
                return (nodes, states, find_bad(landscape.names, blocks_of(nodes), t + 1, bad)), None

            (nodes, states, bad), _ = scan(settle, (nodes, states, bad), jnp.arange(travel, self.T, dtype=jnp.int32))
        found = landscape.weight_gradient(nodes)
        weights, optim = in_turn.last(found.gradient, weights, optim, apply(now, found.energies))
        return Update(
            None,
            found.energies,
            found.elements,
            first.energies_before(first.arranged(forward.h)),
            landscape.went_uphill(nodes, arrived, found.energies, 0.0),
            self.T,
            bad,
            {"optim": optim if isinstance(old, NodeStates) else {n: optim[n] for n in old}},
            weights=weights,
        )


def hil(
    optim_w: Optimiser,
    optim_h: DescentLike | None = None,
    T: Count = 8,
    *,
    learn: Choice = LayerParam,
    call: Call | None = None,
    precision: PrecisionLike = None,
    dtype: PolicyLike = None,
    equal_layers: EqualLayers = "auto",
) -> Rule:
    """The hybrid of Z-IL and PC: while the error travels, at step t the weights learn whose predictions it has just
    reached, and all nodes that it has reached keep settling, T steps in all; then all weights learn once more from the
    settled values. Each weight so takes two optimiser steps a batch.

    Nodes start their optimiser when the error reaches them: a schedule's first rate is each node's first.

    Cost: L + T + 1 passes of backpropagation, less what has not been reached, and two steps of the weights' optimiser.

    **Arguments:**

    - `optim_w`: an Optax transformation for the weights, see `Rule`. Each node's weights have an optimiser state of
        their own.
    - `optim_h`: how nodes move, see `pc`; by default a first step of 1 and 0.1 from then on.
    - `T`: the number of inference steps, no fewer than the error needs to reach every weight.
    - `learn`, `call`, `precision`, `dtype`, `equal_layers`: see `Rule`. An optimiser that looks at paths, or holds a
        function of yours, takes layers apart; so do layers that share a weight.

    **Returns:** the rule.

    **Raises:** `TypeError` or `ValueError` for parts that don't go together, with the reason.

    **Reference:** defined by the Z-IL tutorial of the published `pcx` package, which goes with

    ```bibtex
    @article{pinchetti2024benchmarking,
        author = {Luca Pinchetti and Chang Qi and Oleh Lokshyn and Gaspard Olivers and Cornelius Emde and
                  Mufeng Tang and Amine M'Charrak and Simon Frieder and Bayar Menzat and Rafal Bogacz and
                  Thomas Lukasiewicz and Tommaso Salvatori},
        title  = {Benchmarking Predictive Coding Networks -- Made Simple}, journal = {arXiv:2407.01163}, year = {2024},
    }
    ```
    """
    options: RuleOptions = {
        "learn": learn,
        "call": call,
        "precision": precision,
        "dtype": dtype,
        "equal_layers": equal_layers,
    }
    return HIL(optim_w, optim_h, T, **options)
