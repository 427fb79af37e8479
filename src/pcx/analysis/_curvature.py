"""The ends of the spectrum of a Hessian, and the steps that they allow."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Literal, NamedTuple, TypeAlias, get_args

import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike
from jaxtyping import Bool, Float, Int

from ..core import positive, raw_key, real, whole
from ..energy import Landscape, Nodes, NodesIn, Weights
from ._at_once import at_once
from ._hessian import check_apart, check_moving, check_symmetric, hessian, is_odd, place
from ._lanczos import Krylov, Outermost, begun, extend, outermost, ritz, vectors_of

Ends: TypeAlias = Literal["both", "largest", "smallest"]


class Curvature(NamedTuple):
    """The largest and the smallest eigenvalue of the Hessian of an energy, with their directions. Of several samples,
    or networks, each array has their axes first.

    **Attributes:**

    - `largest`, `smallest`: the eigenvalues, `[]`, or `[batch]` of each sample by itself.
    - `largest_error`, `smallest_error`: how far they may be from the true ones, likewise: from the residual r, the
        length of `H v - value v`, within which there is an eigenvalue, or `r^2 / gap`, with the gap to the next
        eigenvalue, where that is less; and from rounding. Of one that has not converged it is an estimate: few products
        may hardly have met an eigenvalue that lies further out.
    - `converged`: whether the errors of the ends that were asked for (`which`) came below the tolerance, or below what
        rounding leaves of the largest eigenvalue, likewise. The other end's error says how good that one is.
    - `products`: the number of products with the Hessian.
    - `largest_direction`, `smallest_direction`: the eigenvectors, of length 1, in the form of the coordinates,
        `{node: [batch, *shape]}`.
    """

    largest: Float[Array, "*batch"]
    smallest: Float[Array, "*batch"]
    largest_error: Float[Array, "*batch"]
    smallest_error: Float[Array, "*batch"]
    converged: Bool[Array, "*batch"]
    products: Int[Array, "*networks"]
    largest_direction: Nodes | Weights
    smallest_direction: Nodes | Weights

    def stable_step(self, momentum: ArrayLike = 0.0, nesterov: bool = False) -> Float[Array, "*batch"]:
        """Return the largest stable step of gradient descent where the curvature is this: with a larger one, the
        distance to a minimum grows along `largest_direction`.

        It is that of steps in which all coordinates move at once, as of `optax.sgd(step, momentum, nesterov)`: 2 over
        the largest eigenvalue, times `1 + m` with momentum m, times `(1 + m) / (1 + 2 m)` with Nesterov's.

        **Arguments:**

        - `momentum`: from 0 to below 1.
        - `nesterov`: whether the momentum is Nesterov's.

        **Returns:** the step, in the shape of `largest`; infinite where nothing curves up.

        **Raises:** `TypeError` or `ValueError` for another momentum.
        """
        m = jnp.asarray(
            real("stable_step", "momentum", momentum, lambda v: (v >= 0) & (v < 1), "0 or more, and below 1"),
            self.largest.dtype,
        )
        factor = (1 + m) / (1 + 2 * m) if nesterov else 1 + m
        up = self.largest > 0
        # What is not a number stays so.
        return jnp.where(
            up, 2 * factor / jnp.where(up, self.largest, 1), jnp.where(self.largest <= 0, jnp.inf, jnp.nan)
        )

    @property
    def condition(self) -> Float[Array, "*batch"]:
        """The largest eigenvalue over the smallest: about how many steps gradient descent takes to come to rest.
        Infinite where the smallest is not above 0, so that there is no minimum nearby."""
        up = self.smallest > 0
        ratio = self.largest / jnp.where(up, self.smallest, 1)
        return jnp.where(up, ratio, jnp.where(self.smallest <= 0, jnp.inf, jnp.nan))

    def shares(self, end: Literal["largest", "smallest"] = "largest") -> dict[str, Float[Array, ...]]:
        """Return how much of a direction belongs to each node: the sum of its squares there.

        **Arguments:**

        - `end`: which direction, `"largest"` or `"smallest"`.

        **Returns:** `{node: share}`, which add up to 1; in the shape of `largest`, of one network's curvature.

        **Raises:** `ValueError` for another `end`.
        """
        if end not in ("largest", "smallest"):
            raise ValueError(f'shares: end is "largest" or "smallest", got {end!r}')
        direction = self.largest_direction if end == "largest" else self.smallest_direction
        per_sample = self.largest.ndim == 1

        def share(a: Array) -> Array:
            return jnp.sum(jnp.square(a.astype(self.largest.dtype)), axis=tuple(range(int(per_sample), a.ndim)))

        return {n: share(direction[n]) for n in direction}


def curvature(
    landscape: Landscape,
    coords: NodesIn | None = None,
    *,
    per_sample: bool = False,
    moving: Iterable[str] | None = None,
    which: Ends = "both",
    steps: int = 100,
    tolerance: float = 1e-5,
    key: int | Array = 0,
) -> Curvature:
    """Find the largest and the smallest eigenvalue of the Hessian of a batch's total energy, by Lanczos' method.

    The Hessian is only ever multiplied with vectors, each time at about the cost of two gradients; no part of it is
    kept. What is kept are the vectors, `steps` of them, each as large as the coordinates. It works under `jax.jit` and
    `jax.vmap`, as over the weights of several networks; a call outside of `jit` compiles a program, once for landscapes
    of the same structure and shapes.

    **Arguments:**

    - `landscape`: the energy over values, as `bound.landscape(targets)` gives it, or over errors, as
        `pxe.OverErrors(bound, targets)` is; or one of your own.
    - `coords`: the place, `{node: [batch, *shape]}`; by default where the landscape starts.
    - `per_sample`: whether to return those of each sample's own energy. A batch's are the outermost of its samples',
        which is how they are found, unless samples depend on each other, as behind a batch's statistics. The cost is
        the same.
    - `moving`: the nodes whose coordinates move; by default all that are free.
    - `which`: the ends that have to converge: `"both"`, `"largest"` or `"smallest"`, which takes longer where the
        condition is bad.
    - `steps`: the most products to take.
    - `tolerance`: the relative error at which to take no more.
    - `key`: a seed or a random key, for the vector to start from.

    **Returns:** a `Curvature`. Under `jit` all its numbers are NaN where an error would have been raised.

    **Raises:** `TypeError` for what is no landscape; `ValueError` for arguments that don't fit, for a landscape whose
    gradient is that of no energy, for products in 16 bits (which have no second derivative), and for
    `per_sample` where samples depend on each other, as behind a batch's statistics.
    """
    steps, key = whole("curvature", "steps", steps, 1), raw_key("curvature", key)
    tolerance = positive("curvature", "tolerance", tolerance)
    check_which(which)
    check_moving("curvature", landscape, moving)
    names = landscape.among_free(moving)

    def measured(at: NodesIn, key: Array) -> tuple[Curvature, Array, Array]:
        found = hessian(landscape, at, names)
        start = found.random(key)
        counts = jnp.any(start != 0, axis=1)  # of a sample that is clamped altogether nothing moves
        most = min(steps, found.size if per_sample else start.size)
        space = extend(
            found.product, begun(start, most, ask=True), done_with(which, tolerance, None if per_sample else counts)
        )
        odd, meet = is_odd(space, found.rows.dtypes), space.joined & per_sample
        ends = ends_of_each(space, which, tolerance) if per_sample else ends_of_all(space, which, tolerance, counts)
        ends = spoilt(ends, meet | odd)
        back = lambda v: found.rows.unflatten(v.reshape(start.shape))  # noqa: E731
        ends = ends._replace(
            largest_direction=back(ends.largest_direction), smallest_direction=back(ends.smallest_direction)
        )
        return ends, meet, odd

    found, meet, odd = at_once(measured, place("curvature", landscape, coords), key)
    check_apart("curvature", meet)
    check_symmetric("curvature", odd)
    return found


def spoilt(found: Curvature, wrong: Array) -> Curvature:
    """Return a curvature, with NaN for its numbers where they mean nothing.

    **Arguments:**

    - `found`: the curvature.
    - `wrong`: whether they mean nothing.
    """
    nan = lambda a: jnp.where(wrong, jnp.nan, a)  # noqa: E731
    return found._replace(
        largest=nan(found.largest),
        smallest=nan(found.smallest),
        largest_error=nan(found.largest_error),
        smallest_error=nan(found.smallest_error),
        converged=found.converged & ~wrong,
    )


def check_which(which: str) -> None:
    """Refuse what names no end.

    **Arguments:**

    - `which`: the ends that have to converge.

    **Raises:** `ValueError`.
    """
    if which not in get_args(Ends):
        raise ValueError(f"curvature: which is one of {', '.join(map(repr, get_args(Ends)))}, got {which!r}")


def done_with(which: Ends, tolerance: float, counts: Bool[Array, " lanes"] | None) -> Callable[[Outermost], Array]:
    """Return a function that says from the ends which lanes need not go on.

    **Arguments:**

    - `which`, `tolerance`: the ends that have to converge, and how well.
    - `counts`: which lanes count, where the ends of all together are wanted; None where each lane's are.
    """
    if counts is None:
        return lambda found: _within(which, tolerance, found)

    def done(found: Outermost) -> Array:
        return jnp.broadcast_to(_within(which, tolerance, _of_all(found, counts)[0]), found.largest.shape)

    return done


def _within(which: Ends, tolerance: float, found: Outermost) -> Array:
    # An eigenvalue below the digits that the largest leaves over is as good as 0.
    smallest, largest = jnp.abs(found.smallest), jnp.abs(found.largest)
    floor = 8 * float(jnp.finfo(largest.dtype).eps) * jnp.maximum(smallest, largest)
    lower = found.smallest_error <= jnp.maximum(tolerance * smallest, floor)
    upper = found.largest_error <= jnp.maximum(tolerance * largest, floor)
    return {"both": lower & upper, "largest": upper, "smallest": lower}[which]


def _of_all(found: Outermost, counts: Bool[Array, " lanes"]) -> tuple[Outermost, Array, Array]:
    """Return the ends of all lanes together, and the lanes that they are of."""
    bottoms, tops = jnp.where(counts, found.smallest, jnp.inf), jnp.where(counts, found.largest, -jnp.inf)
    smallest, largest = jnp.min(bottoms), jnp.max(tops)
    # What each lane's may be at most.
    low, high = smallest - jnp.min(bottoms - found.smallest_error), jnp.max(tops + found.largest_error) - largest
    return Outermost(smallest, largest, low, high), jnp.argmin(bottoms), jnp.argmax(tops)


def ends_of_each(space: Krylov, which: Ends, tolerance: float) -> Curvature:
    """Return the ends of each lane's spectrum; the directions are vectors, `[lanes, size]`.

    **Arguments:**

    - `space`: of one step at least.
    - `which`, `tolerance`: as of `done_with`.
    """
    found, vectors = outermost(space), ritz(space).vectors
    directions: Any = [vectors_of(space, vectors[:, :, end]) for end in (-1, 0)]
    return _curvature(found, which, tolerance, space.taken, directions)


def ends_of_all(space: Krylov, which: Ends, tolerance: float, counts: Bool[Array, " lanes"]) -> Curvature:
    """Return the ends of the spectrum of all lanes together; the directions are vectors, `[lanes, size]`.

    **Arguments:**

    - `space`: of one step at least.
    - `which`, `tolerance`, `counts`: as of `done_with`.
    """
    found, lowest, highest = _of_all(outermost(space), counts)

    def direction(lane: Array, end: int) -> Array:
        there = space.joined | (jnp.arange(len(counts)) == lane)
        return vectors_of(space, jnp.where(there[:, None], ritz(space, lane).vectors[:, :, end], 0))

    directions: Any = [direction(highest, -1), direction(lowest, 0)]
    return _curvature(found, which, tolerance, space.taken, directions)


def _curvature(found: Outermost, which: Ends, tolerance: float, taken: Array, directions: list[Any]) -> Curvature:
    return Curvature(
        found.largest,
        found.smallest,
        found.largest_error,
        found.smallest_error,
        _within(which, tolerance, found),
        taken,
        directions[0],
        directions[1],
    )
