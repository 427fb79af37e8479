"""Energies with a precision: elementwise ones summed over the features of a node; and factors of energies."""

from __future__ import annotations

from typing import TYPE_CHECKING

import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.typing import ArrayLike

from ..core import real
from ._functions import OWN
from ._sums import row_sums
from ._types import Factors

if TYPE_CHECKING:
    from ._problem import Problem


def weighed(elements: Array, precision: ArrayLike | None, features: int, summed: bool = False) -> Array:
    """Return `sum(p * elements) - 1/2 sum(log p)` over the features, `[batch]`; a scalar with `summed`.

    Half-precision energies are summed in float32: the sum over a batch leaves their range.

    **Arguments:**

    - `elements`: elementwise energies, `[batch, *shape]`, or `[batch]`.
    - `precision`: p, a scalar or of the node's shape for one sample; None for 1.
    - `features`: the number of elements of the node's value for one sample.
    - `summed`: whether to sum over the batch, too.
    """
    # What is differentiated is a plain sum, whose gradient is nothing but ones.
    add = _whole_sum if summed else row_sums
    if precision is None:
        return add(elements)
    precision = jnp.asarray(precision, dtype=elements.dtype)
    total = add(precision * elements)
    return total - log_part(precision, features) * (elements.shape[0] if summed else 1)


def log_part(precision: ArrayLike, features: int) -> Array:
    """Return `1/2 sum(log p)` over the features of a node, a scalar."""
    precision = jnp.asarray(precision)
    return 0.5 * (features // max(precision.size, 1)) * jnp.sum(jnp.log(precision))


def _whole_sum(x: Array) -> Array:
    return jnp.sum(x, dtype=jnp.promote_types(x.dtype, jnp.float32))


def check_scale(problem: Problem, scale: Factors) -> None:
    """Refuse factors of energies that are no finite numbers, or name no node.

    **Raises:** `ValueError` or `TypeError`, with the name.
    """
    for name, factor in scale.items():
        if name not in problem.nodes and name != OWN:
            raise ValueError(f"landscape: scale names {name!r}; the nodes are {', '.join(problem.nodes)}")
        real("landscape", f"scale of {name}", factor, np.isfinite, "finite")
