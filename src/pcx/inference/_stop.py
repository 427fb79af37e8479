"""Stops: when values have settled."""

from __future__ import annotations

import abc
import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
from jax.core import Tracer


@dataclasses.dataclass(frozen=True)
class Stop(abc.ABC):
    """When to stop; `steps` at most."""

    steps: int

    def __post_init__(self) -> None:
        if isinstance(self.steps, Tracer):
            raise ValueError(
                f"{type(self).__name__}: the number of steps must be known while the program is made: it can't be "
                "mapped, traced, or one of fit's settings; make a rule for each number"
            )
        if isinstance(self.steps, bool) or not isinstance(self.steps, int) or self.steps < 0:
            raise ValueError(f"{type(self).__name__}: steps must be a whole number, 0 or more, got {self.steps!r}")

    early = False

    def reached(self, energy: jax.Array, before: jax.Array, gradient: dict[str, Any]) -> jax.Array:
        """Whether each sample has settled, `[batch]`.

        **Arguments:**

        - `energy`, `before`: each sample's energy now and a step ago, `[batch]`; infinite before the first step.
        - `gradient`: the gradient of this very step, by node.
        """
        raise NotImplementedError


@dataclasses.dataclass(frozen=True)
class Steps(Stop):
    """A fixed number of steps."""


@dataclasses.dataclass(frozen=True)
class Plateau(Stop):
    """A sample stops when a step changed its energy E by no more than `atol + rtol * |E|`."""

    rtol: float = 1e-4
    atol: float = 0.0
    early = True

    def reached(self, energy: jax.Array, before: jax.Array, gradient: dict[str, Any]) -> jax.Array:
        return jnp.abs(energy - before) <= self.atol + self.rtol * jnp.abs(energy)


@dataclasses.dataclass(frozen=True)
class GradientNorm(Stop):
    """A sample stops when the Euclidean norm of its gradient over all free nodes is at most `tol`."""

    tol: float = 1e-4
    early = True

    def reached(self, energy: jax.Array, before: jax.Array, gradient: dict[str, Any]) -> jax.Array:
        squares = [jnp.sum(jnp.square(g), axis=tuple(range(1, g.ndim))) for g in gradient.values()]
        return jnp.sqrt(sum(squares[1:], squares[0])) <= self.tol
