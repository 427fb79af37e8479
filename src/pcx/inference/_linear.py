"""The equilibrium of linear networks in closed form."""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp
from jax import Array
from jax.core import Tracer

from ..energy import Landscape, Nodes, NodesIn


def linear_equilibrium(landscape: Landscape, nodes: NodesIn) -> Nodes:
    """Return the values at which the energy of a linear network is least.

    With squared errors and linear predictions the energy of a sample is quadratic in its values, `1/2 h'Ah - b'h + c`,
    and its least value is at `h = A^-1 b`. A has one row for each feature of each free node, so this is for small
    networks; it is what `relax` must tend to.

    **Arguments:**

    - `landscape`: the energy of a linear network, such as `Bound.landscape` gives.
    - `nodes`: values of the right shapes, `{node: [batch, *shape]}`; which ones doesn't matter.

    **Returns:** `{node: [batch, *shape]}` of the free nodes.

    **Raises:** `ValueError` if the energy is seen not to be quadratic (outside of `jit`).
    """
    names = landscape.free
    if not names:
        return {}
    sizes = [math.prod(nodes[n].shape[1:]) for n in names]
    batch = next(iter(nodes.values())).shape[0]
    grad = landscape.gradient(nodes)

    def flat(tree: NodesIn) -> Array:
        return jnp.concatenate([tree[n].reshape(batch, -1) for n in names], axis=1)

    def shaped(h: Array) -> Nodes:
        parts = jnp.split(h, [sum(sizes[: i + 1]) for i in range(len(sizes) - 1)], axis=1)
        return {n: part.reshape(nodes[n].shape).astype(nodes[n].dtype) for n, part in zip(names, parts, strict=True)}

    def gradient(h: Array) -> Array:
        return flat(grad(shaped(h)))

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
                "an energy is no squared error; pxa.equilibrium(landscape) settles any network"
            )
    return shaped(h)
