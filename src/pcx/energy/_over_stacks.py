"""The energy over values, with equal local predictions computed together."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

from ._added_up import added_up
from ._by_layer import layer_devices
from ._dtypes import grad_of_mean
from ._in_stacks import InStacks, numbers_of
from ._landscape import WeightGradient
from ._over_values import OverValues
from ._precision import weighed
from ._stacks import Block, Stacks, gathered, selected, updated
from ._sweep import Sweep
from ._together import Part, given_to
from ._types import Gradient, Nodes, NodesIn, Weights
from ._uphill import added
from ._weight_terms import Term, whole_gradient


class OverStacks(InStacks, OverValues):
    """As `OverValues`, with equal local predictions computed together; arrays by node are `Stacks`.

    Each gradient is the sum of what single nodes' energies give, as it is without groups; that of a part of a group is
    computed by one program over all of its nodes.
    """

    def start(self) -> Any:
        forward = self.bound.start() if self._forward is None else self._forward
        return self.arranged(selected(forward.h, self.free))

    def begin(self, coords: NodesIn) -> Any:
        return coords

    def values(self, coords: NodesIn) -> Any:
        self.check_names("landscape", coords)
        if not isinstance(coords, Stacks):
            self.problem.check_values({n: coords[n] for n in self.free}, "landscape")
        return updated(self.clamped, selected(coords, self.free))

    def predictions(self, coords: NodesIn) -> Any:
        return self.together.all_predictions(self.names, self.values(coords))

    def value(self, name: str, coords: NodesIn) -> Array:
        """Return the value of a node, clamped or free."""
        return self.clamped[name] if name in self.clamped else coords[name]

    def sweep(self, coords: NodesIn, arrival: Mapping[str, int] | None) -> Sweep | None:
        groups = [g.names for run in self.problem.runs for g in run.groups]
        blocks = frozenset(coords.blocks if isinstance(coords, Stacks) else ())
        # All nodes of a group move in one loop, by one program.
        if self.together.form != "looped" or not self.alike or any(names not in blocks for names in groups):
            return None
        return Sweep(self, self.values(coords), arrival)

    @property
    def alike(self) -> bool:
        """True if the nodes of each group are weighed alike."""
        groups = [g.names for run in self.problem.runs for g in run.groups]
        return all(len({self.weighing(n) for n in names}) == 1 for names in groups)

    # -- energies and gradients -----------------------------------------------------------------------
    def energies(self, coords: NodesIn, names: Iterable[str] | None = None) -> Any:
        values, wanted = self.values(coords), self._with_energy(names)
        parts, singles = self.together.parts(wanted, self.weighing)
        found = [(p.names, self._over(p, self.together.energies(p, values))) for p in parts]
        elements = self._functions.energies(self._read_by(singles, values), singles) if singles else {}
        found += [((n,), self._weighed(n, elements[n])) for n in singles]
        return Stacks([n for n, _ in found], [e for _, e in found])

    def gradient(self, coords: NodesIn, moving: Iterable[str] | None = None) -> Gradient:
        names = self.among_free(moving)
        values, moved = self.values(coords), frozenset(names)
        if not names:
            return lambda coords: {}
        graph, by_layer = self.problem.graph, layer_devices() > 1
        felt = [n for n in self._with_energy(None) if n in moved or any(p in moved for p in graph.parents[n])]

        def alike(name: str) -> Hashable:
            group, i = self.together.places[name]
            if by_layer:  # the group stays whole, and what nobody asks for is left
                return self.weighing(name)
            ways = [s.kind == "value" and s.names[i] in moved for s in group.slots]
            return tuple(ways), self.weighing(name)

        parts, singles = self.together.parts(felt, alike)
        blocks = self.blocks(names)
        givers = [self._part_gradient(p, moved, values) for p in parts]
        if singles:
            givers.append(self.single_gradient(singles, moved, values))

        def at(coords: NodesIn) -> Any:
            found = [piece for give in givers for piece in give(coords)]
            made = [added_up(block, found) for block in blocks]
            zero = [jnp.zeros_like(gathered(b, coords)) if g is None else g for b, g in zip(blocks, made, strict=True)]
            return Stacks(blocks, zero)

        return at

    def _part_gradient(
        self, part: Part, moved: frozenset[str], values: NodesIn
    ) -> Callable[[NodesIn], list[tuple[Block, Array]]]:
        """Return the gradient of a part's energies by the values that move."""
        together, group = self.together, part.group
        read = [s.names[part.start : part.stop] if s.kind == "value" else () for s in group.slots]
        ways = [i for i, names in enumerate(read) if any(n in moved for n in names)]
        fixed = {i: together.argument(part, i, values) for i in range(len(group.slots)) if i not in ways}
        weights, axes = self.weights_of_energy(part)

        def energy(moving: list[Array], others: list[Any], precision: Any, scale: Any) -> Array:
            given: list[Any] = [None] * len(group.slots)
            for i, a in [*zip(ways, moving, strict=True), *zip(fixed, others, strict=True)]:
                given[i] = a
            elements = together.evaluated(group, group.wanted[1:], given)[0]
            return self.weighed_by(part.names[0], elements, precision, scale, summed=True)

        others, other_axes = [a for a, _ in fixed.values()], [axis for _, axis in fixed.values()]

        def at(coords: NodesIn) -> list[tuple[Block, Array]]:
            given = [together.argument(part, i, coords, values) for i in ways]
            over = together.over(jax.grad(energy), ([axis for _, axis in given], other_axes, *axes))
            return given_to(part, ways, over([a for a, _ in given], others, *weights))

        return at

    def single_gradient(
        self, singles: Sequence[str], moved: frozenset[str], values: NodesIn
    ) -> Callable[[NodesIn], list[tuple[Block, Array]]]:
        """Return the gradient of the energies of nodes that stand alone, by the values that move."""
        graph = self.problem.graph
        ways = [n for n in self.names if n in moved and (n in singles or any(c in singles for c in graph.children[n]))]
        energies = self._functions.energies_by(ways, self._read_by(singles, values), singles)

        def total(coords: NodesIn) -> Array:
            return added([self._weighed(n, e, summed=True) for n, e in energies(coords).items()])

        grad = jax.grad(total)
        return lambda coords: [((n,), g) for n, g in grad({n: coords[n] for n in ways}).items()]

    def weight_gradient(self, coords: NodesIn) -> WeightGradient:
        values = self.values(coords)
        parts, singles = self.together.parts(self._with_energy(None), self.weighing)
        terms: list[Term] = []
        found: list[tuple[Block, Array]] = []
        for part in parts:
            gradient, elements = self._part_weight_gradient(part, values)
            found.append((part.names, elements))
            terms += gradient
        gradient, alone = self.single_weight_gradient(singles, values)
        found += [((n,), alone[n]) for n in singles]
        elements: Any = Stacks([n for n, _ in found], [e for _, e in found])
        energies = [self._over_names(names, e) for names, e in found]
        by_node: Any = Stacks(elements.blocks, energies)
        return WeightGradient(whole_gradient(self.bound, gradient, terms), by_node, elements)

    def _part_weight_gradient(self, part: Part, values: NodesIn) -> tuple[list[Term], Array]:
        """Return the gradients of a part's energies by its weights, with the numbers of these; and the elements."""
        given, axes = self.together.arguments(part, values)
        ways = self.learning_slots(part)
        weights, weight_axes = self.weights_of_energy(part)
        moving, moving_axes = [given[i] for i in ways], [axes[i] for i in ways]
        others = [None if i in ways else a for i, a in enumerate(given)]
        other_axes = [None if i in ways else a for i, a in enumerate(axes)]
        over = self.together.over(partial(self.member_weight_gradient, part), (moving_axes, other_axes, *weight_axes))
        grads, elements = over(moving, others, *weights)
        return given_to(part, ways, grads), elements

    def learning_slots(self, part: Part) -> list[int]:
        """Return the places of the inputs of a part's programs that are weights."""
        learn = self.problem.weight_places
        return [i for i, s in enumerate(part.group.slots) if s.kind == "array" and s.numbers[0] in learn]

    def member_weight_gradient(
        self, part: Part, moving: list[Array], others: list[Any], precision: Any, scale: Any
    ) -> tuple[list[Array], Array]:
        """Return the gradient of the mean energy of one of a part's nodes by its weights, and the elements.

        **Arguments:**

        - `part`: the part.
        - `moving`: the weights, as of `learning_slots`.
        - `others`: the other inputs of the program, with None in the places of weights.
        - `precision`, `scale`: of the node, None if it has none.
        """
        samples, ways = self.bound.samples, self.learning_slots(part)

        def summed(moving: list[Array]) -> tuple[Array, Array]:
            at = list(others)
            for i, a in zip(ways, moving, strict=True):
                at[i] = a
            elements = self.together.evaluated(part.group, part.group.wanted[1:], at)[0]
            plain = samples.weight is None
            each = self.weighed_by(part.names[0], elements, precision, scale, summed=plain)
            return each if plain else jnp.sum(samples.weighted(each)), elements

        return grad_of_mean(summed, self.problem.size, self.problem.structure.dtypes)(moving)

    def single_weight_gradient(self, singles: Sequence[str], values: NodesIn) -> tuple[Weights, Nodes]:
        """Return the gradient of the energies of nodes that stand alone by their weights, and the elements."""
        p, samples = self.problem, self.bound.samples
        if not singles:
            return {}, {}
        read = self._read_by(singles, values)
        paths = dict.fromkeys([path for n in singles for path in p.weights_of(n)])

        def summed(weights: Weights) -> tuple[Array, Nodes]:
            elements = self._functions.energies(read, singles, weights)
            plain = samples.weight is None
            each = [self._weighed(n, e, summed=plain) for n, e in elements.items()]
            return added([e if plain else jnp.sum(samples.weighted(e)) for e in each]), elements

        weights = {path: self.bound.weights[path] for path in paths}
        return grad_of_mean(summed, p.size, p.structure.dtypes)(weights)

    # -- precisions and factors -----------------------------------------------------------------------
    def _with_energy(self, names: Iterable[str] | None) -> list[str]:
        every = [n for n in self.names if n in self.problem.wiring.energy]
        if names is None:
            return every
        wanted = set(names)
        unknown = [n for n in wanted if n not in self.names]
        if unknown:
            raise ValueError(f"landscape: there is no node {unknown[0]!r}; the nodes are {', '.join(self.names)}")
        return [n for n in every if n in wanted]

    def _read_by(self, singles: Sequence[str], values: NodesIn) -> Nodes:
        """Return the values that nodes' energies are computed from."""
        read = dict.fromkeys([m for n in singles for m in (n, *self.problem.graph.parents[n])])
        return {n: values[n] for n in read}

    def weighing(self, name: str) -> Hashable:
        """Return what must be equal for nodes whose energies are weighed together."""
        return self.form_of_precision(name), name in self.scale, name in self.parts.counts

    def weights_of_energy(self, part: Part) -> tuple[tuple[Any, Any], tuple[Any, Any]]:
        """Return precision and factor of each of a part's nodes, and their axes; None where there are none."""
        dtype = self._dtype(part.names[0])
        precision, scale = (numbers_of(given, part.names, dtype) for given in (self.bound.precision, self.scale))
        return (precision, scale), (None if precision is None else 0, None if scale is None else 0)

    def _dtype(self, name: str) -> Any:
        """Return the dtype of a node's energies, which are summed in single precision at least."""
        return jnp.promote_types(self.problem.nodes[name].dtype, jnp.float32)

    def weighed_by(self, name: str, elements: Array, precision: Any, scale: Any, summed: bool) -> Array:
        energy = weighed(elements, precision, self._size(name), summed)
        return energy if scale is None else scale * energy

    def _over(self, part: Part, elements: Array) -> Array:
        """Return the energies of a part's nodes, `[nodes, batch]`, from their elements."""
        weights, axes = self.weights_of_energy(part)
        one = lambda e, p, s: self.weighed_by(part.names[0], e, p, s, summed=False)  # noqa: E731
        return jax.vmap(one, in_axes=(0, *axes))(elements, *weights)

    def _energies_without_error(self, names: Sequence[str]) -> Any:
        parts, singles = self.together.parts([n for n in names if n in self.bound.precision], self.weighing)
        zero = [jnp.zeros((len(p.names), self.problem.size), self._dtype(p.names[0])) for p in parts]
        found = Stacks([p.names for p in parts], [self._over(p, e) for p, e in zip(parts, zero, strict=True)])
        return updated(found, super()._energies_without_error(singles))

    def _over_names(self, names: Block, elements: Array) -> Array:
        if len(names) == 1:
            return self._weighed(names[0], elements)
        group, i = self.together.places[names[0]]
        return self._over(Part(group, i, i + len(names)), elements)
