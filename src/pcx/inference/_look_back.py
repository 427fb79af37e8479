"""The search for the first bad value of steps that are written out, made only where the last values are bad.

A value that is not finite stays so, since a step adds to it. So as long as they are few, the values after all steps are
held on to, and those after the last one alone are tested.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence

import jax
import jax.numpy as jnp
from jax import Array
from jaxtyping import Int

from ..energy import Block, NodesIn, are_finite, are_finite_each, blocks_of
from ._first_bad import find_bad


class LookBack:
    """The values after some steps, in order.

    **Arguments:**

    - `names`: those of all nodes of the problem, in its order.
    """

    def __init__(self, names: Sequence[str]) -> None:
        self._names = names
        self._held: list[tuple[int, Sequence[tuple[Block, Array]]]] = []
        self._room = _ROOM

    def holds(self, values: Sequence[tuple[Block, Array]], step: int) -> bool:
        """Hold on to the values of blocks after a step, 0 for the start, if there is room.

        **Returns:** whether there is; if not, they are to be tested now.
        """
        size = sum(v.size for _, v in values)
        if size > self._room:
            return False
        self._room -= size
        self._held.append((step, values))
        return True

    def first_bad(self, nodes: NodesIn, before: Int[Array, ""]) -> Int[Array, ""]:
        """Return where a value was first not finite, as `find_bad` does, and let go of all values.

        **Arguments:**

        - `nodes`: the values now.
        - `before`: what was found at steps before these.
        """
        held, self._held, self._room = self._held, [], _ROOM
        if not held:
            return before

        def look() -> Array:
            found = jnp.int32(-1)
            for step, values in held:
                found = find_bad(self._names, values, step, found)
            return found

        now = blocks_of(nodes)
        fine = are_finite([v for names, v in now if len(names) == 1])
        fine += [jnp.all(are_finite_each(v)) for names, v in now if len(names) > 1]
        found: Array = jax.lax.cond(functools.reduce(jnp.logical_and, fine), lambda: jnp.int32(-1), look)
        return jax.lax.select(before < 0, found, before)


_ROOM = 2**20  # numbers of all values that are held
