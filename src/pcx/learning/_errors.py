"""Rules that work on errors: fixed predictions (FPA), and errors as coordinates (ePC)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import optax

from ..energy._problem import Problem
from ..energy._structure import Structure, Values
from ..inference._descent import as_descent
from ..inference._relax import settle
from ..inference._schedule import AllNodes, Schedule, WaveFront
from ..inference._solution import Solution
from ..inference._stop import Stop, as_stop
from ._batch import Batch
from ._gradient import output_energy
from ._local import Forward, add, error_energy, forward_predictions, refuse, weigh
from ._reach import moves_by_gradient_alone, warn_of_layers_out_of_reach
from ._rule import Learned, Rule, forward
from ._state import State
from ._uphill import forward_energies, rose


class FixedLandscape:
    """The energy's gradient as a function of the errors, with predictions and Jacobians at their forward values: as
    `Landscape`, with errors for values."""

    def __init__(self, forward: Forward, targets: Mapping[str, Any]) -> None:
        p = forward.batch.problem
        self.forward = forward
        self.free, self.names, self.order = p.free, tuple(p.nodes), p.graph.order
        self.convolves = p.convolves
        self.held = {n: forward.target(n, v) for n, v in targets.items() if n in p.energy_ids}
        self.arrival = self.travel(self.held)

    def errors_at(self, errors: Mapping[str, Any]) -> tuple[tuple[str, ...], dict[str, Any]]:
        """Which nodes have an error: at the start all free ones are zero."""
        return tuple(self.held), {}

    def travel(self, sources: Iterable[str], groups: Any = None, tied: Any = None) -> dict[str, int]:
        """See `pcx.energy.Landscape.travel`."""
        p = self.forward.batch.problem
        silent = [n for n in p.nodes if n not in p.energy_ids]
        if groups is None or len(groups) == 1:
            return p.graph.arrivals(sources, p.clamped, silent)
        return p.graph.arrivals_in_turn(sources, p.clamped, silent, groups, tied or {})

    def slopes(self, errors: Mapping[str, Any]) -> dict[str, Any]:
        """Each node's dE/du."""
        slopes = {n: self.forward.slope(n, errors[n]) for n in self.free}
        return slopes | {n: slope for n, (_, slope) in self.held.items()}

    def gradient(self, errors: Mapping[str, Any], moving: Iterable[str] | None = None) -> Any:
        names = self.free if moving is None else tuple([n for n in self.free if n in set(moving)])
        children = self.forward.batch.problem.graph.children

        def at(values: Mapping[str, Any]) -> dict[str, Any]:
            slopes = self.slopes({**errors, **values})
            found = {n: -slopes[n] for n in names}  # p e, what the node itself is pulled by
            for child in {c: None for n in names for c in children[n] if c in slopes}:
                above, _ = self.forward.back(child, slopes[child])
                add(found, [(n, g) for n, g in above.items() if n in found])
            return found

        return at

    def outward(self, errors: Mapping[str, Any], heat: Any) -> Any:
        """Whether errors went away from where they should come to rest.

        There is no energy that all of them descend on. But what pulls the nodes next to the held ones never changes,
        so that they descend on `p/2 |e|^2 - e pull`, which begins at zero.
        """
        p = self.forward.batch.problem
        last = [n for n in self.free if p.graph.children[n] and all(c in self.held for c in p.graph.children[n])]
        pull: dict[str, Any] = {}
        for child in {c: None for n in last for c in p.graph.children[n]}:
            above, _ = self.forward.back(child, self.held[child][1])
            add(pull, [(n, g) for n, g in above.items() if n in last])
        begun, ended = {}, {}
        for name, g in pull.items():
            precision = self.forward.batch.precision.get(name, 1.0)
            begun[name] = jnp.sum(0.5 * jnp.square(g) / precision)
            ended[name] = jnp.sum(0.5 * precision * jnp.square(errors[name]) + errors[name] * g) + begun[name]
        plain = self.forward.batch._replace(precision={})
        return rose(plain, begun, ended, heat)

    def energies(self, errors: Mapping[str, Any]) -> dict[str, Any]:
        """The energy of every node, `{node: [batch]}`."""
        return {n: self.forward.energy(n, errors[n]) for n in self.free} | {n: e for n, (e, _) in self.held.items()}


class ErrorLandscape:
    """The energy as a function of the errors, where values follow: `h = u(parents) + e`. As `Landscape`, with errors
    for values."""

    arrival = None  # an error anywhere feels the output at once

    def __init__(self, batch: Batch, targets: Mapping[str, Any]) -> None:
        p = batch.problem
        self.batch, self.targets = batch, dict(targets)
        self.free, self.names, self.order = p.free, tuple(p.nodes), p.graph.order
        self.convolves = p.convolves
        self._known = p.known(*batch.arrays)

    def values(self, errors: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
        """The free nodes' values and all predictions that the errors stand for."""
        p = self.batch.problem
        at, h, u = dict(self._known), {}, {}
        for name in p.graph.order:
            u[name] = p.predict(name, at)
            h[name] = self.targets[name] if name in self.targets else u[name] + errors[name]
            at[p.h_ids[name]] = h[name]
        return h, u

    def energies(self, errors: Mapping[str, Any]) -> dict[str, Any]:
        """The energy of every node, `{node: [batch]}`."""
        p = self.batch.problem
        _, u = self.values(errors)
        found = {n: error_energy(self.batch, n, errors[n]) for n in self.free}
        for name in self.targets:
            if name in p.energy_ids:
                elements = p.elements(name, self.targets[name], u[name], self._known)
                found[name] = weigh(self.batch, name, elements)
        return found

    def gradient(self, errors: Mapping[str, Any], moving: Iterable[str] | None = None) -> Any:
        names = self.free if moving is None else tuple([n for n in self.free if n in set(moving)])

        def total(values: Mapping[str, Any]) -> Any:
            return sum(jnp.sum(e) for e in self.energies({**errors, **values}).values())

        slope = jax.grad(total)
        return lambda values: slope({n: values[n] for n in names})


class _OnErrors(Rule):
    """What rules on errors share: they settle errors, and learn from them."""

    def __init__(
        self, optim_w: optax.GradientTransformation, optim_h: Any, T: int | Stop, *, schedule: Schedule, **options: Any
    ):
        super().__init__(optim_w, **options)
        self.descent = as_descent(type(self).__name__, optim_h)
        self.random = self.descent.random
        self.stop = as_stop(type(self).__name__, T, 1, "T")
        self.schedule = schedule

    def _admit(self, problem: Problem) -> None:
        super()._admit(problem)
        refuse(type(self).__name__.lower(), problem)
        self.descent.check(type(self).__name__.lower(), problem.free, problem.nodes)

    def _at_rest(
        self,
        structure: Structure,
        outputs: tuple[str, ...],
        values: Values,
        memory: Any,
        key: Any,
        x: Any,
        hold: Any,
    ) -> tuple[dict[str, Any], Any]:
        # Without a target no error has a cause: they stay at zero, where they start.
        return forward(structure, outputs, values, x)[1], None

    def _settle(self, batch: Batch, landscape: Any) -> Any:
        p = batch.problem
        zero = {n: jnp.zeros((p.size, *p.nodes[n].shape), p.nodes[n].dtype) for n in p.free}
        draw = self._draw(batch.key)
        return settle(landscape, zero, descent=self.descent, stop=self.stop, schedule=self.schedule, key=draw)

    def _learned(
        self,
        batch: Batch,
        state: State,
        at: Forward,
        targets: dict[str, Any],
        slopes: dict[str, Any],
        first: Forward,
        solution: Solution,
        outward: Any = None,
    ) -> Learned:
        errors = solution.nodes
        p = batch.problem
        gradient = at.weight_gradient(slopes, targets)
        held = {n: at.target(n, v)[0] for n, v in targets.items() if n in p.energy_ids}
        energies = {n: at.energy(n, errors[n]) for n in p.free} | held
        weights, optim = self._updated(gradient, state.optim, batch.weights, batch, energies)
        elements = {n: 0.5 * jnp.square(errors[n]) for n in p.free}
        elements |= {n: at.elements(n, targets[n], at.u[n]) for n in held}
        memory = self._learn_precision(batch, state, elements)
        u = forward_predictions(batch, first)
        loss = output_energy(batch, u, targets)
        before = forward_energies(batch, {n: first.target(n, targets[n])[0] for n in held})
        uphill = rose(batch, before, energies, self.descent.temperature) if outward is None else outward
        steps, bad = solution.steps, solution.first_bad
        return Learned(weights, optim, memory, energies, u, p.outputs, loss, steps, bad, before, uphill)


class FPA(_OnErrors):
    """Fixed predictions (arXiv 2006.04182): predictions and Jacobians stay at their forward values, the errors relax,
    `e <- e - g (p e - J' e_below)`. Tends to backpropagation's gradient for any stable g < 2, and is that, exactly,
    from T = L - 1 steps on with g = 1.

    **Arguments:**

    - `optim_w`, `learn`, `call`, `precision`: see `Rule`.
    - `optim_h`: how errors move.
    - `T`: inference steps, or a `pcx.inference.Stop`.
    - `schedule`: as in `PredictiveCoding`.
    """

    def __init__(self, optim_w: Any, optim_h: Any, T: int | Stop, *, schedule: Schedule | None = None, **options: Any):
        super().__init__(optim_w, optim_h, T, schedule=WaveFront() if schedule is None else schedule, **options)

    def _admit(self, problem: Problem) -> None:
        super()._admit(problem)
        if moves_by_gradient_alone(self.descent, problem):
            schedule = AllNodes() if self.stop.early else self.schedule
            warn_of_layers_out_of_reach("FPA", problem, schedule, self.stop.steps, follows=False)

    def _learn(self, batch: Batch, targets: dict[str, Any], state: State) -> Learned:
        forward = Forward(batch, targets)
        landscape = FixedLandscape(forward, targets)
        solution = self._settle(batch, landscape)
        slopes = landscape.slopes(solution.nodes)
        outward = landscape.outward(solution.nodes, self.descent.temperature)
        return self._learned(batch, state, forward, targets, slopes, forward, solution, outward)


class EPC(_OnErrors):
    """Errors as coordinates (arXiv 2505.20137): `s = f(s_above) + e`, all errors zero at first; T steps down the
    gradient of `sum 1/2 |e|^2 + Loss(s_L, y)`, each one pass of backpropagation through the states; then, the states
    held fixed, each weight learns from its local energy. The equilibria are those of PC. One step of size g is g times
    backpropagation, up to O(g). Stable for g < 2 / (1 + s^2), with s the largest singular value of the network's
    Jacobian, which grows as training goes on.

    **Arguments:**

    - `optim_w`, `learn`, `call`, `precision`: see `Rule`.
    - `optim_h`: how errors move.
    - `T`: inference steps, or a `pcx.inference.Stop`.
    """

    def __init__(self, optim_w: Any, optim_h: Any, T: int | Stop, **options: Any):
        super().__init__(optim_w, optim_h, T, schedule=AllNodes(), **options)

    def _learn(self, batch: Batch, targets: dict[str, Any], state: State) -> Learned:
        solution = self._settle(batch, ErrorLandscape(batch, targets))
        errors = solution.nodes
        at = Forward(batch, targets, errors)
        slopes = {n: at.slope(n, errors[n]) for n in batch.problem.free}
        slopes |= {n: at.target(n, v)[1] for n, v in targets.items() if n in batch.problem.energy_ids}
        return self._learned(batch, state, at, targets, slopes, Forward(batch, targets), solution)
