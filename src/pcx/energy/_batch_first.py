"""The batch as the first axis of a value, right where the value is made."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike


@jax.custom_batching.custom_vmap
def _at_front(x: Array, lane: Array) -> Array:
    return x


@_at_front.def_vmap
def _(size: int, batched: list[bool], x: Array, lane: Array) -> tuple[Array, bool]:
    # The axis has been moved to the front by now; what is the same for all samples is repeated.
    return (x if batched[0] else jnp.broadcast_to(x, (size, *jnp.shape(x)))), True


def batch_first(x: ArrayLike | None, lane: Array) -> Array | None:
    """Return `x` with the batch as its first axis, moved there at this place of the program.

    Left to itself, `vmap` leaves the axis where an operation put it and moves it only in what it returns, so that the
    value returned would not be the one that the energy is computed from.
    """
    return None if x is None else _at_front(jnp.asarray(x), lane)
