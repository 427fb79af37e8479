"""The interface of descents: how values move along the gradient of the energy."""

from __future__ import annotations

import abc
from collections.abc import Hashable, Iterable

import jax
from jax import Array
from jaxtyping import Float, PyTree

from ..core import static_key


class Descents(abc.ABC):
    """The descents of all nodes, one for each."""

    def __static_key__(self) -> Hashable:
        return (type(self), static_key(vars(self)))

    @abc.abstractmethod
    def at(self, node: str) -> Descent:
        """Return the descent of one node.

        **Arguments:**

        - `node`: its name.

        **Returns:** the `Descent`.
        """

    def kind(self, node: str) -> Hashable:
        """Return what is equal for nodes that move alike.

        **Arguments:**

        - `node`: its name.

        **Returns:** what can be compared.
        """
        return static_key(self.at(node))

    @property
    def random(self) -> bool:
        """True if steps draw random numbers."""
        return False

    @property
    def temperature(self) -> Array | float | None:
        """The temperature at which noise keeps the values, as in `exp(-E / temperature)`: 0 without noise, None if it
        isn't known."""
        return None if self.random else 0.0

    @property
    def named(self) -> tuple[str, ...]:
        """The names of the nodes that it has an entry of their own for; none if it is made for any node."""
        return ()

    def check(self, call: str, free: Iterable[str], nodes: Iterable[str]) -> None:  # noqa: B027
        """Refuse, in the name of `call`, nodes that the descents are not made for.

        **Arguments:**

        - `call`: what to name in errors.
        - `free`: the names of the nodes that move.
        - `nodes`: those of all nodes.

        **Raises:** `ValueError`, with the names.
        """


class Descent(Descents):
    """The movement of values by steps along a gradient. One of your own says `init` and `update`, and `idle` if it can.

    Every node has a state of its own, so that nodes may start to move at different steps.
    """

    def at(self, node: str) -> Descent:
        return self

    def kind(self, node: str) -> Hashable:
        return None  # one for all

    @abc.abstractmethod
    def init(self, value: Float[Array, "batch ..."]) -> PyTree:
        """Return the state of a node that has not moved yet.

        **Arguments:**

        - `value`: the node's, `[batch, *shape]`.

        **Returns:** a tree of arrays.
        """

    @abc.abstractmethod
    def update(
        self, gradient: Float[Array, "batch ..."], state: PyTree, value: Float[Array, "batch ..."], key: Array | None
    ) -> tuple[Float[Array, "batch ..."], PyTree]:
        """Return how far a node moves in a step, and its next state.

        **Arguments:**

        - `gradient`: of the energy summed over the batch, with respect to the node's value, `[batch, *shape]`.
        - `state`: the node's.
        - `value`: the node's, `[batch, *shape]`.
        - `key`: a random key; None if the descent is not random.

        **Returns:** what is added to the value, `[batch, *shape]`, and the state.
        """

    def idle(self, value: Array | jax.ShapeDtypeStruct, steps: int) -> list[PyTree] | None:
        """Return the states of a node that steps with zero gradient leave behind; nodes that no error has reached yet
        need no work then.

        **Arguments:**

        - `value`: the node's, `[batch, *shape]`, of which only shape and dtype count; or these.
        - `steps`: their number.

        **Returns:** the states after 0, 1, ..., `steps` steps. None unless it is proved that such a step moves no node,
        and that these states are the same whatever its value.
        """
        return None

    def first_move(self, value: Array | jax.ShapeDtypeStruct, felt: int, most: int) -> int:
        """Return the first step, from 0, at which a node may move that has no gradient before the step `felt`. Until
        then it has no error of its own, so that others feel none.

        **Arguments:**

        - `value`: the node's, `[batch, *shape]`, of which only shape and dtype count; or these.
        - `felt`: the step, from 0, at which its gradient may first be other than zero.
        - `most`: the number of steps.

        **Returns:** `felt`, unless it is proved that whatever its gradient is it moves later.
        """
        return felt

    def never_moves(self, value: Array | jax.ShapeDtypeStruct, steps: int) -> bool:
        """Return whether it is proved that no step moves a node, whatever its gradient, as with a rate of 0.

        **Arguments:**

        - `value`: the node's, `[batch, *shape]`, of which only shape and dtype count; or these.
        - `steps`: the number of steps, from the first on.

        **Returns:** True if it is proved, or else False.
        """
        return False
