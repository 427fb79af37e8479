"""Sums of arrays that belong to names, some of which come in stacks."""

from __future__ import annotations

from collections.abc import Iterable

from jax import Array

from ._stacks import Block, Stacks, joined


def added_up(names: Block, parts: Iterable[tuple[Block, Array]]) -> Array | None:
    """Return the sum of arrays that belong to names, as one block; None if there are none.

    **Arguments:**

    - `names`: of the block; those that no part has get zeros.
    - `parts`: blocks with their arrays; what belongs to other names is left out.
    """
    inside = frozenset(names)
    layers: list[dict[str, Stacks]] = []  # in each at most one array a name
    for block, array in parts:
        wanted = [n for n in block if n in inside]
        if not wanted:
            continue
        layer = next((m for m in layers if not any(n in m for n in wanted)), None)
        if layer is None:
            layers.append(layer := {})
        layer.update(dict.fromkeys(wanted, Stacks((block,), (array,))))
    total: Array | None = None
    for layer in layers:
        made = layer[names[0]][names[0]] if len(names) == 1 else joined([(n, layer.get(n)) for n in names])
        total = made if total is None else total + made
    return total
