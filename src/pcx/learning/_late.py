"""Descents of nodes that begin when an error comes to them."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

import jax.numpy as jnp
import jax.tree_util as jtu
import numpy as np
from jax import Array
from jaxtyping import Int, PyTree

from ..energy import NodesIn, blockwise, mapped
from ..inference import Descent, Descents


class Late(Descents):
    """Descents at one step, at which nodes that begin later stay as they are, and so do their states.

    **Arguments:**

    - `descent`: how nodes move.
    - `step`: the number of steps before this one.
    """

    def __init__(self, descent: Descents, step: Int[Array, ""] | int) -> None:
        self._descent, self._step = descent, step

    def at(self, node: str) -> Descent:
        return _LateOne(self._descent.at(node), self._step)

    def kind(self, node: str) -> Hashable:
        return self._descent.kind(node)


class _LateOne(Descent):
    """The movement of one node; its state holds the step at which it begins."""

    def __init__(self, descent: Descent, step: Int[Array, ""] | int) -> None:
        self._descent, self._step = descent, step

    def init(self, value: Array) -> PyTree:
        return jnp.int32(0), self._descent.init(value)

    def update(self, gradient: Array, state: PyTree, value: Array, key: Array | None) -> tuple[Array, PyTree]:
        first, old = state
        move, new = self._descent.update(gradient, old, value, key)
        begun = self._step >= first
        new = jtu.tree_map(lambda a, b: jnp.where(begun, a, b), new, old)
        return jnp.where(begun, move, jnp.zeros_like(move)), (first, new)


def late_states(descent: Descents, nodes: NodesIn, first: Mapping[str, int]) -> Any:
    """Return the states of nodes that begin late.

    **Arguments:**

    - `descent`: how they move.
    - `nodes`: their coordinates, `{node: [batch, *shape]}`.
    - `first`: the step, from 0, at which each begins; those without one never do.
    """
    never = int(np.iinfo(np.int32).max)

    def begun(names: tuple[str, ...], value: Array) -> PyTree:
        steps = [first.get(n, never) for n in names]
        return jnp.asarray(steps if len(steps) > 1 else steps[0], jnp.int32), mapped(descent.at(names[0]).init, names)(
            value
        )

    return blockwise(nodes, begun)


def states_begun(states: Mapping[str, Any]) -> Any:
    """Return the descents' own states of nodes that have all begun.

    **Arguments:**

    - `states`: as of `late_states`.
    """
    return blockwise(states, lambda _, state: state[1])
