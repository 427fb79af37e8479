"""The lines and boxes that a network is shown by: its nodes, those of equal layers as one."""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence
from typing import NamedTuple

from ._network import Network, Value

LEAST = 3
"""The fewest repetitions that are shown as one."""


class Item(NamedTuple):
    """A value node, or those at one place of equal layers.

    **Attributes:**

    - `values`: the nodes, parents before children.
    - `run`: the number of the run that they are in; -1 for a node by itself.
    """

    values: tuple[Value, ...]
    run: int = -1

    @property
    def names(self) -> tuple[str, ...]:
        """The names of its nodes."""
        return tuple([v.name for v in self.values])

    @property
    def name(self) -> str:
        """The name that it is shown by."""
        return span(self.names)


def items_of(network: Network, unfold: bool = False) -> list[Item]:
    """Return what a network is shown by, parents before children.

    **Arguments:**

    - `network`: the network.
    - `unfold`: whether equal layers are shown one by one.
    """
    inside: dict[str, Item] = {}
    for i, groups in enumerate(network.runs):
        for names in groups:
            if len(names) >= LEAST and not unfold:
                item = Item(tuple([network.values[n] for n in names]), i)
                inside.update(dict.fromkeys(names, item))
    found: dict[tuple[str, ...], Item] = {}
    for name, value in network.values.items():
        item = inside.get(name, Item((value,)))
        found.setdefault(item.names, item)
    return list(found.values())


def span(names: Sequence[str]) -> str:
    """Return names in order as one: the first and the last where a number in them counts up by one; by another step
    the second too; a few of them with a mark for the others where nothing of the kind holds.

    **Arguments:**

    - `names`: one at least.
    """
    each = list(dict.fromkeys(names))
    if len(each) <= 2:
        return ", ".join(each)
    step = _step(each)
    if step is None:
        return f"{each[0]}, {each[1]}, \u2026 {each[-1]}"
    return f"{each[0]} to {each[-1]}" if step == 1 else f"{each[0]}, {each[1]} to {each[-1]}"


def _step(names: Sequence[str]) -> int | None:
    """Return by how much the one number in which names differ goes up from each to the next; None if it doesn't."""
    parts = [re.split(r"(\d+)", name) for name in names]
    if len({len(part) for part in parts}) > 1:
        return None
    differ = [i for i, texts in enumerate(zip(*parts, strict=True)) if len(set(texts)) > 1]
    if len(differ) != 1 or differ[0] % 2 == 0:
        return None
    numbers = [int(part[differ[0]]) for part in parts]
    steps = {b - a for a, b in itertools.pairwise(numbers)}
    step = steps.pop()
    return None if steps or step <= 0 else step


def aligned(each: Sequence[Sequence[str]]) -> list[tuple[str, ...]]:
    """Return the names that equal nodes have at the same place, place by place; those that all have alike, once. Where
    places don't agree, all names by themselves.

    **Arguments:**

    - `each`: of every node the names in order, such as of its weights.
    """
    if len({len(names) for names in each}) == 1:
        places = [tuple(dict.fromkeys(names)) for names in zip(*each, strict=True)]
        if all(len(names) in (1, len(each)) for names in places):
            return places
    return [(name,) for name in dict.fromkeys([name for names in each for name in names])]
