"""The outermost eigenvalues of tridiagonal matrices, of many at once, without the others.

An eigenvalue is found by counting: of the pivots of `T - x`, as many are below 0 as there are eigenvalues below x. Each
pass counts at several points between two bounds, for all matrices together.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import jax.numpy as jnp
from jax import Array, lax
from jaxtyping import Float, Int

POINTS = 31
"""Points of a pass, which makes the distance between two bounds a 32nd."""


class Outer(NamedTuple):
    """The outermost eigenvalues of each matrix: the lowest, the next, the last but one, the highest.

    **Attributes:**

    - `values`: the eigenvalues, `[lanes, 4]`.
    - `last`: the size of the last entry of each one's eigenvector, of length 1, likewise.
    """

    values: Float[Array, "lanes 4"]
    last: Float[Array, "lanes 4"]


def outer_of(
    diagonal: Float[Array, "lanes steps"], beside: Float[Array, "lanes steps"], taken: Int[Array, ""]
) -> Outer:
    """Return the outermost eigenvalues of tridiagonal matrices. Of a matrix with fewer than four rows some are the
    same.

    **Arguments:**

    - `diagonal`: of the matrices.
    - `beside`: the entries beside it: that at k is in row k and column k + 1.
    - `taken`: how many rows there are, 1 or more; what lies after counts nothing.
    """
    at = jnp.arange(diagonal.shape[1])
    before = jnp.roll(jnp.where(at < taken - 1, beside, 0), 1, axis=1)  # in row k and column k - 1
    reach = jnp.abs(before) + jnp.abs(jnp.where(at < taken - 1, beside, 0))
    low = jnp.min(jnp.where(at < taken, diagonal - reach, jnp.inf), axis=1)[:, None]
    high = jnp.max(jnp.where(at < taken, diagonal + reach, -jnp.inf), axis=1)[:, None]
    number = jnp.finfo(diagonal.dtype)
    least = float(number.eps) * jnp.maximum(jnp.abs(low), jnp.abs(high)) + float(number.tiny)

    def count(x: Array) -> Array:
        def row(k: Array, carry: tuple[Array, Array]) -> tuple[Array, Array]:
            above, below = carry
            d, b, small = [a[:, None, None] for a in (jnp.take(diagonal, k, 1), jnp.take(before, k, 1), least[:, 0])]
            pivot = d - x - b * (b / above)
            pivot = jnp.where(jnp.abs(pivot) < small, -small, pivot)
            return pivot, below + (pivot < 0)

        return lax.fori_loop(jnp.zeros_like(taken), taken, row, (jnp.ones_like(x), jnp.zeros(x.shape, jnp.int32)))[1]

    which = jnp.clip(jnp.stack([jnp.int32(0), jnp.int32(1), taken - 2, taken - 1]), 0, taken - 1)[None, :, None]
    parts = jnp.arange(1, POINTS + 1) / (POINTS + 1)

    def narrow(_: Array, bounds: tuple[Array, Array]) -> tuple[Array, Array]:
        start, size = bounds[0], bounds[1] - bounds[0]
        above = jnp.sum(count(start[..., None] + size[..., None] * parts.astype(size.dtype)) <= which, axis=-1)
        part = size / (POINTS + 1)
        return start + part * above, start + part * (above + 1)

    passes = math.ceil((number.nmant + 3) / math.log2(POINTS + 1)) + 1
    wide = [jnp.broadcast_to(a, (len(diagonal), 4)) for a in (low - 2 * least, high + 2 * least)]
    start, end = lax.fori_loop(0, passes, narrow, (wide[0], wide[1]))
    values = (start + end) / 2

    return Outer(values, _last(diagonal, before, least, values, taken))


def _last(diagonal: Array, before: Array, least: Array, values: Array, taken: Array) -> Array:
    """Return the size of the last entry of each eigenvector: from the rows above and below the one where it is largest,
    which rounding grows in neither of."""
    rows = jnp.arange(diagonal.shape[1])
    after = jnp.roll(before, -1, axis=1)

    def pivots(carry: tuple[Array, Array, Array], row: tuple[Array, Array, Array]) -> tuple[Any, Any]:
        """From one end to the other: the pivot, the squares so far over that of the row, and the first over the row."""
        above, squares, first = carry
        d, b, is_first = row
        part = b[:, None] / above
        found = d[:, None] - values - b[:, None] * part
        found = jnp.where(jnp.abs(found) < least, -least, found)
        squares = jnp.minimum(1 + jnp.square(part) * squares, 1e30)
        carry = found, squares, jnp.where(is_first, 1, jnp.abs(part) * first)
        return carry, carry

    ones = jnp.ones_like(values)
    down = (diagonal.T, before.T, rows == 0)
    up = (diagonal.T, after.T, rows == taken - 1)
    over, squares_over, _ = lax.scan(pivots, (ones, ones, ones), down)[1]
    under, squares_under, last = lax.scan(pivots, (ones, ones, ones), up, reverse=True)[1]
    twist = jnp.abs(over + under - (diagonal.T[:, :, None] - values))
    at = jnp.argmin(jnp.where((rows < taken)[:, None, None], twist, jnp.inf), axis=0)[None]
    of = [jnp.take_along_axis(a, at, axis=0)[0] for a in (last, squares_over, squares_under)]
    return of[0] / jnp.sqrt(of[1] + of[2] - 1)
