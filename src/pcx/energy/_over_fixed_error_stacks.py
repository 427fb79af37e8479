"""The energy over errors with fixed Jacobians, with equal layers computed together."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable
from functools import partial
from typing import TYPE_CHECKING, Any

import jax.numpy as jnp
from jax import Array

from ._added_up import added_up
from ._error_stacks import ErrorStacks, energies_of_errors, grads_of_errors
from ._landscape import WeightGradient
from ._local import own_gradient
from ._over_errors import OverFixedErrors
from ._pulls import Pulls
from ._stacks import Block, Stacks, blocks_of, blockwise, gathered, mapped, selected, updated
from ._together import Part
from ._types import Factors, Gradient, Nodes, NodesIn, Weights
from ._weight_terms import Term, add_weights, mean_gradient

if TYPE_CHECKING:
    from ._bound import Bound


class OverFixedErrorStacks(ErrorStacks, OverFixedErrors):
    """As `OverFixedErrors`, with equal layers computed together; arrays by node are `Stacks`."""

    def __init__(self, bound: Bound, clamped: NodesIn, scale: Factors | None = None) -> None:
        self._zeros = {}
        self._pulls = Pulls(bound, clamped, scale)
        super().__init__(bound, clamped, scale)

    def _at_clamped(self, name: str) -> tuple[Array, Array]:
        return self._pulls.clamped_energy(name)

    def _above(self, child: str, grad: Array) -> Nodes:
        return self._pulls.pullback(child, grad)[0]

    # -- where settling starts ------------------------------------------------------------------------
    def starts_forward(self, coords: NodesIn) -> bool:
        return all(v is self._zeros.get(names) for names, v in blocks_of(selected(coords, self.free)))

    def arranged(self, coords: NodesIn, alike: Callable[[str], Hashable] | None = None) -> Stacks:
        if not self.starts_forward(coords):
            return super().arranged(coords, alike)
        blocks = self.blocks(self.free, alike)
        return Stacks(blocks, [self._zero_of(names) for names in blocks])

    def values(self, coords: NodesIn) -> Any:
        self.check_names("landscape", coords)
        h = self._pulls.h
        moved = blockwise(selected(coords, self.free), lambda names, e: gathered(names, h) + e)
        return updated(self.clamped, moved)

    def predictions(self, coords: NodesIn) -> Any:
        return self._pulls.u

    # -- energies and gradients -----------------------------------------------------------------------
    def energies(self, coords: NodesIn) -> Any:
        self.check_names("landscape", coords)
        free = blockwise(selected(coords, self.free), partial(energies_of_errors, self.bound))
        return updated(free, {n: e for n, (e, _) in self._clamped_grads.items()})

    def energies_before(self, coords: NodesIn) -> Any:
        return updated(self.energies_without_errors(), {n: e for n, (e, _) in self._clamped_grads.items()})

    def _grads(self, coords: NodesIn) -> Any:
        """Return dE/du of all nodes with an energy."""
        free = blockwise(selected(coords, self.free), partial(grads_of_errors, self.bound))
        return updated(free, {n: grad for n, (_, grad) in self._clamped_grads.items()})

    def gradient(self, coords: NodesIn, moving: Iterable[str] | None = None) -> Gradient:
        self.check_names("landscape", coords)
        names, given, children = self.among_free(moving), coords, self.problem.graph.children
        felt = dict.fromkeys([c for n in names for c in children[n] if c in self.free or c in self._clamped_grads])
        parts, singles = self.together.parts(felt, lambda name: None)
        blocks = self.blocks(names)

        def at(moved: NodesIn) -> Any:
            grads = self._grads(updated(given, moved))
            found: list[tuple[Block, Array]] = [(b, -gathered(b, grads)) for b in blocks]  # p e, of the node itself
            for part in parts:
                found += self._pulls.values_of(part, gathered(part.names, grads))
            for child in singles:
                found += self._pulls.of_one(child, grads[child])[0]
            return Stacks(blocks, [added_up(b, found) for b in blocks])

        return at

    def weight_gradient(self, coords: NodesIn) -> WeightGradient:
        own: Weights = {}
        for name in self._with_energy:
            at = (self.bound, name, self.clamped[name], self._pulls.u[name], self.scale.get(name))
            add_weights(own, own_gradient(*at))
        terms: list[Term] = []
        for names, grad in blocks_of(self._grads(coords)):
            grad = mapped(self.bound.samples.weighted, names)(grad)
            if len(names) == 1:
                _, alone, more = self._pulls.of_one(names[0], grad)
                add_weights(own, alone)
                terms += more
            else:
                group, i = self.together.places[names[0]]
                terms += self._pulls.weights_of(Part(group, i, i + len(names)), grad)
        elements = blockwise(selected(coords, self.free), lambda _, e: 0.5 * jnp.square(e))
        functions = self.bound.functions
        clamped = {n: functions.elements(n, self.clamped[n], self._pulls.u[n]) for n in self._with_energy}
        return WeightGradient(mean_gradient(self.bound, own, terms), self.energies(coords), updated(elements, clamped))
