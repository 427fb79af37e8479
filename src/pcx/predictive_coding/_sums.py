"""Sums over features and tests for bad numbers, at the price of reading the values once.

XLA on CPUs adds up one number after the other, and stores what `isfinite` gives as an array of its own; a product with
ones is vectorised.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import jax.tree_util as jtu

_MANY = 2048  # numbers in a row


def row_sums(x: jax.Array) -> jax.Array:
    """The sum of everything but the first axis, `[batch]`, in float32 at least."""
    dtype = jnp.promote_types(x.dtype, jnp.float32)
    if math.prod(x.shape[1:]) >= _MANY:
        # Convolutions are dear enough. A plain sum takes numbers as they are made and in the layout that they have; a
        # product would need them in memory, in rows.
        return jnp.sum(x, axis=tuple(range(1, x.ndim)), dtype=dtype)
    rows = x.reshape(x.shape[0], -1)
    ones = jnp.ones((rows.shape[1],), x.dtype)
    return jnp.matmul(rows, ones, precision=jax.lax.Precision.HIGHEST, preferred_element_type=dtype)


def first_not_finite(values: Sequence[jax.Array]) -> jax.Array:
    """The place of the first of the arrays `[batch, ...]` that holds a NaN, an infinity, or numbers with no finite sum;
    -1 if there is none."""
    if not values:
        return jnp.int32(-1)
    dtype = jnp.result_type(*[jnp.promote_types(v.dtype, jnp.float32) for v in values])
    sums = jnp.stack([row_sums(v).astype(dtype) for v in values])
    bad = jnp.any(~jnp.isfinite(sums), axis=1)
    return jnp.where(jnp.any(bad), jnp.argmax(bad), -1).astype(jnp.int32)


def all_finite(tree: Any) -> jax.Array:
    """Whether all floats in the tree are finite, and so are their sums over all axes but the first."""
    sums = [
        (row_sums(leaf) if jnp.ndim(leaf) > 1 else jnp.ravel(leaf)).astype(jnp.promote_types(leaf.dtype, jnp.float32))
        for leaf in jtu.tree_leaves(tree)
        if jnp.issubdtype(jnp.result_type(leaf), jnp.floating) and jnp.size(leaf)
    ]
    return jnp.all(jnp.isfinite(jnp.concatenate(sums))) if sums else jnp.array(True)
