"""Energies as functions of the errors of the free nodes, from which values follow."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import jax
import jax.numpy as jnp
from jax import Array
from jaxtyping import Bool

from ._landscape import Landscape, WeightGradient
from ._local import LocalVJPs, add, error_energy
from ._precision import check_scale, log_part
from ._types import Energies, Factors, Gradient, Moves, Nodes, NodesIn
from ._uphill import added, rose, sum_each

if TYPE_CHECKING:
    from ._bound import Bound
    from ._problem import Problem


_INSTEAD = "settle over values instead, as pxl.pc does"


def check_errors(rule: str, problem: Problem) -> None:
    """Refuse what can't be written in errors: every hidden energy must be a squared error.

    **Arguments:**

    - `rule`: the name to begin with.
    - `problem`: the problem.

    **Raises:** `ValueError`, naming the node.
    """
    if problem.has_own_energy:
        raise ValueError(
            f"{rule}: the model has an energy of its own beside its nodes', which no node's error stands for: "
            f"{_INSTEAD}"
        )
    for name in problem.free:
        if not problem.nodes[name].squared:
            raise ValueError(
                f"{rule}: the energy of {name} must be a squared error (pxc.se_energy) of its value and prediction, "
                f"with no rule of its ruleset that transforms either as it is read: {_INSTEAD}"
            )
    for name, node in problem.nodes.items():
        if not node.silent and not node.local:
            raise ValueError(
                f"{rule}: the energy of {name} depends on more than its value and its prediction: {_INSTEAD}"
            )
        if not node.silent and problem.graph.parents[name] == () and not problem.has_prediction(name):
            raise ValueError(f"{rule}: {name} has no prediction: {_INSTEAD}")
    if not problem.starts_at_predictions:
        raise ValueError(
            f"{rule}: every free node must start at its prediction (the ruleset sets h otherwise): {_INSTEAD}"
        )


def energies_without_errors(bound: Bound) -> Energies:
    """Return the energies that precisions add to free nodes without an error, `{node: [batch]}`."""
    p, precision = bound.problem, bound.precision
    names = [n for n in p.free if n in precision and not p.nodes[n].silent]
    return {n: jnp.broadcast_to(-log_part(precision[n], p.nodes[n].size), (p.size,)) for n in names}


class _Errors(Landscape):
    """The base of landscapes over errors: they start at zero, and the clamped nodes have an energy."""

    def __init__(self, bound: Bound, clamped: NodesIn, scale: Factors | None = None) -> None:
        p = bound.problem
        self.bound, self.problem, self.rounding = bound, p, p.structure.rounding
        self.clamped, self.scale = dict(clamped), dict(scale or {})
        self.free, self.names, self.order = p.free, tuple(p.nodes), p.graph.order
        check_scale(p, self.scale)
        missing = [n for n in p.clamped if n not in self.clamped]
        if missing:
            raise ValueError(
                f"landscape: {missing[0]} is clamped, and lacks a value: give those of bound.start().targets"
            )
        p.check_values(self.clamped, "landscape")
        self._with_energy = tuple([n for n in self.clamped if not p.nodes[n].silent])

    @functools.cached_property
    def _zero(self) -> Nodes:
        p = self.problem
        with jax.ensure_compile_time_eval():  # no tracer of a function in which it is asked for first is kept
            return {n: jnp.zeros((p.size, *p.nodes[n].shape), p.nodes[n].dtype) for n in self.free}

    def start(self) -> Nodes:
        return dict(self._zero)

    def starts_forward(self, coords: NodesIn) -> bool:
        return all(coords[n] is zero for n, zero in self._zero.items())

    def _checked(self, coords: NodesIn) -> NodesIn:
        self.check_names("landscape", coords)
        self.problem.check_values({n: coords[n] for n in self.free}, "landscape")
        return coords

    @functools.cached_property
    def _first(self) -> LocalVJPs:
        """The forward pass: all errors are zero."""
        return LocalVJPs(self.bound, self.clamped, scale=self.scale)

    def energies_before(self, coords: NodesIn) -> Energies:
        """Return the energies at a forward pass: those of the clamped nodes, and what precisions add to the others'."""
        return energies_without_errors(self.bound) | {n: self._first.clamped_energy(n)[0] for n in self._with_energy}

    def without_logs(self, energies: Energies) -> Energies:
        p, precision = self.problem, self.bound.precision
        return {n: e + log_part(precision[n], p.nodes[n].size) if n in precision else e for n, e in energies.items()}

    def _learned(self, at: LocalVJPs, coords: NodesIn) -> WeightGradient:
        """Return the gradient by the weights and the energies where the predictions are those of `at`."""
        grads = {n: at.grad_of_error(n, coords[n]) for n in self.free}
        clamped = {n: at.clamped_energy(n) for n in self._with_energy}
        gradient = at.weight_gradient(grads | {n: grad for n, (_, grad) in clamped.items()})
        energies = {n: at.energy_of_error(n, coords[n]) for n in self.free} | {n: e for n, (e, _) in clamped.items()}
        elements = {n: 0.5 * jnp.square(coords[n]) for n in self.free}
        return WeightGradient(gradient, energies, elements | {n: at.elements(n) for n in self._with_energy})


class OverErrors(_Errors):
    """The energy as a function of the errors, where values follow: `h = u(parents) + e`, so that the output feels an
    error anywhere at once (arXiv 2505.20137). A place of zero gradient is one of the energy over values, too.

    **Arguments:**

    - `bound`: the problem and its arrays.
    - `clamped`: values of the clamped nodes, `{node: [batch, *shape]}`.
    - `scale`: factors of their energies, by name.
    """

    def values(self, coords: NodesIn) -> Nodes:
        return self._follow(coords)[0]

    def predictions(self, coords: NodesIn) -> Nodes:
        return self._follow(coords)[1]

    def _follow(self, coords: NodesIn) -> tuple[Nodes, Nodes]:
        self._checked(coords)
        h: Nodes = {}
        u: Nodes = {}
        for name in self.order:
            predicted = self.bound.functions.predict(name, h)
            if predicted is not None:
                u[name] = predicted
            h[name] = self.clamped[name] if name in self.clamped else u[name] + coords[name]
        return h, u

    def energies(self, coords: NodesIn) -> Energies:
        u = self.predictions(coords)
        found = {n: error_energy(self.bound, n, coords[n]) for n in self.free}
        for name in self._with_energy:
            elements = self.bound.functions.elements(name, self.clamped[name], u[name])
            each = self.bound.node_energy(name, elements)
            found[name] = self.scale[name] * each if name in self.scale else each
        return found

    def gradient(self, coords: NodesIn, moving: Iterable[str] | None = None) -> Gradient:
        names = self.among_free(moving)
        at = dict(self._checked(coords))
        grad = jax.grad(lambda moved: self.total({**at, **moved}))
        return lambda coords: grad({n: coords[n] for n in names})

    def weight_gradient(self, coords: NodesIn) -> WeightGradient:
        return self._learned(LocalVJPs(self.bound, self.clamped, self._checked(coords), self.scale), coords)


class OverFixedErrors(_Errors):
    """As `OverErrors`, with predictions and Jacobians at their forward values (the fixed-prediction assumption, arXiv
    2006.04182): the pull on an error is linear in the errors of the nodes that are predicted from it.

    **Arguments:**

    - `bound`, `clamped`, `scale`: see `OverErrors`.
    """

    def __init__(self, bound: Bound, clamped: NodesIn, scale: Factors | None = None) -> None:
        super().__init__(bound, clamped, scale)
        self._clamped_grads = {n: self._at_clamped(n) for n in self._with_energy}
        self.arrival = self.travel(self._with_energy)

    def _at_clamped(self, name: str) -> tuple[Array, Array]:
        """Return the energy of a clamped node, and its gradient by the prediction."""
        return self._first.clamped_energy(name)

    def _above(self, child: str, grad: Array) -> Nodes:
        """Return what a cotangent of a node's prediction gives for the values of its parents."""
        return self._first.pullback(child, grad)[0]

    def values(self, coords: NodesIn) -> Nodes:
        self._checked(coords)
        return {n: h + coords[n] if n in self.free else h for n, h in self._first.h.items()}

    def predictions(self, coords: NodesIn) -> Nodes:
        return dict(self._first.u)

    def errors_at(self, coords: NodesIn) -> tuple[tuple[str, ...], dict[str, Bool[Array, " batch"]]] | None:
        if self.starts_forward(coords):
            return self._with_energy, {}
        return self._with_energy, {n: jnp.any(coords[n].reshape(len(coords[n]), -1) != 0, axis=1) for n in self.free}

    def travel(
        self,
        sources: Iterable[str],
        groups: Sequence[Sequence[str]] | None = None,
        moves: Moves | None = None,
    ) -> dict[str, int]:
        return self.problem.arrivals(self.free, sources, groups, moves)

    def energies(self, coords: NodesIn) -> Energies:
        self._checked(coords)
        free = {n: self._first.energy_of_error(n, coords[n]) for n in self.free}
        return free | {n: e for n, (e, _) in self._clamped_grads.items()}

    def gradient(self, coords: NodesIn, moving: Iterable[str] | None = None) -> Gradient:
        names, coords = self.among_free(moving), self._checked(coords)
        children = self.problem.graph.children

        def at(moved: NodesIn) -> Nodes:
            errors = {**coords, **moved}
            grads = {n: self._first.grad_of_error(n, errors[n]) for n in self.free}
            grads |= {n: grad for n, (_, grad) in self._clamped_grads.items()}
            found = {n: -grads[n] for n in names}  # p e, the pull of the node itself
            for child in {c: None for n in names for c in children[n] if c in grads}:
                above = self._above(child, grads[child])
                add(found, [(n, g) for n, g in above.items() if n in found])
            return found

        return at

    def weight_gradient(self, coords: NodesIn) -> WeightGradient:
        return self._learned(self._first, self._checked(coords))

    def went_uphill(
        self,
        coords: NodesIn,
        before: Energies,
        after: Energies,
        temperature: Array | float | None,
        *,
        each: bool = False,
    ) -> Bool[Array, "*batch"]:
        """Return whether errors went away from where they should come to rest.

        There is no energy that all of them descend on. But the pull on the nodes next to the clamped ones never
        changes, so that they descend on `p/2 |e|^2 - e pull`, which begins at zero.
        """
        if not self.free:
            return jnp.array(False)
        p, of = self.problem, sum_each if each else jnp.sum
        last = [n for n in self.free if p.graph.children[n] and all(c in self.clamped for c in p.graph.children[n])]
        pull: Nodes = {}
        for child in {c: None for n in last for c in p.graph.children[n]}:
            above = self._above(child, self._clamped_grads[child][1])
            add(pull, [(n, g) for n, g in above.items() if n in last])
        begun: Nodes = {}
        ended: Nodes = {}
        for name, g in pull.items():
            precision = self.bound.precision.get(name, 1.0)
            begun[name] = of(0.5 * jnp.square(g) / precision)
            ended[name] = of(0.5 * precision * jnp.square(coords[name]) + coords[name] * g) + begun[name]
        begun_at = added(list(begun.values()))
        return rose(coords, added(list(ended.values())) - begun_at, begun_at, temperature, self.rounding)
