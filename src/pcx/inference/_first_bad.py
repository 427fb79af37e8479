"""The place where a value was first not finite, as one number that compiled functions can carry.

The number is `step * number of nodes + place of the node`, with step 0 the start, or -1 as long as all is finite. It is
made and read in this file alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jaxtyping import Int

from ..energy import Block, are_finite, are_finite_each

Number: TypeAlias = Array | np.ndarray | int


def find_bad(
    names: Sequence[str],
    values: Iterable[tuple[str | Block, Array]],
    step: Int[Array, ""] | int | Mapping[str, int],
    before: Int[Array, ""] | int = -1,
) -> Int[Array, ""]:
    """Return where a value was first not finite.

    **Arguments:**

    - `names`: those of all nodes of the problem, in its order.
    - `values`: pairs of a node's name and an array of it, `[batch, ...]`, or of the names of a block and its stack; the
        first bad one counts.
    - `step`: the step after which they have these values, 0 at the start; or that of each node, by name.
    - `before`: what was found at earlier steps, which goes first.

    **Returns:** the number to be read by `where_bad`, a scalar; -1 if all are finite.
    """
    place, pairs = {name: i for i, name in enumerate(names)}, list(values)
    single = [(name, v) for name, v in pairs if isinstance(name, str) or len(name) == 1]
    found: Array = jnp.int32(-1)
    for (name, _), finite in reversed(list(zip(single, are_finite([v for _, v in single]), strict=True))):
        found = jax.lax.select(finite, found, jnp.int32(_number_of(name, place, step)))
    for block, v in pairs:
        if not isinstance(block, str) and len(block) > 1:
            numbers = np.asarray([_number_of(name, place, step) for name in block], np.int32)
            least = jnp.min(jnp.where(are_finite_each(v), _NONE, numbers))
            first = jnp.minimum(least, jnp.where(found < 0, _NONE, found))
            found = jnp.where(first < _NONE, first, -1).astype(jnp.int32)
    if not isinstance(step, Mapping):
        found = jax.lax.select(found < 0, found, _numbered(jnp.int32(len(place)), jnp.asarray(step, jnp.int32), found))
    before = jnp.asarray(before, jnp.int32)
    return jax.lax.select(before < 0, found, before)


_NONE = np.int32(np.iinfo(np.int32).max)


def _number_of(name: str | Block, place: Mapping[str, int], step: object) -> int:
    """Return the number of a node at its step, if each has one of its own; or else at the start."""
    node = name if isinstance(name, str) else name[0]
    return int(_numbered(len(place), step[node] if isinstance(step, Mapping) else 0, place[node]))


def where_bad(first_bad: Array | int, names: Sequence[str]) -> tuple[str, int] | None:
    """Read where a value was first not finite.

    **Arguments:**

    - `first_bad`: a scalar from a `Solution`, or from the `Info` of a learning rule.
    - `names`: those of all nodes of the problem, in its order.

    **Returns:** the node and the step, 0 for the start; None if all were finite.
    """
    number = int(first_bad)
    return None if number < 0 else (names[number % len(names)], number // len(names))


def _numbered(nodes: Number, step: Number, place: Number) -> Number:
    return nodes * step + place
