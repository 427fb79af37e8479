"""Weights that learn when an error reaches their node: at each step those of other layers, out of stacks."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import jax
import jax.numpy as jnp
import jax.tree_util as jtu
import numpy as np
from jax import Array, lax
from jaxtyping import Int, PyTree

from ..energy import Block, Energies, Members, NodesIn, OverStacks, Stacks, Weights, regrouped, while_loop
from ._node_states import NodeStates, OwnWeights

Apply: TypeAlias = Callable[[Weights, PyTree, Weights], tuple[Weights, PyTree]]
"""A step of one node's optimiser, `apply(gradient, state, weights) -> (weights, state)`, dicts by path each."""


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

    def step(
        self,
        landscape: OverStacks,
        coords: NodesIn,
        weights: Stacks,
        optim: NodeStates,
        t: Int[Array, ""],
        apply: Callable[[Energies], Apply],
    ) -> tuple[Any, NodeStates]:
        """Let the weights learn whose nodes are reached at a step.

        **Arguments:**

        - `landscape`: the energy at these weights.
        - `coords`: the coordinates of the free nodes, `{node: [batch, *shape]}`.
        - `weights`, `optim`: of all nodes.
        - `t`: the number of steps before this one.
        - `apply`: gives a step of an optimiser from the energies.

        **Returns:** the new weights and states.
        """
        one = apply(landscape.energies(coords))
        new: dict[Block, Any] = {}
        states: list[PyTree] = []
        kept = dict(zip(optim.blocks, optim.stacks, strict=True))
        for (group, owned), members in zip(self._own.groups, self._members, strict=True):
            whole = self._own.weights(owned, weights), kept[group.names]
            stacks, state = self._group(Members(landscape, group, coords), members, whole, t, one)
            new |= {column: stacks[column[0]] for column in zip(*owned, strict=True)}
            states.append(state)
        values = landscape.values(coords)
        for name, paths in self._own.alone.items():
            now, state = {w: weights[w] for w in paths}, kept[(name,)]
            users = [n for n in landscape.problem.nodes if set(paths) & set(landscape.problem.weights_of(n))]

            def learned(users: list[str] = users, now: Weights = now, state: PyTree = state) -> tuple[Weights, PyTree]:
                gradient, _ = landscape.single_weight_gradient(users, values)
                return _as(one({w: gradient[w] for w in now}, state, now), (now, state))

            made, state = lax.cond(t == self._reached[name], learned, lambda now=now, state=state: (now, state))
            new |= {(w,): a for w, a in made.items()}
            states.append(state)
        return regrouped(weights.blocks, Stacks(list(new), list(new.values())), weights), optim.with_stacks(states)

    def _group(
        self,
        gradients: Members,
        members: np.ndarray,
        whole: tuple[Weights, PyTree],
        t: Int[Array, ""],
        one: Apply,
    ) -> tuple[Weights, PyTree]:
        """Let those members of a group learn that are reached.

        **Arguments:**

        - `gradients`: of the group.
        - `members`: their places in it by step, filled up with its length.
        - `whole`: weights and states of all, in stacks.
        """
        count, at = gradients.count, jnp.asarray(members)[t]

        def read(i: Array, whole: PyTree) -> PyTree:
            return jtu.tree_map(lambda a: lax.dynamic_index_in_dim(a, i, keepdims=False), whole)

        def learned(i: Array, whole: PyTree) -> PyTree:
            weights, state = read(i, whole)
            return _as(one(gradients.weight_gradient(i, weights), state, weights), (weights, state))

        if self._form == "stacked":
            made = jax.vmap(learned, (0, None))(jnp.minimum(at, count - 1), whole)
            return jtu.tree_map(lambda a, b: a.at[at].set(b, mode="drop"), whole, made)

        def visit(i: Array, whole: PyTree) -> PyTree:
            # What is read in a branch is read before the stacks are written to, which are not copied so.
            place = jnp.minimum(i, count - 1)
            made = lax.cond(i < count, learned, read, place, whole)
            return jtu.tree_map(lambda a, b: lax.dynamic_update_index_in_dim(a, b, place, 0), whole, made)

        if len(at) == 1:
            return visit(at[0], whole)
        number = jnp.asarray(np.sum(members < count, axis=1, dtype=np.int32))[t]
        start = (jnp.int32(0), whole)
        _, whole = while_loop(lambda c: c[0] < number, lambda c: (c[0] + 1, visit(at[c[0]], c[1])), start)
        return whole

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


def _as(new: PyTree, old: PyTree) -> PyTree:
    """Return new arrays in the dtypes of others."""
    return jtu.tree_map(lambda a, b: jnp.asarray(a, b.dtype), new, old)
