"""The energies of two networks over the same values."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping
from typing import Any

import jax.tree_util as jtu
from jax import Array
from jaxtyping import Bool

from ._landscape import Landscape, WeightGradient
from ._over_values import OverValues
from ._stacks import Block, Stacks, blockwise, gathered, renamed, selected, updated
from ._types import Energies, Gradient, Nodes, NodesIn


class OverSharedValues(Landscape):
    """The weighted energies of two networks that share the values of their free nodes: for hybrid PC and bidirectional
    PC (arXiv 2505.23415). Nodes go by their names in the first.

    **Arguments:**

    - `first`, `second`: the landscapes of both.
    - `pairs`: `{name in the first: name in the second}` of the values that they share.
    - `factors`: of the two energies, a scalar each.
    - `both`: whether values settle on the sum, or on the first alone; the weights of both learn.
    - `start`: values to start from, by the first's names, `{node: [batch, *shape]}`.
    """

    def __init__(
        self,
        first: OverValues,
        second: OverValues,
        pairs: Mapping[str, str],
        factors: tuple[Array | float, Array | float],
        both: bool,
        start: NodesIn,
    ) -> None:
        self.first, self.second, self.pairs = first, second, dict(pairs)
        self.factors, self.rounding = factors, first.rounding
        self.both, self._start = both, start if isinstance(start, Stacks) else dict(start)
        self.free, self.order = first.free, first.order
        self.names = tuple(dict.fromkeys((*first.names, *second.names)))

    def start(self) -> Nodes:
        return self.project(self._start)

    def project(self, coords: NodesIn) -> Any:
        return coords if isinstance(coords, Stacks) else dict(coords)

    def blocks(self, names: Iterable[str], alike: Callable[[str], Hashable] | None = None) -> tuple[Block, ...]:
        return self.first.blocks(names, alike)

    def arranged(self, coords: NodesIn, alike: Callable[[str], Hashable] | None = None) -> NodesIn:
        return self.first.arranged(coords, alike)

    def _other(self, coords: NodesIn) -> Any:
        """Return values under the names of the second network."""
        return renamed(coords, self.pairs)

    def values(self, coords: NodesIn) -> Nodes:
        return updated(self.second.values(self._other(coords)), self.first.values(coords))

    def predictions(self, coords: NodesIn) -> Nodes:
        return updated(self.first.predictions(coords), self.second.predictions(self._other(coords)))

    def energies(self, coords: NodesIn) -> Energies:
        """Return the energies that values descend on, see `Landscape`."""
        second = self.second.energies(self._other(coords)) if self.both else {}
        return self._joined(self.first.energies(coords), second)

    def energies_before(self, coords: NodesIn) -> Energies:
        """Return the energies of both networks at the start."""
        return self._joined(self.first.energies(coords), self.second.energies_before(self._other(coords)))

    def _joined(self, first: Energies, second: Energies) -> Energies:
        one, two = self.factors
        return updated(blockwise(first, lambda _, e: one * e), blockwise(second, lambda _, e: two * e))

    def gradient(self, coords: NodesIn, moving: Iterable[str] | None = None) -> Gradient:
        names = self.among_free(moving)
        first = self.first.gradient(coords, names)
        if not self.both:
            return first
        second = self.second.gradient(self._other(coords), [self.pairs[n] for n in names])
        names_of_first = {m: n for n, m in self.pairs.items()}
        one, two = self.factors

        def at(moved: NodesIn) -> Nodes:
            a, b = first(moved), renamed(second(self._other(updated(coords, moved))), names_of_first)
            return blockwise(a, lambda names, g: one * g + two * gathered(names, b))

        return at

    def weight_gradient(self, coords: NodesIn) -> WeightGradient:
        a, b = self.first.weight_gradient(coords), self.second.weight_gradient(self._other(coords))
        one, two = self.factors
        gradient = jtu.tree_map(lambda x, y: one * x + two * y, a.gradient, b.gradient)
        return WeightGradient(gradient, self._joined(a.energies, b.energies), updated(a.elements, b.elements))

    def went_uphill(
        self,
        coords: NodesIn,
        before: Energies,
        after: Energies,
        temperature: Array | float | None,
        *,
        each: bool = False,
    ) -> Bool[Array, "*batch"]:
        """Return whether the energies that values descend on rose, see `Landscape`."""
        names = [n for n in before if self.both or n not in self.second.names]
        descended = [selected(energies, names) for energies in (before, after)]
        return super().went_uphill(coords, descended[0], descended[1], temperature, each=each)

    def without_logs(self, energies: Energies) -> Energies:
        second = selected(energies, [n for n in energies if n in self.second.names])
        first = selected(energies, [n for n in energies if n not in second])
        return updated(self.first.without_logs(first), self.second.without_logs(second))
