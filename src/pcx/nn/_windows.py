"""The largest value of every window, where windows lie side by side.

XLA takes the gradient of a general max pooling by a scatter, which on a CPU costs some ten times what the values
themselves cost, and index arrays larger than its input. Where no two windows overlap, the place of each window's
maximum is a mask, and the gradient a choice.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence

import jax
import jax.numpy as jnp


@functools.partial(jax.custom_jvp, nondiff_argnums=(1,))
def largest(x: jax.Array, window: tuple[int, ...]) -> jax.Array:
    """Return the largest value of every window. Of equal values the first one counts for the gradient, as in
    `jax.lax.reduce_window`.

    **Arguments:**

    - `x`: `[d_1, ..., d_N, channels]`; what is left over at the end of an axis has no part.
    - `window`: the size k of a window along each axis but the last.

    **Returns:** `[d_1 // k_1, ..., d_N // k_N, channels]`.
    """
    size = (*window, 1)
    lowest = -jnp.inf if jnp.issubdtype(x.dtype, jnp.floating) else jnp.iinfo(x.dtype).min
    return jax.lax.reduce_window(x, jnp.asarray(lowest, x.dtype), jax.lax.max, size, size, "VALID")


@largest.defjvp
def _(window: tuple[int, ...], primals: tuple[jax.Array], tangents: tuple[jax.Array]) -> tuple[jax.Array, jax.Array]:
    (x,), (t,) = primals, tangents
    y = largest(x, window)
    first = _first(_split(x, window), y, window)
    inside = tuple(range(1, 2 * len(window), 2))
    return y, jnp.sum(jnp.where(first, _split(t, window), jnp.zeros((), t.dtype)), axis=inside)


def _split(x: jax.Array, window: Sequence[int]) -> jax.Array:
    """`[d_1 // k_1, k_1, ..., channels]`."""
    counts = [d // k for d, k in zip(x.shape, window, strict=False)]
    whole = x[tuple([slice(0, n * k) for n, k in zip(counts, window, strict=True)])]
    return whole.reshape([*[s for pair in zip(counts, window, strict=True) for s in pair], x.shape[-1]])


def _first(split: jax.Array, y: jax.Array, window: Sequence[int]) -> jax.Array:
    """Return a mask, True at the first of each window's largest values."""
    inside = tuple(range(1, 2 * len(window), 2))
    found = split == jnp.expand_dims(y, inside)
    # The number of each place within its window; the first that was found has the lowest.
    number = functools.reduce(
        lambda before, axis: before * window[axis // 2] + jax.lax.broadcasted_iota(jnp.int32, found.shape, axis),
        inside,
        jnp.zeros((), jnp.int32),
    )
    many = functools.reduce(lambda a, b: a * b, window, 1)
    lowest = jnp.min(jnp.where(found, number, many), axis=inside, keepdims=True)
    return number == lowest
