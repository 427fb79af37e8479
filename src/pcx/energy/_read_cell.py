"""Reads, in one turn of a loop, of the stacks that the loop writes to.

Where a slice of a stack goes to several operations, XLA makes a read of its own in each of them; and if one of these
isn't bound to come before the loop writes to the stack, it copies the whole stack in each turn. What is read in a
branch is read once, and before all that comes of it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import jax.tree_util as jtu
from jax import Array, lax
from jaxtyping import Int, PyTree


class Cell(NamedTuple):
    """Arrays that are read of one repetition of a run, by the place in it.

    **Attributes:**

    - `values`: its own value, and those of the repetitions before it as far as they are read, `[batch, *shape]` each.
    - `states`: of its nodes' descent.
    """

    values: list[list[Array]]
    states: list[PyTree]


def read_cell(
    c: Int[Array, ""], values: Sequence[Array], states: Sequence[PyTree], before: Mapping[int, Array | None]
) -> Cell:
    """Return what is read of a repetition.

    **Arguments:**

    - `c`: which.
    - `values`, `states`: of all repetitions, in stacks.
    - `before`: by the place, the values of the repetitions before the run that its first ones read, the furthest first;
        None for places of which no other repetition reads.
    """
    depth = {k: 0 if first is None else len(first) for k, first in before.items()}

    def value(stacks: Sequence[Array], k: int, j: int, inside: bool) -> Array:
        first = before[k]
        if inside or not j or first is None:
            return one_of(stacks[k], c - j)
        outside = one_of(first, jnp.minimum(c + len(first) - j, len(first) - 1))
        return jnp.where(c < j, outside, one_of(stacks[k], jnp.maximum(c - j, 0)))

    def read(stacks: Sequence[Array], states: Sequence[PyTree], inside: bool) -> Cell:
        found = [[value(stacks, k, j, inside) for j in range(back + 1)] for k, back in depth.items()]
        return Cell(found, [jtu.tree_map(lambda a: one_of(a, c), each) for each in states])

    if jax.default_backend() != "cpu":
        return read(values, states, False)
    return lax.cond(
        c >= max(depth.values()), lambda v, s: read(v, s, True), lambda v, s: read(v, s, False), values, states
    )


def one_of(a: Array, i: Int[Array, ""]) -> Array:
    """Return one array of a stack."""
    return lax.dynamic_index_in_dim(a, i, keepdims=False)
