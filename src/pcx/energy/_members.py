"""Single members of groups, by a number that need not be known while a program is made.

Where something goes from one layer to the next, one step after the other, a loop does at each step what belongs to the
layer that it has come to: it reads that one's arrays out of their stacks.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import jax.numpy as jnp
import jax.tree_util as jtu
from jax import Array
from jaxtyping import Int

from ._read_cell import one_of
from ._runs import Group
from ._stacks import Block, Stacks
from ._together import Part
from ._types import NodesIn, Weights

if TYPE_CHECKING:
    from ._over_stacks import OverStacks


class Members:
    """The gradients of the energies of a group's members by their weights, one member at a time.

    **Arguments:**

    - `landscape`: the energy over values.
    - `group`: the group; its members must be weighed alike.
    - `coords`: the coordinates of the free nodes, `{node: [batch, *shape]}`.
    """

    def __init__(self, landscape: OverStacks, group: Group, coords: NodesIn) -> None:
        self._landscape, self._group, self._values = landscape, group, landscape.values(coords)
        self._part = Part(group, 0, len(group.names))
        self._weights = landscape.weights_of_energy(self._part)

    @property
    def count(self) -> int:
        """The number of members."""
        return len(self._group.names)

    def weight_gradient(self, i: Int[Array, ""] | int, weights: Weights) -> Weights:
        """Return the gradient of the mean energy of one member by its weights, under the paths of the first member's.

        **Arguments:**

        - `i`: its place in the group.
        - `weights`: the member's, under the same paths.
        """
        group, landscape, places = self._group, self._landscape, self._landscape.problem.weight_places
        ways = landscape.learning_slots(self._part)
        paths = [places[group.slots[k].numbers[0]][0] for k in ways]
        others = [None if k in ways else self._argument(k, i) for k in range(len(group.slots))]
        (precision, scale), axes = self._weights
        precision, scale = (
            a if axis is None else one_of(a, jnp.asarray(i)) for a, axis in zip((precision, scale), axes, strict=True)
        )
        moving = [jtu.tree_leaves(weights[p])[0] for p in paths]
        grads, _ = landscape.member_weight_gradient(self._part, moving, others, precision, scale)
        made = {p: jtu.tree_unflatten(jtu.tree_structure(weights[p]), [g]) for p, g in zip(paths, grads, strict=True)}
        return {p: made[p] for p in weights}

    def _argument(self, k: int, i: Int[Array, ""] | int) -> Any:
        slot = self._group.slots[k]
        if slot.kind == "value" and not slot.same:
            return one_by_number(slot.names, i, self._values)
        a, axis = self._landscape.together.argument(self._part, k, self._values)
        return a if axis is None else one_of(a, jnp.asarray(i))


def one_by_number(names: Block, i: Int[Array, ""] | int, values: Mapping[str, Any]) -> Array:
    """Return the array of one of some names, without a stack of all of them.

    **Arguments:**

    - `names`: the names.
    - `i`: the place of the one that is wanted.
    - `values`: arrays by name.
    """
    pieces: list[tuple[Any, int, int, int]] = []  # a stack, or an array; where it starts there and in the names; length
    for k, name in enumerate(names):
        stack, at, inside = _place_of(name, values)
        if pieces and inside and pieces[-1][0] is stack and pieces[-1][1] + pieces[-1][3] == at:
            pieces[-1] = (*pieces[-1][:3], pieces[-1][3] + 1)
        else:
            pieces.append((stack, at if inside else -1, k, 1))
    found: Array | None = None
    for stack, start, first, length in pieces:
        one = stack if start < 0 else one_of(stack, jnp.clip(jnp.asarray(i) - first, 0, length - 1) + start)
        found = one if found is None else jnp.where(jnp.asarray(i) >= first, one, found)
    assert found is not None, "there are names"
    return found


def _place_of(name: str, values: Mapping[str, Any]) -> tuple[Any, int, bool]:
    """Return the stack that a name's array lies in, its place there, and whether it is one."""
    if not isinstance(values, Stacks):
        return values[name], 0, False
    block, i = values.places[name]
    return values.stacks[block], i, len(values.blocks[block]) > 1
