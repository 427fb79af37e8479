"""The energy as a function of the values of the free nodes."""

from __future__ import annotations

import functools
import math
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import jax
import jax.numpy as jnp
import jax.tree_util as jtu
from jax import Array
from jaxtyping import Bool

from ._dtypes import grad_of_mean
from ._functions import OWN, Functions
from ._landscape import Landscape, WeightGradient
from ._node import ForwardPass
from ._origin import is_forward, of_another
from ._parts import Parts
from ._precision import check_scale, log_part, weighed
from ._stacks import blocks_of, selected, updated
from ._types import Energies, Factors, Gradient, Moves, Nodes, NodesIn, Weights
from ._uphill import added

if TYPE_CHECKING:
    from ._bound import Bound


class OverValues(Landscape):
    """The energy of a batch as a function of the values of its free nodes: predictive coding's own landscape.

    A precision p multiplies a node's energy and adds `-1/2 log p` for each feature. Made by `Bound.landscape`.

    **Arguments:**

    - `bound`: the problem and its arrays.
    - `clamped`: the values of the nodes that don't move, by name, `[batch, *shape]` each.
    - `sources`: the nodes that may have an error where the free ones are at the values of a forward pass; None if that
        isn't known.
    - `scale`: factors of nodes' energies, by name.
    - `parts`: of clamped nodes that are clamped in part.
    - `forward`: the forward pass, where it has been made.

    **Raises:** `ValueError` for a `scale` or `sources` that names no node.
    """

    def __init__(
        self,
        bound: Bound,
        clamped: NodesIn,
        sources: Iterable[str] | None,
        *,
        scale: Factors | None = None,
        parts: Parts | None = None,
        forward: ForwardPass | None = None,
    ) -> None:
        p = bound.problem
        self.bound, self.problem, self.rounding = bound, p, p.structure.rounding
        self.clamped = dict(clamped)
        self.scale = dict(scale or {})
        self.parts = Parts({}, {}) if parts is None else parts
        self.free = tuple([n for n in p.nodes if n not in self.clamped])
        self.names, self.order = tuple(p.nodes), p.graph.order
        # A forward pass at other weights, say, is not where this landscape starts: it makes its own then.
        stale = forward is not None and of_another(p, jtu.tree_leaves(bound.inputs), dict(blocks_of(forward.h)))
        self._forward = None if stale else forward
        check_scale(p, self.scale)
        unknown = [n for n in sources or () if n not in p.nodes]
        if unknown:
            raise ValueError(f"landscape: sources names {unknown[0]!r}; the nodes are {', '.join(p.nodes)}")
        self._sources = None if sources is None or p.has_own_energy else tuple(sources)
        self.arrival = None if self._sources is None else self.travel(self._sources)

    # -- where settling starts ------------------------------------------------------------------------
    def start(self) -> Nodes:
        forward = self.bound.start() if self._forward is None else self._forward
        return self.project({n: self._start_of(n, forward) for n in self.free})

    def _start_of(self, name: str, forward: ForwardPass) -> Array:
        if name in forward.h:
            return forward.h[name]
        u = forward.u[name]  # clamped in part: the rest of it starts at its prediction
        return jnp.zeros_like(self.parts.values[name][1]) if u is None else u

    def starts_forward(self, coords: NodesIn) -> bool:
        if self._sources is None:
            return False
        at = dict(blocks_of(selected(coords, self.free)))
        return is_forward(self.problem, jtu.tree_leaves(self.bound.inputs), at)

    def project(self, coords: NodesIn) -> Nodes:
        return self.parts.project(coords)

    def begin(self, coords: NodesIn) -> Nodes:
        """Return values to start from; a node that is clamped in part, and has none, starts where it is clamped."""
        return self.project({**{n: v for n, (_, v) in self.parts.values.items()}, **coords})

    # -- the wave of errors ---------------------------------------------------------------------------
    def travel(
        self,
        sources: Iterable[str],
        groups: Sequence[Sequence[str]] | None = None,
        moves: Moves | None = None,
    ) -> dict[str, int]:
        return self.problem.arrivals(self.free, sources, groups, moves)

    def errors_at(self, coords: NodesIn) -> tuple[tuple[str, ...], dict[str, Bool[Array, " batch"]]] | None:
        """Return which nodes may have an error at these values, see `Landscape`.

        An error as small as the rounding of the value is none: nothing but rounding is known of it.
        """
        p = self.problem
        if p.has_own_energy:
            return None
        if self.starts_forward(coords):
            assert self._sources is not None
            return self._sources, {}
        tested = [n for n in self.free if p.nodes[n].squared]
        always = tuple([n for n in p.nodes if not p.nodes[n].silent and n not in tested])
        found = self._functions.energies(self.values(coords), tested)
        return always, {n: _has_error(found[n], coords[n], self._terms(n)) for n in tested}

    def _terms(self, name: str) -> int:
        """Return how many numbers a prediction may be summed of: those of one sample, and of the node's parents."""
        p = self.problem
        x = [a.size // p.size for a in jtu.tree_leaves(self.bound.x)]
        return max([*x, *[p.nodes[n].size for n in p.graph.parents[name]], 1])

    # -- energies and gradients -----------------------------------------------------------------------
    @functools.cached_property
    def _functions(self) -> Functions:
        return self.bound.functions

    def values(self, coords: NodesIn) -> Nodes:
        """Return the values of all nodes, clamped ones included, see `Landscape`.

        **Raises:** `ValueError` for values that are missing, of no node, or of another shape.
        """
        self.check_names("landscape", coords)
        self.problem.check_values({n: coords[n] for n in self.free}, "landscape")
        return {n: self.clamped[n] if n in self.clamped else coords[n] for n in self.names}

    def predictions(self, coords: NodesIn) -> Nodes:
        return self.bound.predictions(self.values(coords))

    def energies(self, coords: NodesIn, names: Iterable[str] | None = None) -> Energies:
        """Return the energy of every node that has one, or of some.

        What the modules' own energies add stands under the name "".

        **Arguments:**

        - `coords`: the values of the free nodes, `{node: [batch, *shape]}`.
        - `names`: of nodes; by default all that have an energy.

        **Returns:** `{node: [batch]}`.

        **Raises:** `ValueError` for names of no node, and for values as in `values`.
        """
        wanted = None if names is None else tuple(names)
        unknown = [n for n in wanted or () if n not in self.names and n != OWN]
        if unknown:
            raise ValueError(f"landscape: there is no node {unknown[0]!r}; the nodes are {', '.join(self.names)}")
        found = self._functions.energies(self.values(coords), wanted)
        return {n: self._weighed(n, e) for n, e in found.items()}

    def energies_before(self, coords: NodesIn) -> Energies:
        """Return the energies at the start, see `Landscape`. After a forward pass the errors of most nodes are zero, so
        only the others are evaluated, and those the forward pass itself has computed."""
        if not self.starts_forward(coords):
            return self.energies(coords)
        p = self.problem
        still = [n for n in p.free if not p.nodes[n].silent and n not in p.with_error]
        found = self.energies(coords, [n for n, node in p.nodes.items() if not node.silent and n not in still])
        return updated(found, self._energies_without_error(still))

    def gradient(self, coords: NodesIn, moving: Iterable[str] | None = None) -> Gradient:
        names = self.among_free(moving)
        values = self.values(coords)
        if not names:
            return lambda coords: {}
        if self._is_plain:
            gradient = self._functions.gradient_by(names, values, _summed)
            return lambda coords: gradient({n: coords[n] for n in names})
        energies = self._functions.energies_by(names, values)

        def total(coords: NodesIn) -> Array:
            return added([self._weighed(n, e, summed=True) for n, e in energies(coords).items()])

        grad = jax.grad(total)

        def at(coords: NodesIn) -> Nodes:
            found = grad({n: coords[n] for n in names})
            return self.parts.moving({n: found[n] for n in names})  # JAX sorts them

        return at

    @property
    def _is_plain(self) -> bool:
        """True if energies are summed as they are."""
        p = self.problem
        weighed = self.bound.precision or self.scale or self.parts.values or self.parts.counts
        return not weighed and not p.has_own_energy and p.structure.dtypes is None

    def weight_gradient(self, coords: NodesIn) -> WeightGradient:
        p, samples, values = self.problem, self.bound.samples, self.values(coords)

        def summed(weights: Weights) -> tuple[Array, Nodes]:
            elements = self._functions.energies(values, weights=weights)
            if samples.weight is None:
                total = added([self._weighed(n, e, summed=True) for n, e in elements.items()])
            else:
                total = added([jnp.sum(samples.weighted(self._weighed(n, e))) for n, e in elements.items()])
            return total, elements

        gradient, found = grad_of_mean(summed, p.size, p.structure.dtypes)(self.bound.weights)
        names = [n for n in (*self.names, OWN) if n in found]  # JAX sorts them
        elements = {n: found[n] for n in names}
        return WeightGradient(gradient, {n: self._weighed(n, e) for n, e in elements.items()}, elements)

    def without_logs(self, energies: Energies) -> Energies:
        precision = self.bound.precision
        if not precision:
            return energies
        return {n: e + log_part(precision[n], self._size(n)) if n in precision else e for n, e in energies.items()}

    def _weighed(self, name: str, elements: Array, summed: bool = False) -> Array:
        """Return one energy for each sample, or with `summed` for the batch, from elementwise ones."""
        elements = self.parts.counted(name, elements)
        # The constant log-determinant has no gradient for the states, but is part of the energy that is reported.
        energy = weighed(elements, self.bound.precision.get(name), self._size(name), summed)
        return self.scale[name] * energy if name in self.scale else energy

    def _energies_without_error(self, names: Sequence[str]) -> Energies:
        """Return the energies of nodes without an error, `{node: [batch]}`: those of their precisions, of nodes that
        have one."""
        precision, scale = self.bound.precision, self.scale
        each = {n: -log_part(precision[n], self._size(n)) * scale.get(n, 1.0) for n in names if n in precision}
        return {n: jnp.broadcast_to(e, (self.problem.size,)) for n, e in each.items()}

    def _size(self, name: str) -> int:
        return 1 if name == OWN else self.problem.nodes[name].size


def _summed(elements: Array) -> Array:
    return weighed(elements, None, 1, True)


def _has_error(energy: Array, value: Array, terms: int) -> Bool[Array, " batch"]:
    """Return whether a squared error, from its elementwise energy, is more than the rounding of a sum of so many
    terms, which another program takes in another order."""
    eps = float(jnp.finfo(value.dtype).eps)
    allowed = (max(8.0, 2 * math.sqrt(terms)) if eps < 1e-6 else 1) * eps * _largest(value)
    return ~(jnp.sqrt(2 * _largest(energy)) <= allowed.astype(energy.dtype))  # one that is not finite is an error


def _largest(x: Array) -> Array:
    return jnp.max(jnp.abs(x), axis=tuple(range(1, x.ndim)), initial=0.0)
