"""Descent with noise, which samples."""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jaxtyping import Float, PyTree

from ..core import real
from ._descent import Descent


class LangevinState(NamedTuple):
    """The velocity of a node, `[batch, *shape]`; `()` without momentum."""

    velocity: Array | tuple[()]


class Langevin(Descent):
    """Langevin dynamics, `h <- h - n dE/dh + sqrt(2 n s^2) xi`, with xi from the standard normal distribution: a chain
    whose stationary distribution is `exp(-E / s^2)`, as n tends to 0 (Oliviers et al. 2024).

    **Arguments:**

    - `step`: n, above 0.
    - `variance`: s^2, the temperature, 0 or more; 1 samples from the model's posterior.
    - `momentum`: m in [0, 1): `v <- m v - n dE/dh + sqrt(2 n (1 - m) s^2) xi; h <- h + v`, with the same stationary
        distribution and an effective step of `n / (1 - m)`.

    **Raises:** `ValueError` for numbers out of these ranges, `TypeError` for what is no number.

    **Reference:**

    ```bibtex
    @article{oliviers2024learning,
        author  = {Gaspard Oliviers and Rafal Bogacz and Alexander Meulemans},
        title   = {Learning Probability Distributions of Sensory Inputs with Monte Carlo Predictive Coding},
        journal = {PLOS Computational Biology}, volume = {20}, number = {10}, year = {2024},
    }
    ```
    """

    def __init__(self, step: Array | float, variance: Array | float = 1.0, momentum: float = 0.0) -> None:
        real("Langevin", "momentum", momentum, lambda m: (m >= 0) & (m < 1), "in [0, 1)")
        real("Langevin", "step", step, lambda n: np.isfinite(n) & (n > 0), "positive")
        real("Langevin", "variance", variance, lambda s: np.isfinite(s) & (s >= 0), "positive or 0")
        self.step, self.variance, self.momentum = step, variance, momentum

    @property
    def random(self) -> bool:
        return True

    @property
    def temperature(self) -> Array | float | None:
        return self.variance

    def init(self, value: Float[Array, "batch ..."]) -> LangevinState:
        return LangevinState(jnp.zeros_like(value)) if self.momentum else LangevinState(())

    def update(
        self, gradient: Float[Array, "batch ..."], state: PyTree, value: Float[Array, "batch ..."], key: Array | None
    ) -> tuple[Float[Array, "batch ..."], PyTree]:
        assert key is not None
        noise = jax.random.normal(key, value.shape, value.dtype)
        scale = jnp.sqrt(2 * self.step * (1 - self.momentum) * self.variance).astype(value.dtype)
        move = -self.step * gradient + scale * noise
        if not self.momentum:
            return move, state
        move = self.momentum * state.velocity + move
        return move, LangevinState(move)
