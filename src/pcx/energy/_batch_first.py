"""The batch as the first axis of a value, right where the value is made."""

from __future__ import annotations

from typing import Any

import jax
import jax.extend.core as jex
import jax.numpy as jnp
from jax import Array
from jax.interpreters import batching
from jax.typing import ArrayLike

# An operation with a rule for `vmap`: `jax.custom_batching` has one too, but traces its function at each call.
_at_front = jex.Primitive("at_front")
_at_front.def_impl(lambda x, lane: x)
_at_front.def_abstract_eval(lambda x, lane: x)


def _moved(args: tuple[Any, Any], axes: tuple[int | None, int | None], **_: object) -> tuple[Any, int]:
    """Return a value with the axis of the `vmap` moved to the front; what is the same for all samples is repeated."""
    (x, lane), (axis, of_lane) = args, axes
    if axis is not None:
        return (x if axis == 0 else jnp.moveaxis(x, axis, 0)), 0
    assert of_lane is not None  # one of the two has the axis
    return jnp.broadcast_to(x, (lane.shape[of_lane], *jnp.shape(x))), 0


batching.primitive_batchers[_at_front] = _moved


def batch_first(x: ArrayLike | None, lane: Array) -> Array | None:
    """Return `x` with the batch as its first axis, moved there at this place of the program.

    Left to itself, `vmap` leaves the axis where an operation put it and moves it only in what it returns, so that the
    value returned would not be the one that the energy is computed from.
    """
    if x is None:
        return None
    made: Any = _at_front.bind(x if isinstance(x, jax.Array) else jnp.asarray(x), lane)
    return made
