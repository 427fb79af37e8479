"""The lines and boxes that a network is shown by: its nodes, those of equal layers as one."""

from __future__ import annotations

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
    """Return names in order as one: the first and the last.

    **Arguments:**

    - `names`: one at least.
    """
    each = list(dict.fromkeys(names))
    return each[0] if len(each) == 1 else ", ".join(each) if len(each) == 2 else f"{each[0]} to {each[-1]}"


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
