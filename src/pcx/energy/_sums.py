"""Sums over features, and tests for bad numbers at the price of reading the values once.

XLA on CPUs adds up the numbers of a row one after the other; a product with ones is vectorised. So are sums over the
first axis, which do where it doesn't matter which sample a bad number is in. A test for each number would store what it
finds as an array of its own; a sum is finite where its numbers are. Each of those products is compiled by itself, at
10 to 30 ms; sums are compiled once for all arrays of one shape.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import jax.tree_util as jtu
import numpy as np
from jaxtyping import PyTree

_MANY = 2048  # numbers in a row


def row_sums(x: jax.Array) -> jax.Array:
    """Return the sum of everything but the first axis, `[batch]`, in float32 at least."""
    if math.prod(x.shape[1:]) >= _MANY:
        # Convolutions are dear enough. A plain sum takes numbers as they are made and in the layout that they have; a
        # product would need them in memory, in rows.
        return jnp.sum(x, axis=tuple(range(1, x.ndim)), dtype=_wide(x))
    rows = x.reshape(x.shape[0], -1)
    ones = jnp.ones((rows.shape[1],), x.dtype)
    return jnp.matmul(rows, ones, precision=jax.lax.Precision.HIGHEST, preferred_element_type=_wide(x))


def first_not_finite(values: Sequence[jax.Array]) -> jax.Array:
    """Return the place of the first of the arrays `[batch, ...]` that holds a NaN, an infinity, or numbers with no
    finite sum; -1 if there is none."""
    if not values:
        return jnp.int32(-1)
    sums = [_column_sums(v) for v in values]
    places = np.repeat(np.arange(len(sums), dtype=np.int32), [s.size for s in sums])
    first = jnp.min(jnp.where(jnp.isfinite(_joined(sums)), np.int32(len(sums)), places))
    return jnp.where(first < len(sums), first, -1).astype(jnp.int32)


def all_finite(tree: PyTree) -> jax.Array:
    """Return whether all floats in the tree are finite, and so are their sums over the first axis."""
    sums = [
        _column_sums(leaf)
        for leaf in jtu.tree_leaves(tree)
        if jnp.issubdtype(jnp.result_type(leaf), jnp.floating) and jnp.size(leaf)
    ]
    return jnp.all(jnp.isfinite(_joined(sums))) if sums else jnp.array(True)


def _wide(x: jax.Array) -> Any:
    return jnp.promote_types(x.dtype, jnp.float32)


def _column_sums(x: jax.Array) -> jax.Array:
    """Return the sums over the first axis, flat; what has no more than one axis as it is."""
    return jnp.ravel(jnp.sum(x, axis=0, dtype=_wide(x)) if jnp.ndim(x) > 1 else x)


def _joined(sums: Sequence[jax.Array]) -> jax.Array:
    dtype = jnp.result_type(*[_wide(s) for s in sums])
    return jnp.concatenate([s.astype(dtype) for s in sums])
