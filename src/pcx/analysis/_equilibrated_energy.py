"""The energy that is left at equilibrium in linear networks, in closed form."""

from __future__ import annotations

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
import jax.tree_util as jtu
from jax import Array
from jax.core import Tracer
from jaxtyping import Float

from ..energy import Bound, Nodes, OverErrors, check_errors
from ._at_once import at_once
from ._hessian import check_digits
from ._networks import check_bound


class EquilibratedEnergy(NamedTuple):
    """The energy of a linear network at equilibrium: `1/2 r' S^-1 r` of each sample, a rescaled squared error.

    **Attributes:**

    - `energy`: at equilibrium, `[batch]`.
    - `loss`: before anything settles, `1/2 r' P r`: that of a forward pass, `[batch]`.
    - `residual`: r, the targets less a forward pass's predictions, `[batch, outputs]`.
    - `rescaling`: S, `[batch, outputs, outputs]`: the sum of `J_l P_l^-1 J_l'` over nodes l, with J_l the derivative of
        the output by the error of node l (for the output the identity) and P_l its precision.
    """

    energy: Float[Array, " batch"]
    loss: Float[Array, " batch"]
    residual: Float[Array, "batch outputs"]
    rescaling: Float[Array, "batch outputs outputs"]


def equilibrated_energy(bound: Bound) -> EquilibratedEnergy:
    """Return the energy of a linear network at equilibrium, in closed form, without settling.

    Of a chain of layers with matrices W_l it is `1/2 r' S^-1 r`, where S is I and the sum of
    `(W_L ... W_l)(W_L ... W_l)'` over l from 2 to L. Here S comes from the derivatives of the output by the nodes'
    errors, so that the network may be any graph, with skips, biases, convolutions and precisions. From node to node it
    must be linear; what leads from the input to the first nodes may be anything.

    Source: Innocenti et al., "Only strict saddles in the energy landscape of predictive coding networks?", 2024, arXiv
    2408.11979.

    **Arguments:**

    - `bound`: a network and a batch, from `pxl.bind`; its energies are squared errors.

    **Returns:** an `EquilibratedEnergy`. The constants of precisions, `-1/2 log p`, are no part of its energies. Under
    `jit` all its numbers are NaN where the network is seen not to be linear.

    **Raises:** `TypeError` for what is no bound network; `ValueError` for other energies, for products in 16 bits, for
    samples without a target, and for a network that is not linear.
    """
    check_bound("equilibrated_energy", bound)
    problem = bound.problem
    check_digits("equilibrated_energy", problem.structure.rounding)
    check_errors("equilibrated_energy", problem)
    clamped = [n for n in problem.clamped if not problem.nodes[n].silent]
    for name in clamped:
        if not problem.nodes[name].squared:
            raise ValueError(f"equilibrated_energy: the energy of {name} must be a squared error (pxc.se_energy)")
    if bound.samples.known is not None:
        raise ValueError("equilibrated_energy: each sample must have a target")
    targets = bound.start().targets

    def computed(targets: Nodes, start: Nodes) -> tuple[EquilibratedEnergy, Array]:
        return _closed_form(bound, OverErrors(bound, targets), clamped, start)

    zero = {n: jnp.zeros((problem.size, *problem.nodes[n].shape), problem.nodes[n].dtype) for n in problem.free}
    found, linear = at_once(computed, targets, zero)
    if not isinstance(linear, Tracer) and not bool(linear):
        raise ValueError(
            "equilibrated_energy: the network is not linear; what it comes to is measured by pxa.equilibrium(landscape)"
        )
    return found


def _closed_form(
    bound: Bound, landscape: OverErrors, clamped: list[str], start: Nodes
) -> tuple[EquilibratedEnergy, Array]:
    """Return the energy at equilibrium, and whether the network is linear."""
    size = bound.problem.size

    def outputs(errors: Nodes) -> Array:
        u = landscape.predictions(errors)
        return jnp.concatenate([u[n].reshape(size, -1) for n in clamped], axis=1)

    u, pullback = jax.vjp(outputs, start)
    units = jnp.eye(u.shape[1], dtype=u.dtype)
    # Samples don't meet, so that one product gives a row of each sample's Jacobian.
    jacobians = jax.vmap(lambda unit: pullback(jnp.broadcast_to(unit, u.shape))[0])(units)  # [outputs, batch, ...]
    targets = jnp.concatenate([landscape.clamped[n].reshape(size, -1) for n in clamped], axis=1)
    residual = targets - u
    own = jnp.concatenate([1 / _precision(bound, n) for n in clamped])
    S = jnp.broadcast_to(jnp.diag(own).astype(u.dtype), (size, *units.shape))
    for name, J in jacobians.items():
        J = jnp.moveaxis(J.reshape(*J.shape[:2], math.prod(J.shape[2:])), 0, 1)
        S = S + jnp.einsum("bif,f,bjf->bij", J, 1 / _precision(bound, name), J)
    energy = 0.5 * jnp.sum(residual * jnp.linalg.solve(S, residual[..., None])[..., 0], axis=1)
    loss = 0.5 * jnp.sum(residual**2 / own, axis=1)

    # Of errors whose effect is as large as the outputs themselves.
    keys = jax.random.split(jax.random.PRNGKey(0), max(len(start), 1))
    errors = {n: jax.random.normal(k, v.shape, v.dtype) for k, (n, v) in zip(keys, start.items(), strict=False)}
    along = jax.jvp(outputs, (start,), (errors,))[1]
    there = outputs(errors)
    eps = float(jnp.finfo(u.dtype).eps)
    size_of = jnp.max(jnp.abs(there)) + jnp.max(jnp.abs(u)) + jnp.max(jnp.abs(along))
    linear = jnp.max(jnp.abs(there - u - along)) <= 1e3 * eps * size_of
    # What depends on the place of an error is found by its derivative at another one.
    linear &= jnp.max(jnp.abs(jax.jvp(outputs, (errors,), (errors,))[1] - along)) <= 1e3 * eps * size_of
    found = EquilibratedEnergy(energy, loss, residual, S)
    return jtu.tree_map(lambda a: jnp.where(linear, a, jnp.nan), found), linear


def _precision(bound: Bound, name: str) -> Array:
    node = bound.problem.nodes[name]
    return jnp.broadcast_to(jnp.asarray(bound.precision.get(name, 1.0), node.dtype), node.shape).reshape(-1)
