"""The whole spectrum of a Hessian, by Lanczos quadrature."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array, lax
from jaxtyping import Float

from ..core import positive, raw_key, whole
from ..energy import Landscape, NodesIn
from ._at_once import at_once
from ._hessian import check_apart, check_moving, check_symmetric, hessian, is_odd, place
from ._lanczos import begun, extend, ritz


class Spectrum(NamedTuple):
    """A distribution that stands for the eigenvalues of a Hessian: a few values with weights, for each of several
    random vectors.

    **Attributes:**

    - `values`: in ascending order, `[probes, steps]`; `[probes, batch, steps]` of each sample by itself.
    - `weights`: the share of all eigenvalues that each stands for, likewise; they add up to 1 over the steps.
    """

    values: Float[Array, "probes *batch steps"]
    weights: Float[Array, "probes *batch steps"]

    def density(self, at: Float[Array, " points"], width: float | Array) -> Float[Array, " points"]:
        """Return the density of eigenvalues, each of them widened to a normal distribution.

        **Arguments:**

        - `at`: the points, `[points]`.
        - `width`: the standard deviation, a scalar.

        **Returns:** the density at these points, with an area of 1, `[points]`.

        **Raises:** `ValueError` for a width of 0 or less.
        """
        width = positive("density", "width", width)
        return _normals(self.values, self.weights, jnp.asarray(at), width)

    def density_of_logs(self, at: Float[Array, " points"], width: float | Array) -> Float[Array, " points"]:
        """Return the density of the eigenvalues' logarithms to base 10; those that are not above 0 have none.

        **Arguments:**

        - `at`: the points, powers of 10, `[points]`.
        - `width`: the standard deviation, in powers of 10, a scalar.

        **Returns:** the density by powers of 10; its area is the share of the eigenvalues above 0, `[points]`.

        **Raises:** `ValueError` for a width of 0 or less.
        """
        width = positive("density_of_logs", "width", width)
        up = self.values > 0
        logs = jnp.log10(jnp.where(up, self.values, 1))
        return _normals(logs, jnp.where(up, self.weights, 0), jnp.asarray(at), width)

    def moment(self, power: int) -> Float[Array, ""]:
        """Return the mean of a power of the eigenvalues: of power 1, the Hessian's trace over its size.

        **Arguments:**

        - `power`: a whole number, 0 or more.

        **Returns:** a scalar.

        **Raises:** `ValueError` for another power.
        """
        power = whole("moment", "power", power, 0)
        return jnp.mean(jnp.sum(self.weights * self.values**power, axis=-1))


def spectrum(
    landscape: Landscape,
    coords: NodesIn | None = None,
    *,
    per_sample: bool = True,
    moving: Iterable[str] | None = None,
    probes: int = 4,
    steps: int = 48,
    key: int | Array = 0,
) -> Spectrum:
    """Estimate how the eigenvalues of the Hessian of a batch's total energy are distributed, by stochastic Lanczos
    quadrature: from random vectors, each of which gives `steps` values with weights whose first `2 steps` moments are
    those of the eigenvalues, in expectation.

    **Arguments:**

    - `landscape`, `coords`, `moving`: see `curvature`.
    - `per_sample`: whether each sample has vectors of its own, which costs the same and says more; False where samples
        depend on each other, as behind a batch's statistics.
    - `probes`: the number of random vectors.
    - `steps`: the number of products with the Hessian for each; so many vectors are kept at a time.
    - `key`: a seed or a random key, for the vectors.

    **Returns:** a `Spectrum`. Under `jit` all its numbers are NaN where an error would have been raised.

    **Raises:** as `curvature`: `TypeError` and `ValueError`.
    """
    steps, probes = whole("spectrum", "steps", steps, 1), whole("spectrum", "probes", probes, 1)
    key = raw_key("spectrum", key)
    check_moving("spectrum", landscape, moving)
    names = landscape.among_free(moving)

    def measured(at: NodesIn, key: Array) -> tuple[Spectrum, Array, Array]:
        found = hessian(landscape, at, names)

        def probe(key: Array) -> tuple[Array, Array, Array, Array]:
            start = found.random(key)
            lanes = start if per_sample else start.reshape(1, -1)
            space = begun(lanes, min(steps, lanes.shape[1]), ask=per_sample)
            space = extend(found.by_lane(per_sample), space)
            quadrature, odd = ritz(space), is_odd(space, found.rows.dtypes)
            return quadrature.values, jnp.square(quadrature.vectors[:, 0, :]), odd, space.joined

        keys = jax.random.split(key, probes)
        values, weights, odds, meets = lax.map(probe, keys)
        if not per_sample:
            values, weights = values[:, 0], weights[:, 0]
        odd, meet = jnp.any(odds), jnp.any(meets)
        return Spectrum(jnp.asarray(jnp.where(odd | meet, jnp.nan, values)), jnp.asarray(weights)), meet, odd

    found, meet, odd = at_once(measured, place("spectrum", landscape, coords), key)
    check_apart("spectrum", meet)
    check_symmetric("spectrum", odd)
    return found


def _normals(values: Array, weights: Array, at: Array, width: float | Array) -> Array:
    """Return the sum of normal distributions at some points, over all values, with an area of 1 if the weights of each
    vector add up to 1."""
    count = values.size // values.shape[-1]

    def one(point: Array) -> Array:
        z = (point - values) / width
        return jnp.sum(weights * jnp.exp(-0.5 * z * z)) / (width * jnp.sqrt(2 * jnp.pi) * count)

    return lax.map(one, at)
