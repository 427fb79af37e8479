"""The step that weights take on a batch, and whether units still answer to it."""

from __future__ import annotations

from typing import NamedTuple

import jax.numpy as jnp
import jax.tree_util as jtu
from jax import Array
from jaxtyping import Bool, Float

from ..energy import Bound, ForwardPass, apart
from ..learning import Rule, State, Update
from ._alike import of_each
from ._gradients import Scalars, length


class Taken(NamedTuple):
    """The step of one network on a batch.

    **Attributes:**

    - `moved`: the norm of each weight's change over that of the weight, by path.
    - `ranks`: the effective rank of the change, of weights that are matrices or kernels, by path.
    - `sizes`: the lesser of the rows and columns of these, by path.
    - `constant`: the part of each node's units whose prediction is the same for every sample, by node.
    - `varied`: whether samples differ at all.
    """

    moved: Scalars
    ranks: Scalars
    sizes: Scalars
    constant: Scalars
    varied: Bool[Array, ""]


def taken_by(rule: Rule, state: State, bound: Bound, forward: ForwardPass, update: Update, ranks: bool = True) -> Taken:
    """Return what a rule's step does to the weights. Pure.

    **Arguments:**

    - `rule`, `state`: the rule, and the state before the step.
    - `bound`, `forward`, `update`: the batch, its forward pass, and what the rule made of it.
    - `ranks`: whether to find the ranks of the changes; else there are none.
    """
    new = update.weights
    if new is None:
        assert update.gradient is not None
        value = update.energies if update.value is None else update.value
        new, _ = rule.apply(update.gradient, state.optim, bound.weights, bound, value)
    old, now = dict(apart(bound.weights)), dict(apart(new))
    change = jtu.tree_map(jnp.subtract, now, {p: old[p] for p in now})
    u = apart(forward.u)
    return Taken(
        of_each(lambda c, w: length(c) / jnp.maximum(length(w), jnp.finfo(jnp.float32).tiny), change, old),
        of_each(effective_rank, {p: c for p, c in change.items() if getattr(c, "ndim", 0) >= 2}) if ranks else {},
        {
            p: jnp.float32(min(c.shape[0], c.size // c.shape[0]))
            for p, c in change.items()
            if getattr(c, "ndim", 0) >= 2
        },
        of_each(lambda v: jnp.mean(_same(v)), {n: v for n, v in u.items() if v is not None and v.ndim > 1}),
        jnp.any(jnp.stack([jnp.any(~_same(a)) for a in jtu.tree_leaves(bound.x) if jnp.ndim(a)] or [jnp.array(False)])),
    )


def effective_rank(matrix: Float[Array, "rows ..."]) -> Float[Array, ""]:
    """Return the effective rank of a matrix, or of a kernel with its inputs as columns: `exp(H)` with H the entropy of
    its singular values over their sum (Roy and Vetterli 2007). 0 for zeros, NaN for what is not finite.

    **Arguments:**

    - `matrix`: of two axes at least.
    """
    flat = matrix.reshape(matrix.shape[0], -1)
    largest = jnp.max(jnp.abs(flat))
    # Of what is not finite the singular values would be, too.
    fine = jnp.isfinite(largest) & (largest > 0)
    values = jnp.linalg.svd(jnp.where(fine, flat / jnp.where(fine, largest, 1), 0.0), compute_uv=False)
    parts = values / jnp.maximum(jnp.sum(values), jnp.finfo(values.dtype).tiny)
    entropy = -jnp.sum(jnp.where(parts > 0, parts * jnp.log(jnp.where(parts > 0, parts, 1)), 0.0))
    return jnp.where(fine, jnp.exp(entropy), jnp.where(largest == 0, 0.0, jnp.nan))


def _same(a: Array) -> Array:
    """Return which elements are the same for all samples."""
    a = jnp.asarray(a)
    return jnp.max(a, axis=0) == jnp.min(a, axis=0) if jnp.issubdtype(a.dtype, jnp.number) else jnp.zeros((), bool)
