"""Sums over features, and tests for bad numbers at the price of reading the values once.

A test for each number would store what it finds as an array of its own; the sum of a row is finite where its numbers
are. On CPUs such sums are taken as products with ones, which are vectorised. Each of these products is compiled by
itself, at 10 to 30 ms, so in deep networks arrays of one shape are tested together.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import jax.tree_util as jtu

_TOGETHER = 4  # arrays of one shape; putting fewer together costs more than it saves


def row_sums(x: jax.Array) -> jax.Array:
    """The sum of everything but the first axis, `[batch]`, in float32 at least."""
    return jnp.sum(x, axis=tuple(range(1, x.ndim)), dtype=_wide(x))


def first_not_finite(values: Sequence[jax.Array]) -> jax.Array:
    """The place of the first of the arrays `[batch, ...]` that holds a NaN, an infinity, or numbers with no finite sum;
    -1 if there is none."""
    if not values:
        return jnp.int32(-1)
    places: list[int] = []
    found: list[jax.Array] = []
    for group in _alike(values):
        rows = _rows([values[i] for i in group])
        found += [jnp.any(~jnp.isfinite(r), axis=tuple(range(1, r.ndim))).reshape(-1) for r in rows]
        places += group
    bad = jnp.concatenate(found)
    first = jnp.min(jnp.where(bad, jnp.asarray(places, jnp.int32), len(values)))
    return jnp.where(first < len(values), first, -1).astype(jnp.int32)


def all_finite(tree: Any) -> jax.Array:
    """Whether all floats in the tree are finite, and so are their sums over all axes but the first."""
    leaves = [
        leaf for leaf in jtu.tree_leaves(tree) if jnp.issubdtype(jnp.result_type(leaf), jnp.floating) and jnp.size(leaf)
    ]
    rows = [jnp.ravel(leaf) for leaf in leaves if jnp.ndim(leaf) < 2]
    matrices = [leaf for leaf in leaves if jnp.ndim(leaf) >= 2]
    for group in _alike(matrices):
        rows += [jnp.ravel(r) for r in _rows([matrices[i] for i in group])]
    if not rows:
        return jnp.array(True)
    return jnp.all(jnp.isfinite(jnp.concatenate([r.astype(_wide(r)) for r in rows])))


def _wide(x: jax.Array) -> Any:
    return jnp.promote_types(x.dtype, jnp.float32)


def _alike(values: Sequence[jax.Array]) -> list[list[int]]:
    """The places of arrays of the same shape and dtype, together."""
    groups: dict[Any, list[int]] = {}
    for i, value in enumerate(values):
        groups.setdefault((value.shape, value.dtype), []).append(i)
    return list(groups.values())


def _rows(values: Sequence[jax.Array]) -> list[jax.Array]:
    """Sums over the rows of arrays of one shape: one array `[values, rows]` of all, or one `[1, rows]` of each."""
    flat = [v.reshape(v.shape[0], -1) for v in values]
    return [_product(jnp.stack(flat))] if len(flat) >= _TOGETHER else [_product(v)[None] for v in flat]


def _product(x: jax.Array) -> jax.Array:
    ones = jnp.ones((x.shape[-1],), x.dtype)
    return jnp.matmul(x, ones, precision=jax.lax.Precision.HIGHEST, preferred_element_type=_wide(x))
