"""The batch as the first axis of a value, right where the value is made."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike


@jax.custom_batching.custom_vmap
def _led_by(x: Array, lane: Array) -> Array:
    return x


@_led_by.def_vmap
def _(size: int, batched: list[bool], x: Array, lane: Array) -> tuple[Array, bool]:
    # The axis has been moved to the front by now; what is the same for all samples is repeated.
    return (x if batched[0] else jnp.broadcast_to(x, (size, *jnp.shape(x)))), True


def led(x: ArrayLike | None, lane: Array) -> Array | None:
    """Return `x` with the batch as its first axis right here. Left to itself, `vmap` carries the axis where it fell and
    moves it only in what it returns, so that the value returned would not be the one that the energy is computed
    from."""
    return None if x is None else _led_by(jnp.asarray(x), lane)
