"""One step of settling, as every loop takes it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jaxtyping import Int, PyTree

from ..energy import (
    Block,
    Gradient,
    Landscape,
    Nodes,
    NodesIn,
    Stacks,
    Sweep,
    Weights,
    blocks_of,
    blockwise,
    gathered,
    mapped,
    regrouped,
    updated,
)
from ._descent import Descents
from ._idle import Idle
from ._wave import Wave


class Stepped(NamedTuple):
    """The outcome of one step.

    **Attributes:**

    - `nodes`: the coordinates of all free nodes, `{node: [batch, *shape]}`.
    - `states`: those of the descent, by node.
    - `grads`: the gradients of the nodes that moved, `{node: [batch, *shape]}`.
    """

    nodes: Nodes
    states: Weights
    grads: Nodes


def take_step(
    landscape: Landscape,
    descent: Descents,
    groups: Sequence[Sequence[str]],
    nodes: NodesIn,
    states: Mapping[str, PyTree],
    step: Int[Array, ""] | int,
    *,
    key: Array | None = None,
    grad: Gradient | None = None,
    wave: Wave | None = None,
    sweep: Sweep | None = None,
    idle: Idle | None = None,
) -> Stepped:
    """Move nodes by one step of a descent, one group after the other.

    **Arguments:**

    - `landscape`: the energy as a function of the free nodes.
    - `descent`: how they move.
    - `groups`: the names of those that move; the nodes of a group move together.
    - `nodes`: the coordinates of all free nodes, `{node: [batch, *shape]}`.
    - `states`: those of the descent, of the nodes that move at least.
    - `step`: the number of steps before this one.
    - `key`: for descents that draw random numbers.
    - `grad`: the gradient by the nodes of the only group, if `landscape.gradient` was asked before; otherwise it is
        asked here, for each group at the newest coordinates.
    - `wave`: when errors come to nodes; before that a gradient is exactly zero.
    - `sweep`: the steps of all nodes by a loop over equal layers, if they move so; there are no gradients then.
    - `idle`: the states of nodes that such a loop has left out.

    **Returns:** the new coordinates and states, and the gradients.
    """
    if sweep is not None and isinstance(nodes, Stacks):
        return Stepped(*sweep.step(nodes, states, _move(landscape, descent, key, wave, step, idle), step), {})
    values: Any = nodes if isinstance(nodes, Stacks) else dict(nodes)
    kept: Any = states
    grads: Any = {}
    place = {name: i for i, name in enumerate(landscape.names)}
    for group in groups:
        found: Any = (grad or landscape.gradient(values, group))(values)
        blocks = landscape.blocks(group, descent.kind)
        if isinstance(found, Stacks):
            found = found if found.blocks == blocks else regrouped(blocks, found)
        else:
            for name in group:
                _check_shape(f"{type(landscape).__name__}.gradient", name, found.get(name), values[name])
            found = {n: found[n] for n in group}
        if wave is not None:
            found = blockwise(found, lambda names, g: wave.felt(names, g, step))
        moved: list[Array] = []
        new: list[PyTree] = []
        for names, g in blocks_of(found):
            own, value, state = descent.at(names[0]), gathered(names, values), gathered(names, kept)
            draw = _draws(key, [place[n] for n in names]) if key is not None and descent.random else None
            update, state = mapped(own.update, names, (0, 0, 0, None if draw is None else 0))(g, state, value, draw)
            _check_shape(f"{type(own).__name__}.update", names[0], update, value)
            moved.append(value + update.astype(value.dtype))
            new.append(state)
        values = updated(values, landscape.project(_like(found, moved)))
        kept, grads = updated(kept, _like(found, new)), updated(grads, found)
    return Stepped(values, kept, grads)


def _move(
    landscape: Landscape,
    descent: Descents,
    key: Array | None,
    wave: Wave | None,
    step: Int[Array, ""] | int,
    idle: Idle | None,
) -> Callable[..., tuple[Array, PyTree]]:
    """Return how a node moves in a sweep, see `pcx.energy.Move`."""
    place = {name: i for i, name in enumerate(landscape.names)}

    def move(
        block: Block, i: Array | None, first: Array | None, grad: Array, value: Array, state: PyTree
    ) -> tuple[Array, PyTree]:
        if first is not None and idle is not None:
            state = idle.at(block[0], state, step, first)
        if wave is not None:
            grad = wave.felt(block, grad, step, i)
        own, draw = descent.at(block[0]), None
        if key is not None and descent.random:
            places = jnp.asarray([place[n] for n in block], jnp.uint32)
            draw = jax.random.fold_in(key, places[0 if i is None else i])
        update, state = own.update(grad, state, value, draw)
        _check_shape(f"{type(own).__name__}.update", block[0], update, value)
        return value + update.astype(value.dtype), state

    return move


def _like(values: Mapping[str, Any], new: Sequence[PyTree]) -> Any:
    """Return trees by name, in the blocks of the values that they are of."""
    return Stacks(values.blocks, new) if isinstance(values, Stacks) else dict(zip(values, new, strict=True))


def _draws(key: Array, places: Sequence[int]) -> Array:
    """Return a random key for each node of a block, by its place in the model."""
    if len(places) == 1:
        return jax.random.fold_in(key, places[0])
    return jax.vmap(lambda place: jax.random.fold_in(key, place))(np.asarray(places, np.uint32))


def _check_shape(call: str, name: str, found: Array | None, value: Array) -> None:
    """Refuse a gradient or a move that would broadcast: it is of another node, or summed.

    **Raises:** `ValueError`, naming the node.
    """
    if found is None or np.shape(found) != value.shape:
        got = "none" if found is None else f"one of shape {np.shape(found)}"
        raise ValueError(f"{call} must give an array of shape {value.shape} for {name}, got {got}")
