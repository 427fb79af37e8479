"""The place where a value was first not finite, as one number that compiled functions can carry.

The number is `step * number of nodes + place of the node`, with step 0 the start, or -1 as long as all is finite. It is
made and read in this file alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TypeAlias

import jax.numpy as jnp
import numpy as np
from jax import Array
from jaxtyping import Int

from ..energy import first_not_finite

Number: TypeAlias = Array | np.ndarray | int


def find_bad(
    names: Sequence[str],
    values: Iterable[tuple[str, Array]],
    step: Int[Array, ""] | int | Mapping[str, int],
    before: Int[Array, ""] | int = -1,
) -> Int[Array, ""]:
    """Return where a value was first not finite.

    **Arguments:**

    - `names`: those of all nodes of the problem, in its order.
    - `values`: pairs of a node's name and an array of it, `[batch, ...]`; the first bad one counts.
    - `step`: the step after which they have these values, 0 at the start; or that of each node, by name.
    - `before`: what was found at earlier steps, which goes first.

    **Returns:** the number to be read by `where_bad`, a scalar; -1 if all are finite.
    """
    place = {name: i for i, name in enumerate(names)}
    pairs = list(values)
    first = first_not_finite([v for _, v in pairs])
    if not pairs:
        return jnp.where(before < 0, first, before).astype(jnp.int32)
    places = np.asarray([place[name] for name, _ in pairs], np.int32)
    if isinstance(step, Mapping):
        steps = np.asarray([step[name] for name, _ in pairs], np.int32)
        number = jnp.asarray(_numbered(len(place), steps, places), jnp.int32)[first]
    else:
        number = _numbered(jnp.int32(len(place)), step, jnp.asarray(places)[first])
    return jnp.where((before < 0) & (first >= 0), number, before).astype(jnp.int32)


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
