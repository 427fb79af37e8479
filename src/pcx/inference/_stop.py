"""Stops: the conditions under which values have settled."""

from __future__ import annotations

import abc
import dataclasses
from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.core import Tracer
from jaxtyping import Bool, Float

from ..core import not_negative, whole
from ..energy import Nodes, blocks_of


@dataclasses.dataclass(frozen=True)
class Stop(abc.ABC):
    """The condition under which values have settled. One of your own says `early = True` in its class, and `reached`.

    **Arguments:**

    - `steps`: the most steps that are taken, 0 or more.

    **Attributes:**

    - `early`: whether `reached` is asked, at every step.
    - `waits`: whether it is not asked before the error can have reached every node.

    **Raises:** `ValueError` for steps that are no whole number.
    """

    steps: Any  # an int from here on, given as a whole number of any library

    def __post_init__(self) -> None:
        if isinstance(self.steps, Tracer):
            raise ValueError(
                f"{type(self).__name__}: the number of steps must be known while the program is made: it can't be "
                "mapped, traced, or one of fit's settings; make a rule for each number"
            )
        steps = whole(type(self).__name__, "steps", self.steps, 0)
        object.__setattr__(self, "steps", steps)

    early = False
    waits = True

    def reached(
        self, energy: Float[Array, " batch"], before: Float[Array, " batch"], gradient: Nodes
    ) -> Bool[Array, " batch"]:
        """Return whether each sample has settled.

        **Arguments:**

        - `energy`, `before`: each sample's energy now and a step ago, `[batch]`; infinite before the first step.
        - `gradient`: the gradient of this very step, `{node: [batch, *shape]}`.

        **Returns:** a boolean for each sample.
        """
        raise NotImplementedError


@dataclasses.dataclass(frozen=True)
class Steps(Stop):
    """A fixed number of steps.

    **Arguments:**

    - `steps`: the number, 0 or more.
    """


@dataclasses.dataclass(frozen=True)
class Plateau(Stop):
    """A sample stops when its energy E has stopped changing: when a step changed it by no more than `atol + rtol *
    |E|`, and a step of rate 1 would, to first order, change it by no more than that either. The second, that the
    squared norm of its gradient is no larger, keeps a small rate from passing for rest. No sample stops before the
    error can have reached all of its nodes.

    **Arguments:**

    - `steps`: the most that are taken, 0 or more.
    - `rtol`: the relative tolerance, 0 or more.
    - `atol`: the absolute tolerance, 0 or more.

    **Raises:** `ValueError` or `TypeError` for numbers that are not.
    """

    rtol: float = 1e-4
    atol: float = 0.0
    early = True

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("rtol", "atol"):
            not_negative("Plateau", name, getattr(self, name))

    def reached(
        self, energy: Float[Array, " batch"], before: Float[Array, " batch"], gradient: Nodes
    ) -> Bool[Array, " batch"]:
        allowed = self.atol + self.rtol * jnp.abs(energy)
        return (jnp.abs(energy - before) <= allowed) & (_squares(gradient).astype(allowed.dtype) <= allowed)


@dataclasses.dataclass(frozen=True)
class GradientNorm(Stop):
    """A sample stops when the Euclidean norm of its gradient over all free nodes is at most `tol`.

    **Arguments:**

    - `steps`: the most that are taken, 0 or more.
    - `tol`: the largest norm at rest, 0 or more.

    **Raises:** `ValueError` or `TypeError` for numbers that are not.
    """

    tol: float = 1e-4
    early = True
    waits = False  # where the error has not come the gradient is zero, and will be if nothing moves on the way

    def __post_init__(self) -> None:
        super().__post_init__()
        not_negative("GradientNorm", "tol", self.tol)

    def reached(
        self, energy: Float[Array, " batch"], before: Float[Array, " batch"], gradient: Nodes
    ) -> Bool[Array, " batch"]:
        return jnp.sqrt(_squares(gradient)) <= self.tol


def _squares(gradient: Nodes) -> Float[Array, " batch"]:
    """Return each sample's squared norm over all nodes."""
    squares = []
    for names, g in blocks_of(gradient):
        batch = int(len(names) > 1)  # a stack has an axis before it
        axes = tuple([i for i in range(g.ndim) if i != batch])
        squares.append(jnp.sum(jnp.square(g), axis=axes, dtype=jnp.promote_types(g.dtype, jnp.float32)))
    return sum(squares[1:], squares[0])


def as_stop(call: str, x: object, least: int = 0, name: str = "stop") -> Stop:
    """Return a stop, from one or from a number of steps.

    **Arguments:**

    - `call`: what to name in errors.
    - `x`: the stop.
    - `least`: the fewest steps that make sense.
    - `name`: what the caller calls the stop.

    **Raises:** `TypeError` or `ValueError` for anything else.
    """
    if not isinstance(x, Stop):
        if isinstance(x, type) or not (isinstance(x, (int, np.integer, Tracer)) or hasattr(x, "__index__")):
            raise TypeError(
                f"{call}: {name} must be a whole number of steps or a pcx.inference.Stop, such as pxi.Plateau(100), "
                f"got {x!r}"
            )
        steps: Any = x if isinstance(x, Tracer) else whole(call, name, x, least)
        x = Steps(steps)
    asks = type(x).reached is not Stop.reached
    if asks != bool(x.early):
        wrong = (
            "has a method reached, which is only asked with" if asks else "has no method reached, which is asked with"
        )
        raise TypeError(f"{call}: {type(x).__name__} {wrong} `early = True` in its class")
    if x.steps < least:
        raise ValueError(f"{call}: {name} must be at least {least}, a whole number, got {x.steps}")
    return x
