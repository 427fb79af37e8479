"""Zero-divergence inference learning: backpropagation's update by one sweep of local steps."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import optax

from ..energy._loops import for_loops
from ..energy._problem import Problem
from ..energy._sums import first_not_finite
from ..inference._descent import as_descent
from ..inference._numbers import whole
from ..inference._relax import Run
from ._batch import Batch
from ._gradient import output_energy, weight_gradient
from ._local import Forward, add, add_parts, forward_predictions, mean_gradient, refuse
from ._rule import Learned, Rule
from ._state import State
from ._uphill import forward_energies, rose, start_energies


class ZIL(Rule):
    """Z-IL (Song et al., NeurIPS 2020; arXiv 2103.04689). From a forward pass, at step t the nodes move that the error
    reaches just then, and the weights learn whose predictions it has reached, each from the gradient before that move.

    With a state step g and precision p such that p g = 1 the update is backpropagation's, exactly. Only the nodes at
    the wave-front change, so all T steps together are one reverse sweep of local vector-Jacobian products, at the cost
    of backpropagation. Errors are carried as such, not as h - u, and so keep their digits.

    **Arguments:**

    - `optim_w`, `learn`, `call`, `precision`: see `Rule`.
    - `optim_h`: how a node moves; `optax.sgd(1.0)` for exactness. A step g scales the update of a layer l predictions
        away from the output by `(p g)^l`.
    - `level`: put identity nodes on skips, so that all ways from a node to the output have the same number of nodes;
        otherwise such a model is refused.
    """

    def __init__(
        self, optim_w: optax.GradientTransformation, optim_h: Any = None, *, level: bool = False, **options: Any
    ):
        super().__init__(optim_w, **options)
        self.descent = as_descent("zil", optax.sgd(1.0) if optim_h is None else optim_h)
        if self.descent.random or hasattr(self.descent, "integrate"):
            raise ValueError(f"zil: each node takes one step, which {type(self.descent).__name__} is not made for")
        self.level = level

    def _admit(self, problem: Problem) -> None:
        super()._admit(problem)
        refuse("zil", problem)
        self.descent.check("zil", problem.free, problem.nodes)
        if not self.level:
            check_level(problem)

    def _learn(self, batch: Batch, targets: dict[str, Any], state: State) -> Learned:
        p = batch.problem
        forward = Forward(batch, targets)
        energies: dict[str, Any] = {}
        elements: dict[str, Any] = {}
        parts: dict[str, list[Any]] = {}
        arriving: dict[str, Any] = {}  # dE/dh of the nodes that the sweep has yet to come to
        _, furthest = p.graph.distances([n for n in p.clamped if n in p.energy_ids])
        for name in sorted(furthest, key=lambda n: furthest[n]):
            if name in targets:
                energies[name], slope = forward.target(name, targets[name])
                add_parts(parts, forward.own_gradient(name, targets[name]))
            else:
                error = self._moved(name, arriving.pop(name), forward.h[name])
                energies[name], elements[name] = forward.energy(name, error), 0.5 * jnp.square(error)
                slope = forward.slope(name, error)
            above, own = forward.weighted_back(name, slope)
            add_parts(parts, own)
            above = {n: g for n, g in above.items() if n not in targets}
            hops = {n: furthest[n] - furthest[name] - 1 for n in above}
            add(arriving, [(n, self._delayed(forward, n, g, hops[n])) for n, g in above.items()])
        gradient = mean_gradient(batch, parts)
        steps, u = max(furthest.values()), forward_predictions(batch, forward)
        loss = output_energy(batch, u, targets)
        # The gradient is that of the energy at the forward pass, where no free node has an error.
        before = forward_energies(batch, {n: e for n, e in energies.items() if n in targets})
        weights, optim = self._updated(gradient, state.optim, batch.weights, batch, before)
        for name in targets:
            if name in p.energy_ids:
                elements[name] = forward.elements(name, targets[name], forward.u[name])
        memory = self._learn_precision(batch, state, elements)
        # The error's energy is finite where the error is.
        moved = [n for n in energies if n not in targets]
        codes = [len(p.nodes) * furthest[n] + list(p.nodes).index(n) for n in moved]
        first = first_not_finite([energies[n] for n in moved])
        bad = jnp.where(first < 0, -1, jnp.asarray(codes, jnp.int32)[first]) if codes else jnp.int32(-1)
        return Learned(weights, optim, memory, energies, u, p.outputs, loss, steps, bad, before)

    def _moved(self, name: str, gradient: Any, value: Any) -> Any:
        """The error of a node after its one step, from the `value` of the forward pass."""
        descent = self.descent.at(name)
        return descent.update(gradient, descent.init(value), value, None)[0]

    def _delayed(self, forward: Forward, name: str, gradient: Any, hops: int) -> Any:
        """A gradient after so many identity nodes, each of which takes one step and sends its error on."""
        for _ in range(hops):
            gradient = forward.slope(name, self._moved(name, gradient, forward.h[name]))
        return gradient


def check_level(problem: Problem) -> None:
    """Refuse a graph with ways of different length from a node to the output."""
    nearest, furthest = problem.graph.distances([n for n in problem.clamped if n in problem.energy_ids])
    for name in problem.graph.order:
        if name in nearest and nearest[name] != furthest[name]:
            raise ValueError(
                f"zil: the graph is not levelled: from {name} to the output there are ways of {nearest[name]} and of "
                f"{furthest[name]} predictions, so that errors meet at different steps. zil(..., level=True) puts "
                "identity nodes on the shorter ones"
            )


class HIL(Rule):
    """The hybrid of Z-IL and PC: while the error travels, at step t the weights learn whose predictions it has just
    reached, and all nodes that it has reached keep settling, T steps in all; then all weights learn once more from the
    settled values. Each weight so takes two optimiser steps a batch.

    Nodes start their optimiser when the error reaches them: a schedule's first rate is each node's first.

    **Arguments:**

    - `optim_w`, `learn`, `call`, `precision`: see `Rule`. Each node's weights have an optimiser state of their own.
    - `optim_h`: how nodes move; by default a first step of 1 and 0.1 from then on.
    - `T`: inference steps, no fewer than the error needs to reach every weight.
    """

    def __init__(
        self,
        optim_w: optax.GradientTransformation,
        optim_h: Any = None,
        T: int = 8,
        **options: Any,
    ):
        super().__init__(optim_w, **options)
        self.descent = as_descent("hil", optax.sgd(optax.linear_schedule(1.0, 0.1, 1)) if optim_h is None else optim_h)
        if self.descent.random or hasattr(self.descent, "integrate"):
            raise ValueError(f"hil: {type(self.descent).__name__} takes no single steps of descent")
        self.T = whole("hil", "T", T, 1)

    def _admit(self, problem: Problem) -> None:
        super()._admit(problem)
        refuse("hil", problem)
        self.descent.check("hil", problem.free, problem.nodes)
        needed = max(problem.graph.distances(problem.clamped)[0].values()) + 1
        if needed > self.T:
            raise ValueError(f"hil: T={self.T}, but the error needs {needed} steps to reach every weight of this model")

    def _groups(self, problem: Problem) -> dict[str, tuple[str, ...]]:
        """The weights that learn with each node: those of its prediction; shared ones with the node that the error
        reaches last."""
        nearest, _ = problem.graph.distances(problem.clamped)
        owner: dict[str, str] = {}
        for name in sorted(nearest, key=lambda n: nearest[n]):
            owner.update(dict.fromkeys(problem.weights_of(name), name))
        return {n: tuple([w for w, o in owner.items() if o == n]) for n in nearest}

    def _init_optim(self, problem: Problem, weights: dict[str, Any]) -> Any:
        return {n: self.optim_w.init({w: weights[w] for w in own}) for n, own in self._groups(problem).items()}

    def _learn(self, batch: Batch, targets: dict[str, Any], state: State) -> Learned:
        p = batch.problem
        groups = self._groups(p)
        nearest, _ = p.graph.distances(p.clamped)
        arrival = batch.landscape(targets).arrival or {}
        begin = p.start(*batch.arrays)
        weights, optim = dict(batch.weights), dict(state.optim)
        nodes, states = dict(begin.h), {}
        bad: Any = jnp.int32(-1)

        def learn(
            names: list[str], gradient: Any, energies: dict[str, Any], weights: dict[str, Any], optim: dict[str, Any]
        ) -> Any:
            weights, optim = dict(weights), dict(optim)
            for name in names:
                own = {w: weights[w] for w in groups[name]}
                new, optim[name] = self._updated({w: gradient[w] for w in own}, optim[name], own, batch, energies)
                weights |= new
            return weights, optim

        travel = max(nearest.values()) + 1
        for t in range(travel):
            now = batch._replace(weights=weights)
            landscape = now.landscape(targets)
            reached = [n for n in groups if nearest[n] == t]
            gradient, energies, _ = weight_gradient(now, landscape, nodes)
            moving = tuple([n for n in landscape.free if arrival.get(n, t + 1) <= t])
            states |= {n: self.descent.at(n).init(nodes[n]) for n in moving if n not in states}
            run = Run(landscape, self.descent, False, None)
            nodes, states, _ = run.move((moving,), nodes, states, None, None, t)
            bad = run.check({n: nodes[n] for n in moving}, bad, t + 1)
            weights, optim = learn(reached, gradient, energies, weights, optim)
        after = batch._replace(weights=weights)
        landscape = after.landscape(targets)
        arrived: dict[str, Any] = {}
        if travel < self.T:
            arrived = start_energies(landscape, nodes, forward=False)
            run = Run(landscape, self.descent, False, None)
            slope = landscape.gradient(nodes)

            def settle(carry: Any, i: Any) -> Any:
                nodes, states, bad = carry
                nodes, states, _ = run.move((landscape.free,), nodes, states, None, slope, travel + i)
                return (nodes, states, run.check(nodes, bad, travel + 1 + i)), None

            states |= {n: self.descent.at(n).init(nodes[n]) for n in landscape.free if n not in states}
            steps = jnp.arange(self.T - travel, dtype=jnp.int32)
            (nodes, states, bad), _ = jax.lax.scan(for_loops(settle, p.convolves), (nodes, states, bad), steps)
        gradient, energies, elements = weight_gradient(after, landscape, nodes)
        weights, optim = learn(list(groups), gradient, energies, weights, optim)
        memory = self._learn_precision(batch, state, elements)
        loss = output_energy(batch, begin.u, targets)
        before = start_energies(batch.landscape(targets), begin.h, forward=True)
        # While the error travels, the weights move too, and first steps of 1 are no descent.
        uphill = rose(batch, arrived, energies)
        return Learned(weights, optim, memory, energies, begin.u, p.outputs, loss, self.T, bad, before, uphill)
