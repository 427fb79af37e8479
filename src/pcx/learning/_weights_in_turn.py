"""Weights that learn when an error reaches their node: at each step those of other layers, out of stacks."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, TypeAlias

import jax
import jax.numpy as jnp
import jax.tree_util as jtu
import numpy as np
from jax import Array, lax
from jaxtyping import Int, PyTree

from ..energy import Block, Energies, Members, NodesIn, OverStacks, Stacks, Weights, laid_out, regrouped, scan
from ._node_states import NodeStates, OwnWeights

Apply: TypeAlias = Callable[[Weights, PyTree, Weights], tuple[Weights, PyTree]]
"""A step of one node's optimiser, `apply(gradient, state, weights) -> (weights, state)`, dicts by path each."""


Learned: TypeAlias = list[tuple[Weights, PyTree]]
"""For each block of nodes the new weights and states of some: of a group in stacks, one for each that is reached."""


class InTurn:
    """Steps of optimisers that belong to single nodes, in which equal layers are computed by one program.

    **Arguments:**

    - `own`: the nodes and their weights.
    - `reached`: the step, from 0, at which the weights of each node learn.
    - `form`: how equal layers are computed.
    """

    def __init__(self, own: OwnWeights, reached: Mapping[str, int], form: str) -> None:
        self._own, self._reached, self._form = own, reached, form
        travel = max(reached.values()) + 1
        self._members: list[np.ndarray] = []
        for group, _ in own.groups:
            at = [[i for i, n in enumerate(group.names) if reached[n] == t] for t in range(travel)]
            most = max(len(each) for each in at)
            # What is beyond the group's length is nobody.
            filled = [each + [len(group.names)] * (most - len(each)) for each in at]
            self._members.append(np.asarray(filled, np.int32))

    def learned(
        self,
        landscape: OverStacks,
        coords: NodesIn,
        weights: Stacks,
        optim: NodeStates,
        t: Int[Array, ""],
        apply: Callable[[Energies], Apply],
    ) -> Learned:
        """Return what the weights learn whose nodes are reached at a step.

        **Arguments:**

        - `landscape`: the energy at these weights.
        - `coords`: the coordinates of the free nodes, `{node: [batch, *shape]}`.
        - `weights`, `optim`: of all nodes.
        - `t`: the number of steps before this one.
        - `apply`: gives a step of an optimiser from the energies.

        **Returns:** for each block of nodes new weights and states of those that are reached.
        """
        one, values = apply(landscape.energies(coords)), landscape.values(coords)
        found: Learned = []
        kept = dict(zip(optim.blocks, optim.stacks, strict=True))
        for (group, owned), members in zip(self._own.groups, self._members, strict=True):
            whole = self._own.weights(owned, weights), kept[group.names]
            found.append(self._group(Members(landscape, group, coords), members, whole, t, one))
        for name, paths in self._own.alone.items():
            now, state = {w: weights[w] for w in paths}, kept[(name,)]
            users = [n for n in landscape.problem.nodes if set(paths) & set(landscape.problem.weights_of(n))]

            def learned(now: Weights, state: PyTree, users: list[str] = users) -> tuple[Weights, PyTree]:
                gradient, _ = landscape.single_weight_gradient(users, values)
                return _as(one({w: gradient[w] for w in now}, state, now), (now, state))

            here = t == self._reached[name]
            found.append(lax.cond(here, laid_out(learned, now, state), lambda *old: old, now, state))
        return found

    def _group(
        self, gradients: Members, members: np.ndarray, whole: tuple[Weights, PyTree], t: Int[Array, ""], one: Apply
    ) -> tuple[Weights, PyTree]:
        """Return what the members of a group learn that are reached.

        **Arguments:**

        - `gradients`: of the group.
        - `members`: their places in it by step, filled up with its length.
        - `whole`: weights and states of all, in stacks.
        """

        def read(i: Array) -> PyTree:
            return jtu.tree_map(lambda a: lax.dynamic_index_in_dim(a, i, keepdims=False), whole)

        def learned(i: Array) -> PyTree:
            weights, state = read(i)
            return _as(one(gradients.weight_gradient(i, weights), state, weights), (weights, state))

        def visited(i: Array) -> PyTree:
            place = jnp.minimum(i, gradients.count - 1)
            return lax.cond(i < gradients.count, laid_out(learned, place), read, place)

        at = jnp.asarray(members)[t]
        if self._form == "stacked":
            return jax.vmap(learned)(jnp.minimum(at, gradients.count - 1))
        if len(at) == 1:
            return jtu.tree_map(lambda a: a[None], visited(at[0]))
        return scan(lambda _, i: (None, visited(i)), None, at)[1]

    def written(
        self, learned: Learned, weights: Stacks, optim: NodeStates, t: Int[Array, ""]
    ) -> tuple[Stacks, NodeStates]:
        """Return weights and states with what is learned at a step in its place.

        **Arguments:**

        - `learned`: as of `learned`.
        - `weights`, `optim`, `t`: see there.
        """
        new: dict[Block, Any] = {}
        states: list[PyTree] = []
        for k, (names, owned, state) in enumerate(zip(self._own.blocks, self._own.owned, optim.stacks, strict=True)):
            whole, made = (self._own.weights(owned, weights), state), learned[k]
            if len(names) > 1:
                made = jtu.tree_map(partial(_put, jnp.asarray(self._members[k])[t], len(names)), whole, made)
            new |= {column: made[0][column[0]] for column in zip(*owned, strict=True)}
            states.append(made[1])
        return regrouped(weights.blocks, Stacks(list(new), list(new.values())), weights), optim.with_stacks(states)

    def last(self, gradient: Weights, weights: Stacks, optim: NodeStates, one: Apply) -> tuple[Stacks, NodeStates]:
        """Let all weights learn at once.

        **Arguments:**

        - `gradient`: by all weights.
        - `weights`, `optim`: see `step`.
        - `one`: a step of an optimiser.

        **Returns:** as `step`.
        """
        new: dict[Block, Any] = {}
        states: list[PyTree] = []
        for names, owned, state in zip(self._own.blocks, self._own.owned, optim.stacks, strict=True):
            given = (self._own.weights(owned, gradient), state, self._own.weights(owned, weights))
            learned = jax.vmap(one, axis_size=len(names)) if len(names) > 1 else one
            made, state = learned(*given)
            columns = tuple(zip(*owned, strict=True))
            new |= {column: made[column[0]] for column in columns}
            states.append(state)
        return regrouped(weights.blocks, Stacks(list(new), list(new.values())), weights), optim.with_stacks(states)


def after(t: Int[Array, ""], tree: PyTree) -> Int[Array, ""]:
    """Return a number as it is, but so that XLA computes some arrays before what it makes of the number.

    **Arguments:**

    - `t`: the number.
    - `tree`: of arrays.
    """
    for leaf in jtu.tree_leaves(tree):
        if leaf.size:
            one = jnp.ravel(leaf)[0]
            never = (one < 0) & (one > 0)
            t = jnp.where(never, t + 1, t)
    return t


def _put(at: Array, count: int, stack: Array, new: Array) -> Array:
    """Return a stack with new arrays in some places; those beyond its length are left out."""
    if len(at) > 1:
        return stack.at[at].set(new, mode="drop")
    place = jnp.minimum(at[0], count - 1)
    old = lax.dynamic_index_in_dim(stack, place, keepdims=False)
    return lax.dynamic_update_index_in_dim(stack, jnp.where(at[0] < count, new[0], old), place, 0)


def _as(new: PyTree, old: PyTree) -> PyTree:
    """Return new arrays in the dtypes of others."""
    return jtu.tree_map(lambda a, b: jnp.asarray(a, b.dtype), new, old)
