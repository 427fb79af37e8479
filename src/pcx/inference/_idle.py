"""States of nodes that a loop over equal layers has left out so far: those of a descent after so many idle steps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import jax.numpy as jnp
import jax.tree_util as jtu
import numpy as np
from jax import Array
from jaxtyping import Int, PyTree

_FEW = 16  # numbers in an array of which a table is made, one row for each step


class Idle:
    """The states of nodes after 0, 1, ... steps with zero gradient.

    **Arguments:**

    - `states`: by node, those of all steps.

    **Attributes:**

    - `known`: whether they can be looked up. Large arrays are, if idle steps don't change them.
    """

    def __init__(self, states: Mapping[str, Sequence[PyTree]]) -> None:
        tables: dict[int, list[Any] | None] = {}
        self._tables: dict[str, list[Any] | None] = {}
        for name, each in states.items():
            if id(each) not in tables:
                tables[id(each)] = _table(each)
            self._tables[name] = tables[id(each)]
        self.known = all(table is not None for table in self._tables.values())

    def at(self, name: str, state: PyTree, step: Int[Array, ""] | int, first: Int[Array, ""]) -> PyTree:
        """Return a node's state at a step: as it was kept, or where it has taken part in no step before, what idle
        steps would have made of it.

        **Arguments:**

        - `name`: of the node, or of one of those that move alike.
        - `state`: as it was kept.
        - `step`: the number of steps before this one.
        - `first`: the step at which it first takes part.
        """
        table = self._tables[name]
        assert table is not None, "asked for only where all are known"
        leaves, treedef = jtu.tree_flatten(state)
        here = step == first
        made = [
            a if rows is None else jnp.asarray(jnp.where(here, jnp.asarray(rows)[step], a), a.dtype)
            for a, rows in zip(leaves, table, strict=True)
        ]
        return jtu.tree_unflatten(treedef, made)


def _table(states: Sequence[PyTree]) -> list[Any] | None:
    """Return, for each array of a state, its numbers at all steps; None for one that never changes. None if a large one
    does."""
    table: list[Any] = []
    for leaves in zip(*[jtu.tree_leaves(s) for s in states], strict=True):
        first = leaves[0]
        if all(a is first for a in leaves) or _all_equal(leaves):
            table.append(None)
        elif np.size(first) > _FEW:
            return None
        else:
            table.append(np.stack([np.asarray(a) for a in leaves]))
    return table


def _all_equal(leaves: Sequence[Any]) -> bool:
    first = np.asarray(leaves[0])
    return all(np.array_equal(first, np.asarray(a)) for a in leaves[1:])
