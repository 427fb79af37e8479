"""The energy as a function of the values that are free to move."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import jax.tree_util as jtu

from ._origin import is_forward
from ._sums import row_sums

if TYPE_CHECKING:
    from ._problem import Problem


class Landscape:
    """The energy of a batch as a function of its free nodes, with weights, data and clamped nodes fixed.

    Energies are summed over a node's features and multiplied by its precision; a precision p also adds
    `-1/2 log p` for each feature. State gradients are those of the sum over the batch.

    Made by `Problem.landscape`.

    **Attributes:**

    - `free`: the names of the nodes that move.
    - `names`: the names of all nodes, in the order of the model; `order`: parents before children.
    - `arrival`: the step, from 0, at which each node's gradient may first be other than zero when the nodes start from
        a forward pass; None if nothing is known.
    - `held`: `{node: (mask, value)}` of free nodes of which a part doesn't move, see `Problem.landscape`.
    """

    def __init__(
        self,
        problem: Problem,
        known: dict[int, Any],
        precision: Mapping[str, Any],
        sources: Iterable[str] | None,
        scale: Mapping[str, Any] | None = None,
        held: Mapping[str, tuple[Any, Any]] | None = None,
        counted: Mapping[str, Any] | None = None,
        inputs: Sequence[Any] = (),
    ) -> None:
        self.problem = problem
        self.inputs = tuple(inputs)
        self.held = dict(held or {})
        self._counted = dict(counted or {})
        self.known = known
        self.precision = dict(precision)
        self.scale = dict(scale or {})
        self.free = tuple([n for n in problem.nodes if problem.h_ids[n] not in known])
        self.names = tuple(problem.nodes)
        self.order = problem.graph.order
        self.convolves = problem.convolves
        self.arrival: dict[str, int] | None = None
        self.sources = None if sources is None or problem.extra is not None else tuple(sources)
        if self.sources is not None:
            self.arrival = self.travel(self.sources)

    def travel(
        self,
        sources: Iterable[str],
        groups: Sequence[Sequence[str]] | None = None,
        tied: Mapping[str, Iterable[str]] | None = None,
    ) -> dict[str, int]:
        """The step at which each free node may first feel an error of the nodes `sources`, if there is no other.

        **Arguments:**

        - `groups`: the nodes that move one group after the other in a step; by default all move together.
        - `tied`: nodes that also have an error one step after a node has: those that share its weights, where these
            move too.
        """
        p = self.problem
        silent = [n for n in p.nodes if n not in p.energy_ids]
        fixed = [n for n in p.nodes if n not in self.free]
        if tied is None and (groups is None or len(groups) == 1):
            return p.graph.arrivals(sources, fixed, silent)
        return p.graph.arrivals_in_turn(sources, fixed, silent, groups or (p.graph.order,), tied or {})

    def starts_forward(self, nodes: Mapping[str, Any]) -> bool:
        """Whether `nodes` are the very arrays that a forward pass of this model and batch gave, and it is known which
        nodes have an error then."""
        at = {n: nodes[n] for n in self.free}
        return self.sources is not None and is_forward(self.problem, self.inputs, at)

    def errors_at(self, nodes: Mapping[str, Any]) -> tuple[tuple[str, ...], dict[str, Any]] | None:
        """Which nodes have an error at values `{node: [batch, *shape]}` of the free ones: those that are taken to have
        one whatever the values are; and for others whether each sample has, `{node: [batch]}`. None if that can't be
        said.

        An error as small as the rounding of the value is none: nothing but rounding is known of it.
        """
        p = self.problem
        if p.extra is not None:
            return None
        if self.starts_forward(nodes):
            assert self.sources is not None
            return self.sources, {}
        tested = [n for n in self.free if n in p.energy_ids and p.nodes[n].energy == "squared"]
        always = tuple([n for n in p.nodes if n in p.energy_ids and n not in tested])
        known = self.known | {p.h_ids[n]: nodes[n] for n in self.free}
        found = p.program.evaluate([p.energy_ids[n] for n in tested], known)
        return always, {n: _has_error(e, nodes[n]) for n, e in zip(tested, found, strict=True)}

    def energies(self, nodes: Mapping[str, Any], names: Iterable[str] | None = None) -> dict[str, Any]:
        """The energy of every node, or of those of `names`, `{node: [batch]}`, at values `{node: [batch, *shape]}` of
        the free ones. What the modules' own energies add is under "" ."""
        p = self.problem
        p.check_values({n: nodes[n] for n in self.free})
        wanted = {**p.energy_ids, **({} if p.extra is None else {"": p.extra})}
        wanted = wanted if names is None else {n: wanted[n] for n in names}
        known = self.known | {p.h_ids[n]: nodes[n] for n in self.free}
        found = p.program.evaluate(list(wanted.values()), known)
        return {n: self.weighed(n, e) for n, e in zip(wanted, found, strict=True)}

    def total(self, nodes: Mapping[str, Any]) -> jax.Array:
        """The sum of all energies over nodes and batch, a scalar."""
        return _sum([jnp.sum(e) for e in self.energies(nodes).values()])

    def gradient(
        self, nodes: Mapping[str, Any], moving: Iterable[str] | None = None
    ) -> Callable[[Mapping[str, Any]], dict[str, Any]]:
        """The gradient of the total with respect to the nodes `moving`, as a function of their values.

        The others stay at what they are in `nodes`. What depends on none that move is computed here and now, energies
        that none of them reaches not at all.
        """
        p = self.problem
        names = self.free if moving is None else tuple([n for n in self.free if n in set(moving)])
        p.check_values({n: nodes[n] for n in self.free})
        if not names:
            return lambda values: {}
        ids = [p.h_ids[n] for n in names]
        known = self.known | {p.h_ids[n]: nodes[n] for n in self.free if n not in names}
        reached = p.program.reached(ids, stop=known)
        wanted = {n: i for n, i in p.energy_ids.items() if i in reached}
        if p.extra is not None:
            wanted[""] = p.extra
        fixed = p.program.settled(list(wanted.values()), known, ids)

        def total(values: Mapping[str, Any]) -> jax.Array:
            at = fixed | {i: values[n] for i, n in zip(ids, names, strict=True)}
            found = p.program.evaluate(list(wanted.values()), at)
            return _sum([self.weighed(n, e, summed=True) for n, e in zip(wanted, found, strict=True)])

        slope = jax.grad(total)

        def moving_parts(values: Mapping[str, Any]) -> dict[str, Any]:
            found = slope({n: values[n] for n in names})  # sorted by JAX
            return {n: jnp.where(self.held[n][0], 0, found[n]) if n in self.held else found[n] for n in names}

        return moving_parts

    def hold(self, nodes: Mapping[str, Any]) -> dict[str, Any]:
        """Values of free nodes, with the parts that are held at what they are held at."""
        return {n: jnp.where(*self.held[n], v) if n in self.held else v for n, v in nodes.items()}

    def begin(self, nodes: Mapping[str, Any]) -> dict[str, Any]:
        """As `hold`, where nodes that are held in part and have no value yet begin at what they are held at."""
        return self.hold({**{n: v for n, (_, v) in self.held.items()}, **nodes})

    def weighed(self, name: str, elements: jax.Array, summed: bool = False) -> jax.Array:
        """One energy for each sample, or with `summed` over the batch as well, from elementwise ones."""
        if name in self._counted:
            mask = self._counted[name]
            mask = mask.reshape(mask.shape[0]) if elements.ndim == 1 else mask
            elements = jnp.where(mask, elements, 0)
        # The constant log-determinant has no gradient for the states, but is part of the energy that is reported.
        energy = weighed(elements, self.precision.get(name), self._features(name), summed)
        return self.scale[name] * energy if name in self.scale else energy

    def constant(self, name: str) -> jax.Array | None:
        """The energy of a node without an error, `[batch]`: that of its precision; None if it has none."""
        if name not in self.precision:
            return None
        each = -log_part(self.precision[name], self._features(name)) * self.scale.get(name, 1.0)
        return jnp.broadcast_to(each, (self.problem.size,))

    def _features(self, name: str) -> int:
        return self.problem.nodes[name].size if name else 1


def weighed(elements: jax.Array, precision: Any, features: int, summed: bool = False) -> jax.Array:
    """`sum(p * elements) - 1/2 sum(log p)` over the features, `[batch]`; a scalar with `summed`.

    Half-precision energies are summed in float32: the sum over a batch leaves their range.
    """
    # What is differentiated is a plain sum, whose gradient is nothing but ones.
    add = _whole_sum if summed else row_sums
    if precision is None:
        return add(elements)
    precision = jnp.asarray(precision, dtype=elements.dtype)
    total = add(precision * elements)
    return total - log_part(precision, features) * (elements.shape[0] if summed else 1)


def log_part(precision: Any, features: int) -> jax.Array:
    """`1/2 sum(log p)` over the features of a node, a scalar."""
    precision = jnp.asarray(precision)
    return 0.5 * (features // max(precision.size, 1)) * jnp.sum(jnp.log(precision))


def _has_error(energy: jax.Array, value: jax.Array) -> jax.Array:
    """Whether a squared error, from its elementwise energy, is more than rounding, `[batch]`."""
    eps = float(jnp.finfo(value.dtype).eps)
    allowed = (8 if eps < 1e-6 else 1) * eps * _largest(value)
    return ~(jnp.sqrt(2 * _largest(energy)) <= allowed.astype(energy.dtype))  # one that is not finite is an error


def _largest(x: jax.Array) -> jax.Array:
    return jnp.max(jnp.abs(x), axis=tuple(range(1, x.ndim)), initial=0.0)


def _whole_sum(x: jax.Array) -> jax.Array:
    return jnp.sum(x, dtype=jnp.promote_types(x.dtype, jnp.float32))


def _sum(terms: list[Any]) -> jax.Array:
    return jtu.tree_reduce(lambda a, b: a + b, terms)
