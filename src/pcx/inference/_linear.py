"""The equilibrium of linear networks in closed form."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
from jax.core import Tracer


def linear_equilibrium(landscape: Any, nodes: Mapping[str, Any]) -> dict[str, Any]:
    """The values at which the energy of a linear network is least, `{node: [batch, *shape]}`.

    With squared errors and linear predictions the energy of a sample is quadratic in its values, `1/2 h'Ah - b'h + c`,
    and its least value is at `h = A^-1 b`. A has one row for each feature of each free node, so this is for small
    networks; it is what `relax` must tend to.

    **Arguments:**

    - `landscape`: the energy of a linear network, from `pcx.energy.Problem.landscape`.
    - `nodes`: values of the right shapes, which ones doesn't matter.

    **Raises:** `ValueError` if the energy is seen not to be quadratic (outside of `jit`).
    """
    names = landscape.free
    if not names:
        return {}
    sizes = [math.prod(nodes[n].shape[1:]) for n in names]
    batch = next(iter(nodes.values())).shape[0]
    slope = landscape.gradient(nodes)

    def flat(tree: Mapping[str, Any]) -> jax.Array:
        return jnp.concatenate([tree[n].reshape(batch, -1) for n in names], axis=1)

    def shaped(h: jax.Array) -> dict[str, Any]:
        parts = jnp.split(h, [sum(sizes[: i + 1]) for i in range(len(sizes) - 1)], axis=1)
        return {n: part.reshape(nodes[n].shape).astype(nodes[n].dtype) for n, part in zip(names, parts, strict=True)}

    def gradient(h: jax.Array) -> jax.Array:
        return flat(slope(shaped(h)))

    zero = jnp.zeros((batch, sum(sizes)), flat(nodes).dtype)
    offset, along = jax.linearize(gradient, zero)
    units = jnp.eye(sum(sizes), dtype=zero.dtype)[:, None]
    columns = jax.vmap(along)(jnp.broadcast_to(units, (sum(sizes), *zero.shape)))
    matrix = jnp.moveaxis(columns, 0, -1)  # [batch, row, column]
    h = jnp.linalg.solve(matrix, -offset[..., None])[..., 0]
    left = jnp.max(jnp.abs(gradient(h)))
    if not isinstance(left, Tracer):
        scale = jnp.max(jnp.abs(matrix)) * jnp.max(jnp.abs(h)) + jnp.max(jnp.abs(offset))
        if float(left) > 1e3 * jnp.finfo(zero.dtype).eps * sum(sizes) * float(scale):
            raise ValueError(
                f"linear_equilibrium: the gradient at the solution is {float(left):.2g}: the network is not linear, or "
                "an energy is no squared error"
            )
    return shaped(h)
