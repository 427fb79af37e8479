"""The energy over errors, with equal layers computed together."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
from jax import Array

from ._error_stacks import ErrorStacks, energies_of_errors, grads_of_errors
from ._follow import follow
from ._landscape import WeightGradient
from ._local import clamped_energy, own_gradient
from ._node import ForwardPass
from ._over_errors import OverErrors
from ._stacks import Block, blocks_of, blockwise, mapped, selected, updated
from ._together import Part, given_to
from ._types import Factors, Gradient, NodesIn, Weights
from ._weight_terms import Term, add_weights, mean_gradient

if TYPE_CHECKING:
    from ._bound import Bound


class OverErrorStacks(ErrorStacks, OverErrors):
    """As `OverErrors`, with equal layers computed together; arrays by node are `Stacks`."""

    def __init__(
        self, bound: Bound, clamped: NodesIn, scale: Factors | None = None, forward: ForwardPass | None = None
    ) -> None:
        super().__init__(bound, clamped, scale)
        self._zeros = {}
        self._forward = bound.start(effects=False) if forward is None else forward

    def starts_forward(self, coords: NodesIn) -> bool:
        return False  # an error anywhere is felt at once, so that nothing hangs on it

    def _follow(self, coords: NodesIn) -> tuple[Any, Any]:
        self.check_names("landscape", coords)
        h: Any = dict(self.clamped)
        u: Any = {}
        last: dict[str, Array] = {}

        def value_of(name: str) -> Array:
            return last[name] if name in last else h[name]

        for name in self.problem.items:
            if not isinstance(name, str):
                found = follow(self.together, name, value_of, coords)
                h, u = updated(h, found.h), updated(u, found.u)
                last |= found.last
            else:
                above = {n: value_of(n) for n in self.problem.graph.parents[name]}
                predicted = self.bound.functions.predict(name, above)
                if predicted is not None:
                    u = updated(u, {name: predicted})
                if name not in self.clamped:
                    h = updated(h, {name: u[name] + coords[name]})
        return h, u

    # -- energies and gradients -----------------------------------------------------------------------
    def energies(self, coords: NodesIn) -> Any:
        u = self.predictions(coords)
        found = blockwise(selected(coords, self.free), partial(energies_of_errors, self.bound))
        for name in self._with_energy:
            each = self.bound.node_energy(name, self.bound.functions.elements(name, self.clamped[name], u[name]))
            found = updated(found, {name: self.scale[name] * each if name in self.scale else each})
        return found

    def energies_before(self, coords: NodesIn) -> Any:
        found = self.energies_without_errors()
        for name in self._with_energy:
            at = (self.bound, name, self.clamped[name], self._forward.u[name], self.scale.get(name))
            found = updated(found, {name: clamped_energy(*at)[0]})
        return found

    def gradient(self, coords: NodesIn, moving: Iterable[str] | None = None) -> Gradient:
        names, at = self.among_free(moving), coords
        grad = jax.grad(lambda moved: self.total(updated(at, moved)))
        return lambda coords: grad(selected(coords, names))

    def weight_gradient(self, coords: NodesIn) -> WeightGradient:
        h, u = self._follow(coords)
        errors = selected(coords, self.free)
        pulls = blockwise(errors, partial(grads_of_errors, self.bound))
        energies = blockwise(errors, partial(energies_of_errors, self.bound))
        elements = blockwise(errors, lambda _, e: 0.5 * jnp.square(e))
        own: Weights = {}
        for name in self._with_energy:
            at = (self.bound, name, self.clamped[name], u[name], self.scale.get(name))
            energy, grad = clamped_energy(*at)
            pulls, energies = updated(pulls, {name: grad}), updated(energies, {name: energy})
            elements = updated(elements, {name: self.bound.functions.elements(name, self.clamped[name], u[name])})
            add_weights(own, own_gradient(*at))
        terms: list[Term] = []
        for names, grad in blocks_of(pulls):
            grad = mapped(self.bound.samples.weighted, names)(grad)
            if len(names) == 1:
                add_weights(own, self._pulled(names[0], grad, h))
            else:
                terms += self._part_terms(names, grad, h)
        return WeightGradient(mean_gradient(self.bound, own, terms), energies, elements)

    def _pulled(self, name: str, grad: Array, h: Mapping[str, Array]) -> Weights:
        """Return what a cotangent of one node's prediction gives for its weights."""
        above = {n: h[n] for n in self.problem.graph.parents[name]}
        own = {w: self.bound.weights[w] for w in self.problem.weights_of(name)}
        _, pull = jax.vjp(lambda own: self.bound.functions.predict(name, above, own), own)
        return pull(grad)[0]

    def _part_terms(self, names: Block, grad: Array, h: Mapping[str, Array]) -> list[Term]:
        """Return what cotangents of the predictions of a part of a group give for its weights."""
        together, learn = self.together, self.problem.weight_places
        group, i = together.places[names[0]]
        part = Part(group, i, i + len(names))
        read = together.read_by_prediction(group)
        slots = [k for k, s in enumerate(group.slots) if s.kind == "array" and s.numbers[0] in learn and k in read]
        arguments, axes = together.arguments(part, h)

        def pulled(moving: list[Array], others: list[Any], cotangent: Array) -> list[Array]:
            def predict(moving: list[Array]) -> Array:
                at = list(others)
                for k, a in zip(slots, moving, strict=True):
                    at[k] = a
                return together.evaluated(group, group.wanted[:1], at)[0]

            return jax.vjp(predict, moving)[1](cotangent)[0]

        others = [None if k in slots else a for k, a in enumerate(arguments)]
        other_axes = [None if k in slots else a for k, a in enumerate(axes)]
        over = together.over(pulled, ([axes[k] for k in slots], other_axes, 0))
        return given_to(part, slots, over([arguments[k] for k in slots], others, grad))
