"""Descents: how values move along the gradient of the energy."""

from __future__ import annotations

import abc
import functools
import inspect
import types
from collections.abc import Callable, Hashable, Iterable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import jax.tree_util as jtu
import numpy as np
import optax

from ..core import static_key
from ._numbers import real
from ._proof import apart, idle_states

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

    def at(self, node: str) -> Descent:
        """The descent of one node, by name."""
        return self

    def check(self, call: str, free: Iterable[str], nodes: Iterable[str]) -> None:  # noqa: B027
        """Refuse, in the name of `call`, nodes that it is not made for: `free` those that move, `nodes` all.

        **Raises:** `ValueError`, with the names.
        """

    def idle(self, value: jax.Array | jax.ShapeDtypeStruct, steps: int) -> list[Any] | None:
        """The states of a node after 0, 1, ..., `steps` steps with zero gradient; None unless it is proved that such a
        step moves no node, and that these states are the same whatever its value. Nodes that no error has reached yet
        need no work then. Of `value`, its shape and dtype count."""
        return None


class Optax(Descent):
    """Any Optax transformation, applied to each node and each sample by itself: what it takes the norm, the mean or the
    largest of is one sample's value.

    **Arguments:**

    - `transformation`: such as `optax.sgd(0.1, momentum=0.5)`. State gradients come from the sum of energies over the
        batch, so rates don't depend on its size.
    """

    def __init__(self, transformation: optax.GradientTransformation) -> None:
        if not _is_transformation(transformation):
            raise TypeError(
                f"expected an optax transformation, such as optax.sgd(0.1), got {type(transformation).__name__}"
            )
        self.transformation = transformation
        self._apart: dict[Any, bool] = {}  # by shape and dtype: whether samples may be handed over together

    def __static_key__(self) -> Hashable:
        return (type(self), static_key(self.transformation))

    def init(self, value: jax.Array) -> Any:
        if self._together(value):
            return self.transformation.init(value)
        return jax.vmap(self.transformation.init)(value)

    def update(self, gradient: jax.Array, state: Any, value: jax.Array, key: jax.Array | None) -> tuple[Any, Any]:
        if self._together(value):
            return self.transformation.update(gradient, state, value)
        return jax.vmap(self.transformation.update)(gradient, state, value)

    def idle(self, value: jax.Array | jax.ShapeDtypeStruct, steps: int) -> list[Any] | None:
        # Of one sample; all samples wait alike.
        one = jax.ShapeDtypeStruct((1, *value.shape[1:]) if self._together(value) else value.shape[1:], value.dtype)
        like = jax.eval_shape(self.init, jax.ShapeDtypeStruct(value.shape, value.dtype))
        states = idle_states(self.transformation.init, self.transformation.update, one, steps)
        if states is None:
            return None
        return [jtu.tree_map(lambda a, b: jnp.broadcast_to(a, b.shape), s, like) for s in states]

    def _together(self, value: Any) -> bool:
        form = value.shape, value.dtype
        if form not in self._apart:
            try:
                self._apart[form] = apart(self.transformation.init, self.transformation.update, value)
            except TypeError as e:
                if "'value'" not in str(e) and "'value_fn'" not in str(e):
                    raise
                raise TypeError(
                    "the transformation of the values wants to be told the loss (`value=`), which is for those of "
                    f"weights: {e}"
                ) from e
        return self._apart[form]


class ByNode(Descent):
    """A descent of its own for each node.

    **Arguments:**

    - `choose`: a dict from the names of all nodes that move to descents or Optax transformations, or a function that
        gives one for a name.
    - `call`: what to name in errors.
    """

    def __init__(self, choose: Mapping[str, Any] | Callable[[str], Any], call: str = "ByNode") -> None:
        self.call = call
        self.choose: Any = choose
        if isinstance(choose, Mapping):
            if not choose:
                raise ValueError(f"{call}: the dict of transformations by node is empty")
            self.choose = {n: _of_node(call, n, x) for n, x in choose.items()}
        self._made: dict[str, Descent] = {}

    def __static_key__(self) -> Hashable:
        return (type(self), static_key(self.choose))

    def at(self, node: str) -> Descent:
        if isinstance(self.choose, Mapping):
            return self.choose[node]
        if node not in self._made:
            made = _of_node(self.call, node, self.choose(node))
            if made.random:  # whether a step needs a key is asked before the nodes are known
                raise ValueError(f"{self.call}: the values of {node!r} draw random numbers: give a dict by node")
            self._made[node] = made
        return self._made[node]

    def check(self, call: str, free: Iterable[str], nodes: Iterable[str]) -> None:
        free, nodes = tuple(free), tuple(nodes)
        if isinstance(self.choose, Mapping):
            unknown = [n for n in self.choose if n not in nodes]
            if unknown:
                raise ValueError(
                    f"{call}: the values' transformations name {unknown[0]!r}; the nodes are {_listed(nodes)}"
                )
            missing = [n for n in free if n not in self.choose]
            if missing:
                raise ValueError(
                    f"{call}: the values' transformations, given by node, lack {_listed(missing)}; the nodes that move "
                    f"are {_listed(free)}"
                )
        for name in free:
            self.at(name)

    @property
    def random(self) -> bool:
        return isinstance(self.choose, Mapping) and any(d.random for d in self.choose.values())

    def init(self, value: jax.Array) -> Any:
        raise TypeError("ByNode: ask for the descent of a node, by at(name)")

    def update(self, gradient: jax.Array, state: Any, value: jax.Array, key: jax.Array | None) -> tuple[Any, Any]:
        raise TypeError("ByNode: ask for the descent of a node, by at(name)")


def _of_node(call: str, node: str, x: Any) -> Descent:
    if not (isinstance(x, Descent) or _is_transformation(x)) or isinstance(x, ByNode) or hasattr(x, "integrate"):
        raise TypeError(
            f"{call}: the values of {node!r} need an optax transformation or a pcx.inference.Descent that takes steps, "
            f"got {type(x).__name__}"
        )
    return x if isinstance(x, Descent) else Optax(x)


def _listed(names: Iterable[str]) -> str:
    return ", ".join(names)


def _is_transformation(x: Any) -> bool:
    return callable(getattr(x, "init", None)) and callable(getattr(x, "update", None)) and not isinstance(x, type)


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
        real("Langevin", "momentum", momentum, lambda m: (m >= 0) & (m < 1), "in [0, 1)")
        real("Langevin", "step", step, lambda n: np.isfinite(n) & (n > 0), "positive")
        real("Langevin", "variance", variance, lambda s: np.isfinite(s) & (s >= 0), "positive or 0")
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


def _takes_a_name(x: Any) -> bool:
    """Whether `x` is a function of one argument, and none of those that make a transformation of a rate."""
    if not isinstance(x, (types.FunctionType, types.MethodType, functools.partial)):
        return False
    made = x.func if isinstance(x, functools.partial) else x
    if (getattr(made, "__module__", None) or "").split(".")[0] == "optax":
        return False
    try:
        inspect.signature(x).bind("name")
    except (TypeError, ValueError):
        return False
    return True


def as_descent(call: str, x: Any) -> Descent:
    """A descent, from one, from an Optax transformation, or from one of these for each node (a dict by name, or a
    function of the name)."""
    if isinstance(x, Descent):
        return x
    if _is_transformation(x):
        return Optax(x)
    if isinstance(x, Mapping) or _takes_a_name(x):
        return ByNode(x, call)
    raise TypeError(
        f"{call}: expected an optax transformation or a pcx.inference.Descent, got {type(x).__name__}. For each node "
        "its own: a dict of these by node, or a function that gives one for a node's name"
    )
