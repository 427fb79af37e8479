"""Lanczos' method: what a symmetric matrix does to some vectors says where its spectrum ends.

From a start vector q, `steps` products with the matrix H span a space in which H is a small tridiagonal matrix T. The
ends of T's spectrum converge to those of H, long before the space is full, and no entry of H is ever computed.
New vectors are orthogonalised against all earlier ones, twice: without that, rounding brings copies of eigenvalues that
have already converged.

Several matrices are treated at once, one in each *lane*: the blocks of a block-diagonal one, as of samples that don't
meet.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, TypeAlias

import jax
import jax.numpy as jnp
from jax import Array, lax
from jaxtyping import Bool, Float, Int

Product: TypeAlias = Callable[[Array], Array]
"""The products of each lane's matrix with its vector, `[lanes, size]` of `[lanes, size]`."""

EVERY = 8
"""Steps from one look at what has converged to the next."""


class Krylov(NamedTuple):
    """A space and the matrix in it.

    **Attributes:**

    - `basis`: orthonormal vectors, `[steps, lanes, size]`; zero from where a lane's space was full.
    - `diagonal`: of T, `[lanes, steps]`.
    - `beside`: T's entries beside the diagonal; the one of the last step couples to what is outside, `[lanes, steps]`.
    - `alive`: whether a lane's space can still grow, `[lanes]`.
    - `scale`: the largest number met in T, `[lanes]`.
    - `asymmetry`: the largest entry that would be zero in T of a symmetric matrix, `[lanes]`.
    - `taken`: the number of steps that were taken.
    """

    basis: Float[Array, "steps lanes size"]
    diagonal: Float[Array, "lanes steps"]
    beside: Float[Array, "lanes steps"]
    alive: Bool[Array, " lanes"]
    scale: Float[Array, " lanes"]
    asymmetry: Float[Array, " lanes"]
    taken: Int[Array, ""]


class Ritz(NamedTuple):
    """The eigenvalues of T, which approximate eigenvalues of H.

    **Attributes:**

    - `values`: in ascending order, `[lanes, steps]`.
    - `vectors`: of T, one in each column, `[lanes, steps, steps]`.
    - `residuals`: the norms of `H v - value v`, `[lanes, steps]`: an eigenvalue of H is at most so far away.
    """

    values: Float[Array, "lanes steps"]
    vectors: Float[Array, "lanes steps steps"]
    residuals: Float[Array, "lanes steps"]


def begun(start: Float[Array, "lanes size"], steps: int) -> Krylov:
    """Return the space of no step yet.

    **Arguments:**

    - `start`: a random vector for each lane, of whatever length.
    - `steps`: the number of steps that there is to be room for.
    """
    lanes, size = start.shape
    zeros = jnp.zeros((lanes, steps), start.dtype)
    basis = jnp.zeros((steps, lanes, size), start.dtype).at[0].set(start / _lengths(start)[:, None])
    none = jnp.zeros((lanes,), start.dtype)
    return Krylov(basis, zeros, zeros, jnp.ones((lanes,), bool), none, none, jnp.int32(0))


def step(product: Product, space: Krylov) -> Krylov:
    """Return the space with one more product of the matrix with its last vector.

    **Arguments:**

    - `product`: the matrix.
    - `space`: with room for a step.
    """
    j, steps = space.taken, space.basis.shape[0]
    q = space.basis[j]
    w = product(q).astype(q.dtype)
    first = _onto(space.basis, w)  # [lanes, steps]
    w = w - _of(space.basis, first)
    second = _onto(space.basis, w)
    w = w - _of(space.basis, second)
    found = first + second
    a = jnp.take(found, j, axis=1)
    beta = _lengths(w)

    at = jnp.arange(steps)
    before = jnp.where(at == j - 1, space.beside, 0)  # what a symmetric matrix has there
    odd = jnp.max(jnp.where(at < j, jnp.abs(found - before), 0), axis=1)
    scale = jnp.maximum(space.scale, jnp.abs(a) + beta)
    # What is left is rounding: the space holds every direction that the start vector has a part in.
    alive = space.alive & (beta > 4 * float(jnp.finfo(q.dtype).eps) * scale)
    after = jnp.where(alive, 1 / jnp.where(alive, beta, 1), 0)[:, None] * w
    # A lane that ended early adds its first entry again, by itself: one inside of its spectrum, which moves no end.
    a = jnp.where(space.alive, a, space.diagonal[:, 0])
    return Krylov(
        space.basis.at[j + 1].set(after, mode="drop"),
        space.diagonal.at[:, j].set(a),
        space.beside.at[:, j].set(jnp.where(alive, beta, 0)),
        alive,
        scale,
        jnp.maximum(space.asymmetry, jnp.where(space.alive, odd, 0)),
        j + 1,
    )


def ritz(space: Krylov) -> Ritz:
    """Return the eigenvalues of T.

    **Arguments:**

    - `space`: of one step at least.
    """
    steps, m = space.basis.shape[0], space.taken
    at = jnp.arange(steps)
    diagonal = jnp.where(at < m, space.diagonal, space.diagonal[:, :1])
    beside = jnp.where(at < m - 1, space.beside, 0)[:, : steps - 1]
    T = jax.vmap(lambda d, b: jnp.diag(d) + jnp.diag(b, 1) + jnp.diag(b, -1))(diagonal, beside)
    values, vectors = jnp.linalg.eigh(T)
    last = jnp.take(vectors, m - 1, axis=1)
    return Ritz(values, vectors, jnp.abs(last) * jnp.take(space.beside, m - 1, axis=1)[:, None])


def errors(found: Ritz) -> tuple[Float[Array, " lanes"], Float[Array, " lanes"]]:
    """Return how far the lowest and the highest eigenvalue of T may be from one of H: the residual r, or `r^2 / gap`
    where the gap to the next eigenvalue of T is larger than r."""
    values, r = found.values, found.residuals
    if values.shape[1] == 1:
        return r[:, 0], r[:, 0]
    low, high = values[:, 1] - values[:, 0], values[:, -1] - values[:, -2]
    return _closer(r[:, 0], low), _closer(r[:, -1], high)


def _closer(r: Array, gap: Array) -> Array:
    return jnp.where(gap > r, r * r / jnp.where(gap > r, gap, 1), r)


def extend(product: Product, space: Krylov, done: Callable[[Ritz], Array] | None = None) -> Krylov:
    """Return the space after as many steps as it has room for, or fewer.

    **Arguments:**

    - `product`: the matrix.
    - `space`: of no step yet.
    - `done`: says from T's eigenvalues whether a lane need not go on, `[lanes]`; the steps end when none need.
    """
    steps = space.basis.shape[0]
    if done is None:
        return lax.fori_loop(0, steps, lambda _, s: step(product, s), space)

    def going(carry: tuple[Krylov, Array]) -> Array:
        return (carry[0].taken < steps) & ~carry[1]

    def some(carry: tuple[Krylov, Array]) -> tuple[Krylov, Array]:
        space = carry[0]
        until = jnp.minimum(space.taken + EVERY, steps)
        space = lax.while_loop(lambda s: s.taken < until, lambda s: step(product, s), space)
        return space, jnp.all(done(ritz(space)) | ~space.alive)

    return lax.while_loop(going, some, (space, jnp.array(False)))[0]


def vectors_of(space: Krylov, columns: Float[Array, "lanes steps"]) -> Float[Array, "lanes size"]:
    """Return eigenvectors of T as vectors of the whole space, of length 1.

    **Arguments:**

    - `space`: the space.
    - `columns`: one of T's eigenvectors for each lane.
    """
    found = _of(space.basis, columns)
    norm = _lengths(found)[:, None]
    return found / jnp.where(norm > 0, norm, 1)


def _lengths(w: Array) -> Array:
    return jnp.sqrt(jnp.sum(jnp.square(w), axis=1))


def _onto(basis: Array, w: Array) -> Array:
    return jnp.einsum("sln,ln->ls", basis, w, precision=lax.Precision.HIGHEST)


def _of(basis: Array, parts: Array) -> Array:
    return jnp.einsum("sln,ls->ln", basis, parts, precision=lax.Precision.HIGHEST)
