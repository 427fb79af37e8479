"""Descents: how values move along the gradient of the energy."""

from __future__ import annotations

import abc
from collections.abc import Callable, Hashable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import jax.tree_util as jtu
import optax
from jax.core import Tracer

from ..core._key import static_key

Values = Mapping[str, Any]
Gradient = Callable[[Values], dict[str, Any]]


class Descent(abc.ABC):
    """How values move. Every node has a state of its own, so that nodes may start to move at different steps."""

    def __static_key__(self) -> Hashable:
        return (type(self), static_key(vars(self)))

    @abc.abstractmethod
    def init(self, value: jax.Array) -> Any:
        """The state of a node with `value`, `[batch, *shape]`, that has not moved yet."""

    @abc.abstractmethod
    def update(self, gradient: jax.Array, state: Any, value: jax.Array, key: jax.Array | None) -> tuple[Any, Any]:
        """How far a node moves, `[batch, *shape]`, and its next state.

        **Arguments:**

        - `gradient`: of the energy summed over the batch, with respect to the node's value.
        - `key`: a random key; None if the descent is not random.
        """

    @property
    def random(self) -> bool:
        """Whether steps draw random numbers."""
        return False

    @property
    def temperature(self) -> Any:
        """What its noise holds values at, as in `exp(-E / temperature)`: 0 without noise, None if that isn't known."""
        return None if self.random else 0.0

    def idle(self, value: jax.Array, steps: int) -> list[Any] | None:
        """The states of a node after 0, 1, ..., `steps` steps with zero gradient; None if such a step can move it, or
        if that can't be known. Nodes that no error has reached yet need no work if it is known. Of `value`, its shape
        and dtype count."""
        return None


class Optax(Descent):
    """Any Optax transformation, applied to each node by itself.

    **Arguments:**

    - `transformation`: such as `optax.sgd(0.1, momentum=0.5)`. State gradients come from the sum of energies over the
        batch, so rates don't depend on its size.
    """

    def __init__(self, transformation: optax.GradientTransformation) -> None:
        if not (hasattr(transformation, "init") and hasattr(transformation, "update")):
            raise TypeError(
                f"expected an optax transformation, such as optax.sgd(0.1), got {type(transformation).__name__}"
            )
        self.transformation = transformation

    def init(self, value: jax.Array) -> Any:
        return self.transformation.init(value)

    def update(self, gradient: jax.Array, state: Any, value: jax.Array, key: jax.Array | None) -> tuple[Any, Any]:
        return self.transformation.update(gradient, state, value)

    def idle(self, value: jax.Array, steps: int) -> list[Any] | None:
        # Tried on a small array of ones. A leaf of the state with the small array's shape must be uniform, and stands
        # for the leaf of the node; all others (counts, rates) don't depend on the shape.
        shape, like = (2,), jax.eval_shape(self.init, value)
        try:
            with jax.ensure_compile_time_eval():
                small = jnp.ones(shape, value.dtype)
                zero = jnp.zeros(shape, value.dtype)
                state = self.init(small)
                states = [state]
                for _ in range(steps):
                    update, state = self.transformation.update(zero, state, small)
                    if any(isinstance(a, Tracer) for a in jtu.tree_leaves((update, state))):
                        return None  # a rate that is itself being mapped or traced
                    if bool(jnp.any(update != 0)):
                        return None
                    states.append(state)
                return [jtu.tree_map(lambda a, b: _grown(a, b, shape), s, like) for s in states]
        except (jax.errors.ConcretizationTypeError, _Unlike, ValueError, TypeError):
            return None


class _Unlike(Exception):
    pass


def _grown(small: Any, like: Any, shape: tuple[int, ...]) -> Any:
    small = jnp.asarray(small)
    if small.shape == like.shape:
        return small
    if small.shape != shape or bool(jnp.any(small != small[0])):
        raise _Unlike
    return jnp.broadcast_to(small[0], like.shape)


class LangevinState(NamedTuple):
    """The velocity of a node, `[batch, *shape]`."""

    velocity: Any


class Langevin(Descent):
    """Langevin dynamics, `h <- h - n dE/dh + sqrt(2 n s^2) xi`, with xi from the standard normal distribution: a chain
    whose stationary distribution is `exp(-E / s^2)`, as n tends to 0 (Oliviers et al. 2024).

    **Arguments:**

    - `step`: n, above 0.
    - `variance`: s^2, the temperature; 1 samples from the model's posterior.
    - `momentum`: m in [0, 1): `v <- m v - n dE/dh + sqrt(2 n (1 - m) s^2) xi; h <- h + v`, with the same stationary
        distribution and an effective step of `n / (1 - m)`.
    """

    def __init__(self, step: Any, variance: Any = 1.0, momentum: float = 0.0) -> None:
        if isinstance(momentum, (int, float)) and not 0 <= momentum < 1:
            raise ValueError(f"Langevin: momentum must be in [0, 1), got {momentum}")
        for name, value in (("step", step), ("variance", variance)):
            if isinstance(value, (int, float)) and (value < 0 or (name == "step" and value == 0)):
                raise ValueError(f"Langevin: {name} must be positive, got {value}")
        self.step, self.variance, self.momentum = step, variance, momentum

    @property
    def random(self) -> bool:
        return True

    @property
    def temperature(self) -> Any:
        return self.variance

    def init(self, value: jax.Array) -> Any:
        return LangevinState(jnp.zeros_like(value)) if self.momentum else LangevinState(())

    def update(self, gradient: jax.Array, state: Any, value: jax.Array, key: jax.Array | None) -> tuple[Any, Any]:
        assert key is not None
        noise = jax.random.normal(key, value.shape, value.dtype)
        scale = jnp.sqrt(2 * self.step * (1 - self.momentum) * self.variance).astype(value.dtype)
        move = -self.step * gradient + scale * noise
        if not self.momentum:
            return move, state
        move = self.momentum * state.velocity + move
        return move, LangevinState(move)


def as_descent(call: str, x: Any) -> Descent:
    """A descent, from one or from an Optax transformation."""
    if isinstance(x, Descent):
        return x
    if hasattr(x, "init") and hasattr(x, "update"):
        return Optax(x)
    raise TypeError(f"{call}: expected an optax transformation or a pcx.inference.Descent, got {type(x).__name__}")
