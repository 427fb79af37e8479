"""Energies of other noise than Gaussian: with heavy tails, or of counts."""

from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp

from ._energy import Energy


@dataclasses.dataclass(frozen=True)
class Huber(Energy):
    """Squared error of small errors, absolute error of large ones. With `e = h - u`,

    `0.5 * e**2` where `|e| <= delta`, else `delta * (|e| - 0.5 * delta)`:

    no element pulls with more than `delta`, whatever its error.

    Source: Huber, "Robust estimation of a location parameter", Annals of Mathematical Statistics 35(1), 1964.

    **Arguments:**

    - `delta`: the error from which on the energy is linear, above 0.

    **Raises:** `ValueError` for another delta.
    """

    delta: float = 1.0

    def __post_init__(self) -> None:
        if not self.delta > 0:
            raise ValueError(f"Huber: delta must be above 0, got {self.delta!r}")

    def elements(self, h: jax.Array, u: jax.Array) -> jax.Array:
        """Return the energy of each element; arguments and shapes as in `Energy.elements`."""
        size = jnp.abs(h - u)
        return jnp.where(size <= self.delta, 0.5 * jnp.square(h - u), self.delta * (size - 0.5 * self.delta))

    def nudged(self, u: jax.Array, y: jax.Array, b: float | jax.Array) -> jax.Array:
        """Return `u + b * clip(y - u, -delta, delta)`; arguments and shapes as in `Energy.nudged`. For `|b| <= 1`."""
        return u + b * jnp.clip(y - u, -self.delta, self.delta)


@dataclasses.dataclass(frozen=True)
class Laplace(Energy):
    """Absolute error `|h - u|`: the negative log-likelihood of Laplace noise of scale 1, but for a constant.

    Each element pulls with 1 whatever its error, so values settle by steps of one length and end by going to and fro:
    use it at outputs, or with small rates that fall. Where the error is zero, so is the gradient.
    """

    def elements(self, h: jax.Array, u: jax.Array) -> jax.Array:
        """Return `|h - u|`; arguments and shapes as in `Energy.elements`."""
        e = h - u
        return e * jnp.sign(e)  # unlike that of abs in JAX, the gradient at zero is zero


@dataclasses.dataclass(frozen=True)
class Poisson(Energy):
    """Negative log-likelihood of counts, `exp(u) - h * u`, but for a term of h alone: u predicts the logarithm of the
    rate, h is a count.

    For output nodes, which are clamped to counts. As a function of h it is linear, so a node that settles would run
    away.
    """

    def elements(self, h: jax.Array, u: jax.Array) -> jax.Array:
        """Return `exp(u) - h * u`; arguments and shapes as in `Energy.elements`."""
        return jnp.exp(u) - h * u

    def nudged(self, u: jax.Array, y: jax.Array, b: float | jax.Array) -> jax.Array:
        """Return `r - b * (r - y)` with the rate `r = exp(u)`; arguments and shapes as in `Energy.nudged`."""
        rate = jnp.exp(u)
        return rate - b * (rate - y)
