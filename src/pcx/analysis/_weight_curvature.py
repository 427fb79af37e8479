"""The curvature of the equilibrated energy in the weights."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import jax.tree_util as jtu
from jax import Array
from jax.core import Tracer
from jax.flatten_util import ravel_pytree

from ..core import positive, raw_key, whole
from ..energy import Bound, Nodes, NodesIn, Weights
from ._along import reverse_alone
from ._at_once import at_once
from ._curvature import Curvature, Ends, check_which, done_with, ends_of_all, spoilt
from ._equilibrium import equilibrium
from ._hessian import check_coords, check_digits, check_symmetric, is_odd
from ._lanczos import begun, extend
from ._networks import check_bound


def weight_curvature(
    bound: Bound,
    nodes: NodesIn | None = None,
    *,
    which: Ends = "both",
    steps: int = 60,
    tolerance: float = 1e-4,
    rest: float = 1e-3,
    key: int | Array = 0,
) -> Curvature:
    """Find the largest and the smallest eigenvalue of the Hessian, by the weights, of the batch's mean energy at
    equilibrium: of the function on which learning at equilibrium descends.

    As weights move, the equilibrium moves along: each product with this Hessian takes the solution of a linear system
    with the Hessian by the values, by conjugate gradients.

    **Arguments:**

    - `bound`: a network and a batch, from `pxl.bind`; at other weights, `bound.at(weights)`.
    - `nodes`: the values at equilibrium, `{node: [batch, *shape]}`; by default they are found by `pxa.equilibrium`.
    - `which`, `steps`, `tolerance`, `key`: see `curvature`.
    - `rest`: the length of the gradient by the values, over that of the values, up to which they count as at rest.

    **Returns:** a `Curvature`, with directions `{path: array}`. Under `jit` all its numbers are NaN where values are
    not at rest.

    **Raises:** `TypeError` for what is no bound network; `ValueError` for arguments that don't fit, for values that are
    not at rest, for products in 16 bits, and for operations that can be differentiated in reverse alone.
    """
    check_bound("weight_curvature", bound)
    steps, tolerance = (
        whole("weight_curvature", "steps", steps, 1),
        positive("weight_curvature", "tolerance", tolerance),
    )
    rest, key = positive("weight_curvature", "rest", rest), raw_key("weight_curvature", key)
    check_which(which)
    check_coords("weight_curvature", nodes, "nodes")
    check_digits("weight_curvature", bound.problem.structure.rounding)
    targets = bound.start().targets
    landscape = bound.landscape(targets)
    if nodes is None:
        nodes = dict(equilibrium(landscape).nodes) if landscape.free else {}
    landscape.check_names("weight_curvature", nodes)

    def measured(weights: Weights, h: Nodes, key: Array) -> tuple[Curvature, Array, Array]:
        flat, back = ravel_pytree(weights)
        product, moving = _hessian(bound, weights, h, targets)
        start = jax.random.normal(key, (1, flat.size), flat.dtype)
        space, alone = begun(start, min(steps, flat.size)), jnp.ones((1,), bool)
        done = done_with(which, tolerance, alone)
        space = extend(lambda v: ravel_pytree(product(back(v[0])))[0][None], space, done)
        still = moving <= rest * jnp.maximum(_length(h), 1)
        ends = ends_of_all(space, which, tolerance, alone)
        high, low = back(ends.largest_direction[0]), back(ends.smallest_direction[0])  # pyright: ignore  # a vector yet
        odd = is_odd(space, [a.dtype for a in h.values()])
        return spoilt(ends._replace(largest_direction=high, smallest_direction=low), odd | ~still), still, odd

    found, still, odd = at_once(measured, dict(bound.weights), {n: nodes[n] for n in landscape.free}, key)
    if not isinstance(still, Tracer) and not bool(still):
        raise ValueError(
            "weight_curvature: the values are not at rest, so that this is no equilibrium; settle them for longer, "
            "as by pxa.equilibrium(landscape, steps=...)"
        )
    check_symmetric("weight_curvature", odd)
    return found


def _hessian(bound: Bound, weights: Weights, h: Nodes, targets: Nodes) -> tuple[Any, Array]:
    """Return products of the Hessian with trees like the weights, and the length of the gradient by the values."""

    def by_weights(weights: Weights, h: Nodes) -> Weights:
        found = bound.at(weights).landscape(targets, wave=False).weight_gradient(h).gradient
        return {path: found[path] for path in weights}

    def by_values(weights: Weights, h: Nodes) -> Nodes:
        found = bound.at(weights).landscape(targets, wave=False).gradient(h)(h)
        return {n: found[n] / bound.problem.size for n in h}

    if reverse_alone(lambda w: (by_weights(w, h), by_values(w, h)), weights):
        raise ValueError(
            "weight_curvature: the model has operations whose gradient can be differentiated in reverse alone "
            "(jax.custom_vjp)"
        )
    own = jax.linearize(lambda w: (by_weights(w, h), by_values(w, h)), weights)
    if not h:
        return lambda v: own[1](v)[0], jnp.zeros(())
    grads, along = jax.linearize(lambda h: (by_weights(weights, h), by_values(weights, h)), h)

    def product(v: Weights) -> Weights:
        direct, pull = own[1](v)
        moved, _ = jax.scipy.sparse.linalg.cg(
            lambda dh: along(dh)[1], jtu.tree_map(jnp.negative, pull), tol=1e-2 * float(jnp.finfo(_dtype(h)).eps) ** 0.5
        )
        return jtu.tree_map(jnp.add, direct, along(moved)[0])

    return product, bound.problem.size * _length(grads[1])


def _length(tree: Any) -> Array:
    return jnp.sqrt(sum(jnp.sum(jnp.square(a)) for a in jtu.tree_leaves(tree)) + jnp.zeros(()))


def _dtype(h: Nodes) -> Any:
    return jnp.result_type(*h.values())
