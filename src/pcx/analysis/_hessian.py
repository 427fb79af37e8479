"""The Hessian of a landscape as a function of vectors: the derivative of the gradient along one, never a matrix."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array
from jax.core import Tracer
from jaxtyping import Bool, Float

from ..energy import Landscape, NodesIn, OverFixedErrors, Stacks, in_blocks, laid_out
from ._along import along
from ._at_once import at_once
from ._given import wrong
from ._lanczos import Krylov, Product
from ._rows import Rows


class Hessian(NamedTuple):
    """The Hessian of the total energy of a batch, in the coordinates of its nodes.

    **Attributes:**

    - `product`: with a vector, `[batch, size]` of `[batch, size]`.
    - `rows`: the form of such vectors.
    - `batch`, `size`: of such vectors.
    - `moves`: which coordinates move, `[batch, size]`; None if all do.
    """

    product: Product
    rows: Rows
    batch: int
    size: int
    moves: Float[Array, "batch size"] | None

    def random(self, key: Array) -> Float[Array, "batch size"]:
        """Return a random vector, zero where nothing moves."""
        v = jax.random.normal(key, (self.batch, self.size), self.rows.dtype)
        return v if self.moves is None else v * self.moves

    def by_lane(self, per_sample: bool) -> Product:
        """Return the product for Lanczos' method: with a lane for each sample, or with one for all."""
        if per_sample:
            return self.product
        return lambda v: self.product(v.reshape(self.batch, self.size)).reshape(v.shape)


def hessian(landscape: Landscape, at: NodesIn, names: tuple[str, ...]) -> Hessian:
    """Return a landscape's Hessian at a place.

    **Arguments:**

    - `landscape`: the energy.
    - `at`: the place, as of `place`.
    - `names`: the nodes whose coordinates move.
    """
    moves = _moves(landscape, at, names)
    arranged = landscape.arranged(at)
    blocks = landscape.blocks(names)
    here = in_blocks(blocks, arranged)
    rows = Rows.of(here)
    grad = landscape.gradient(arranged, names)
    times = along(lambda tree: in_blocks(blocks, grad(tree)), here)
    flat = rows.flatten(here)

    def product(v: Array) -> Array:
        v = v if moves is None else v * moves
        return rows.flatten(times(rows.unflatten(v)))

    return Hessian(laid_out(product, flat), rows, flat.shape[0], flat.shape[1], moves)


def _moves(landscape: Landscape, at: NodesIn, names: tuple[str, ...]) -> Array | None:
    """Return 1 for coordinates that move and 0 for those that are clamped, where nodes are clamped in part."""
    if isinstance(at, Stacks):
        return None  # which have no such nodes
    projected = landscape.project(at)
    if all(projected[n] is at[n] for n in names):
        return None
    ones = {n: jnp.ones_like(a) for n, a in at.items()}
    _, kept = jax.jvp(lambda tree: dict(landscape.project(tree)), (dict(at),), (ones,))
    return Rows.of({n: kept[n] for n in names}).flatten({n: kept[n] for n in names})


def is_odd(space: Krylov, dtypes: Iterable[Any] = ()) -> Bool[Array, ""]:
    """Return whether a matrix is seen to be not symmetric, by more than rounding explains.

    **Arguments:**

    - `space`: in which the matrix is known.
    - `dtypes`: those that products with it are computed in.
    """
    eps = max(float(jnp.finfo(dtype).eps) for dtype in (space.diagonal.dtype, *dtypes))
    return jnp.any(space.asymmetry > 30 * eps**0.75 * space.scale)


# -- at the door --------------------------------------------------------------------------------------
def place(call: str, landscape: Landscape, coords: NodesIn | None) -> NodesIn:
    """Return the coordinates of a place, with what is clamped of them where it is clamped.

    **Arguments:**

    - `call`: what to name in errors.
    - `landscape`: the energy.
    - `coords`: the place; None for the landscape's start.

    **Raises:** `TypeError` for what are no coordinates, `ValueError` for ones that don't fit.
    """
    check_coords(call, coords)
    at = landscape.begin(at_once(landscape.start) if coords is None else coords)
    landscape.check_names(call, at)
    return at


def check_coords(call: str, coords: object, name: str = "coords") -> None:
    """Refuse what are no coordinates.

    **Arguments:**

    - `call`, `name`: what to name in errors: the function and its argument.
    - `coords`: as they were given; None for those that are taken then.

    **Raises:** `TypeError`.
    """
    if coords is not None and not isinstance(coords, Mapping):
        raise wrong(call, f"{name} must be {{node: array}}, such as solution.nodes", coords)


def check_moving(call: str, landscape: Landscape, moving: Iterable[str] | None) -> None:
    """Refuse what has no Hessian.

    **Arguments:**

    - `call`: what to name in errors.
    - `landscape`: the energy.
    - `moving`: the nodes whose coordinates move; None for all free ones.

    **Raises:** `TypeError` for what is no landscape; `ValueError` for one whose steps follow no energy, and where
    nothing moves.
    """
    if not isinstance(landscape, Landscape):
        raise wrong(
            call, "a landscape is what bound.landscape(targets) gives, or pxe.OverErrors(bound, targets)", landscape
        )
    if isinstance(landscape, OverFixedErrors):
        raise ValueError(
            f"{call}: errors with fixed predictions descend on no energy: the matrix of their steps is triangular, "
            "with the precisions on its diagonal, so that every step below 2 over these is stable. Take "
            "bound.landscape(targets) or pxe.OverErrors(bound, targets) for an energy"
        )
    check_digits(call, landscape.rounding)
    if not landscape.among_free(moving):
        raise ValueError(f"{call}: no node is free to move, so that the energy has no coordinates")


def check_digits(call: str, rounding: float) -> None:
    """Refuse models with products in 16 bits: the copies that these are taken of have no derivative, so that the
    gradient is right and its derivative is not.

    **Arguments:**

    - `call`: what to name in errors.
    - `rounding`: of the model, more than 0 where it has such products.

    **Raises:** `ValueError`.
    """
    if rounding:
        raise ValueError(
            f"{call}: products in 16 bits have no second derivative; bind the model without dtype=, where it has "
            "the same curvature but for rounding"
        )


def check_apart(call: str, meet: Array) -> None:
    """Refuse samples that depend on each other, outside of `jit`.

    **Arguments:**

    - `call`: what to name in errors.
    - `meet`: whether they do.

    **Raises:** `ValueError`.
    """
    if not isinstance(meet, Tracer) and bool(meet):
        raise ValueError(
            f"{call}: the gradient of a sample depends on other samples, so that none has a curvature of its own; "
            "leave per_sample=True out, or bind the model in evaluation mode"
        )


def check_symmetric(call: str, odd: Array) -> None:
    """Refuse a matrix that is not symmetric, outside of `jit`.

    **Arguments:**

    - `call`: what to name in errors.
    - `odd`: whether it is not.

    **Raises:** `ValueError`.
    """
    if not isinstance(odd, Tracer) and bool(odd):
        raise ValueError(
            f"{call}: the derivative of the gradient is not symmetric: the landscape's gradient is that of no energy, "
            "as where a function has a derivative of its own (jax.custom_jvp) that isn't its derivative"
        )
