"""One step of settling, as every loop takes it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import jax
import numpy as np
from jax import Array
from jaxtyping import Int, PyTree

from ..energy import Gradient, Landscape, Nodes, NodesIn
from ._descent import Descents
from ._wave import Wave


class Stepped(NamedTuple):
    """The outcome of one step.

    **Attributes:**

    - `nodes`: the coordinates of all free nodes, `{node: [batch, *shape]}`.
    - `states`: those of the descent, by node.
    - `grads`: the gradients of the nodes that moved, `{node: [batch, *shape]}`.
    """

    nodes: Nodes
    states: dict[str, PyTree]
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

    **Returns:** the new coordinates and states, and the gradients.
    """
    values, states = dict(nodes), dict(states)
    grads: Nodes = {}
    place = {name: i for i, name in enumerate(landscape.names)}
    for group in groups:
        found = (grad or landscape.gradient(values, group))(values)
        for name in group:
            _check_shape(f"{type(landscape).__name__}.gradient", name, found.get(name), values[name])
        if wave is not None:
            found = {n: wave.felt(n, g, step) for n, g in found.items()}
        moved: Nodes = {}
        for name in group:
            own = descent.at(name)
            draw = jax.random.fold_in(key, place[name]) if key is not None and descent.random else None
            update, states[name] = own.update(found[name], states[name], values[name], draw)
            _check_shape(f"{type(own).__name__}.update", name, update, values[name])
            moved[name] = values[name] + update.astype(values[name].dtype)
        values = {**values, **landscape.project(moved)}
        grads |= found
    return Stepped(values, states, grads)


def _check_shape(call: str, name: str, found: Array | None, value: Array) -> None:
    """Refuse a gradient or a move that would broadcast: it is of another node, or summed.

    **Raises:** `ValueError`, naming the node.
    """
    if found is None or np.shape(found) != value.shape:
        got = "none" if found is None else f"one of shape {np.shape(found)}"
        raise ValueError(f"{call} must give an array of shape {value.shape} for {name}, got {got}")
