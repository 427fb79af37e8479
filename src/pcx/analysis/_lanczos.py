"""Lanczos' method: what a symmetric matrix does to some vectors says where its spectrum ends.

From a start vector q, `steps` products with the matrix H span a space in which H is a small tridiagonal matrix T. The
ends of T's spectrum converge to those of H, long before the space is full, and no entry of H is ever computed.
New vectors are orthogonalised against all earlier ones, twice: without that, rounding brings copies of eigenvalues that
have already converged.

Several matrices are treated at once, one in each *lane*: the blocks of a block-diagonal one, as of samples that don't
meet. Where they do meet, lanes are *joined*: what they hold are then parts of one vector, and their matrix is one. One
product more tells.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, TypeAlias

import jax
import jax.numpy as jnp
from jax import Array, lax
from jaxtyping import Bool, Float, Int

from ._outer import outer_of

Product: TypeAlias = Callable[[Array], Array]
"""The products of each lane's matrix with its vector, `[lanes, size]` of `[lanes, size]`."""

EVERY = 8
"""Steps from one look at what has converged to the next."""
ROUNDING = 2.0
"""Times the rounding of the largest eigenvalue, by which any may be off."""


class Krylov(NamedTuple):
    """A space and the matrix in it.

    **Attributes:**

    - `basis`: orthonormal vectors, `[steps, lanes, size]`; zero from where a lane's space was full.
    - `diagonal`: of T, `[lanes, steps]`.
    - `beside`: T's entries beside the diagonal; the one of the last step couples to what is outside, `[lanes, steps]`.
    - `alive`: whether a lane's space can still grow, `[lanes]`.
    - `scale`: the largest number met in T, `[lanes]`.
    - `asymmetry`: the largest entry that would be zero in T of a symmetric matrix, `[lanes]`.
    - `taken`: the number of steps that were taken; -1 before it is known whether lanes are joined.
    - `joined`: whether all lanes hold parts of one vector, since their matrices are parts of one; T is then the same in
        each.
    """

    basis: Float[Array, "steps lanes size"]
    diagonal: Float[Array, "lanes steps"]
    beside: Float[Array, "lanes steps"]
    alive: Bool[Array, " lanes"]
    scale: Float[Array, " lanes"]
    asymmetry: Float[Array, " lanes"]
    taken: Int[Array, ""]
    joined: Bool[Array, ""]


class Outermost(NamedTuple):
    """The ends of the spectrum of each lane.

    **Attributes:**

    - `smallest`, `largest`: of T's eigenvalues, `[lanes]`.
    - `smallest_error`, `largest_error`: how far they may be from those of H, `[lanes]`: the residual r, or `r^2 / gap`
        where the gap to the next eigenvalue is larger than r; and what rounding adds.
    """

    smallest: Float[Array, "*lanes"]
    largest: Float[Array, "*lanes"]
    smallest_error: Float[Array, "*lanes"]
    largest_error: Float[Array, "*lanes"]


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


def begun(start: Float[Array, "lanes size"], steps: int, ask: bool = False) -> Krylov:
    """Return the space of no step yet.

    **Arguments:**

    - `start`: a random vector for each lane, of whatever length; zeros for a lane that is to count nothing.
    - `steps`: the number of steps that there is to be room for.
    - `ask`: whether to find out if lanes are to be joined; without it they are not.
    """
    lanes, size = start.shape
    zeros = jnp.zeros((lanes, steps), start.dtype)
    first = start if ask else _of_length_one(start, jnp.array(False))
    basis = jnp.zeros((steps, lanes, size), start.dtype).at[0].set(first)
    none = jnp.zeros((lanes,), start.dtype)
    taken = jnp.int32(-1 if ask else 0)
    return Krylov(basis, zeros, zeros, jnp.ones((lanes,), bool), none, none, taken, jnp.array(False))


def step(product: Product, space: Krylov) -> Krylov:
    """Return the space with one more product of the matrix with its last vector; or with it known whether lanes are
    joined, by a product with every other lane alone.

    **Arguments:**

    - `product`: the matrix.
    - `space`: with room for a step.
    """
    steps, asking = space.basis.shape[0], space.taken < 0
    j = jnp.where(asking, steps, space.taken)  # as of which nothing is kept
    q = space.basis[jnp.maximum(space.taken, 0)]
    odd = (jnp.arange(len(q)) % 2 == 1)[:, None]
    w = product(jnp.where(asking & ~odd, 0, q)).astype(q.dtype)
    joined = jnp.where(asking, _meet(w, odd), space.joined)
    first = _onto(space, w)  # [lanes, steps]
    w = w - _of(space.basis, first)
    second = _onto(space, w)
    w = w - _of(space.basis, second)
    found = first + second
    a = jnp.take(found, j, axis=1, mode="clip")
    beta = _lengths(w, joined)

    at = jnp.arange(steps)
    before = jnp.where(at == j - 1, space.beside, 0)  # what a symmetric matrix has there
    odd_entry = jnp.max(jnp.where(at < j, jnp.abs(found - before), 0), axis=1)
    scale = jnp.maximum(space.scale, jnp.abs(a) + beta)
    # What is left is rounding: the space holds every direction that the start vector has a part in.
    alive = space.alive & (beta > 4 * float(jnp.finfo(q.dtype).eps) * scale)
    after = jnp.where(alive, 1 / jnp.where(alive, beta, 1), 0)[:, None] * w
    # A lane that ended early adds its first entry again, by itself: one inside of its spectrum, which moves no end.
    a = jnp.where(space.alive, a, space.diagonal[:, 0])
    return Krylov(
        space.basis.at[space.taken + 1].set(jnp.where(asking, _of_length_one(q, joined), after), mode="drop"),
        space.diagonal.at[:, j].set(a, mode="drop"),
        space.beside.at[:, j].set(jnp.where(alive, beta, 0), mode="drop"),
        asking | alive,
        jnp.where(asking, space.scale, scale),
        jnp.where(asking, space.asymmetry, jnp.maximum(space.asymmetry, jnp.where(space.alive, odd_entry, 0))),
        space.taken + 1,
        joined,
    )


def _meet(w: Array, odd: Array) -> Array:
    """Return whether products with odd lanes alone are seen in others, by more than rounding."""
    sizes = jnp.abs(w)
    return jnp.max(jnp.where(odd, 0, sizes)) > 8 * float(jnp.finfo(w.dtype).eps) * jnp.max(sizes)


def ritz(space: Krylov, lane: Int[Array, ""] | None = None) -> Ritz:
    """Return the eigenvalues of T.

    **Arguments:**

    - `space`: of one step at least.
    - `lane`: the only one to look at, with an axis of length 1; all if it is left out.
    """
    steps, m = space.basis.shape[0], space.taken
    all_diagonal, all_beside = space.diagonal, space.beside
    if lane is not None:
        all_diagonal, all_beside = [jnp.take(a, lane, axis=0)[None] for a in (all_diagonal, all_beside)]
    at = jnp.arange(steps)
    diagonal = jnp.where(at < m, all_diagonal, all_diagonal[:, :1])
    beside = jnp.where(at < m - 1, all_beside, 0)[:, : steps - 1]
    T = jax.vmap(lambda d, b: jnp.diag(d) + jnp.diag(b, 1) + jnp.diag(b, -1))(diagonal, beside)
    values, vectors = jnp.linalg.eigh(T)
    last = jnp.take(vectors, m - 1, axis=1)
    return Ritz(values, vectors, jnp.abs(last) * jnp.take(all_beside, m - 1, axis=1)[:, None])


def outermost(space: Krylov) -> Outermost:
    """Return the outermost eigenvalues of T in each lane, and how far they may be off.

    **Arguments:**

    - `space`: of one step at least.
    """
    values, last = outer_of(space.diagonal, space.beside, space.taken)
    r = last * jnp.take(space.beside, space.taken - 1, axis=1)[:, None]
    # The next eigenvalue of H may be closer than that of T, by as much as that one may be off.
    low, high = values[:, 1] - r[:, 1] - values[:, 0], values[:, 3] - values[:, 2] - r[:, 2]
    rounding = ROUNDING * float(jnp.finfo(values.dtype).eps) * jnp.max(jnp.abs(values), axis=1)
    return Outermost(values[:, 0], values[:, 3], _closer(r[:, 0], low) + rounding, _closer(r[:, 3], high) + rounding)


def _closer(r: Array, gap: Array) -> Array:
    return jnp.where(gap > r, r * r / jnp.where(gap > r, gap, 1), r)


def extend(product: Product, space: Krylov, done: Callable[[Outermost], Array] | None = None) -> Krylov:
    """Return the space after as many steps as it has room for, or fewer.

    **Arguments:**

    - `product`: the matrix.
    - `space`: of no step yet.
    - `done`: says from the ends whether a lane need not go on, `[lanes]`; the steps end when none need.
    """
    steps = space.basis.shape[0]
    if done is None:
        return lax.while_loop(lambda s: s.taken < steps, lambda s: step(product, s), space)

    def going(carry: tuple[Krylov, Array]) -> Array:
        return (carry[0].taken < steps) & ~carry[1]

    def some(carry: tuple[Krylov, Array]) -> tuple[Krylov, Array]:
        space = carry[0]
        until = jnp.minimum(space.taken + EVERY, steps)
        space = lax.while_loop(lambda s: s.taken < until, lambda s: step(product, s), space)
        return space, jnp.all(done(outermost(space)) | ~space.alive)

    return lax.while_loop(going, some, (space, jnp.array(False)))[0]


def vectors_of(space: Krylov, columns: Float[Array, "lanes steps"]) -> Float[Array, "lanes size"]:
    """Return eigenvectors of T as vectors of the whole space, of length 1.

    **Arguments:**

    - `space`: the space.
    - `columns`: one of T's eigenvectors for each lane.
    """
    return _of_length_one(_of(space.basis, columns), space.joined)


def _of_length_one(w: Array, joined: Array) -> Array:
    norm = _lengths(w, joined)[:, None]
    return w / jnp.where(norm > 0, norm, 1)


def _lengths(w: Array, joined: Array) -> Array:
    return jnp.sqrt(_shared(jnp.sum(jnp.square(w), axis=1), joined))


def _shared(parts: Array, joined: Array) -> Array:
    """Return what each lane has; where they are joined, what all have together."""
    return jnp.where(joined, jnp.sum(parts, axis=0, keepdims=True), parts)


def _onto(space: Krylov, w: Array) -> Array:
    parts = jnp.einsum("sln,ln->ls", space.basis, w, precision=lax.Precision.HIGHEST)
    return _shared(parts, space.joined)


def _of(basis: Array, parts: Array) -> Array:
    return jnp.einsum("sln,ls->ln", basis, parts, precision=lax.Precision.HIGHEST)
