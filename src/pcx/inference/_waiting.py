"""Nodes that wait for an error, and those that never move."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

from jaxtyping import PyTree

from ..energy import Moves, NodesIn, forms_of
from ._descent import Descents


class Waiting:
    """The states that a descent has for nodes with zero gradient. Nodes of one descent and one form wait alike, and
    what is proved of one is remembered for the others.

    **Arguments:**

    - `descent`: how nodes move.
    """

    def __init__(self, descent: Descents) -> None:
        self._descent = descent
        self._alike: dict[Hashable, tuple[int, list[PyTree] | None]] = {}

    def states(self, nodes: Mapping[str, Any], steps: int) -> dict[str, list[PyTree]] | None:
        """Return each node's states after 0, 1, ..., `steps` steps with zero gradient; None if one of them might move.

        **Arguments:**

        - `nodes`: `{node: [batch, *shape]}`, of which shapes and dtypes count.
        """
        found: dict[str, list[PyTree]] = {}
        for name, value in forms_of(nodes).items():
            own = self._descent.at(name)
            form = id(own), value.shape, value.dtype
            known, states = self._alike.get(form, (-1, None))
            if known < steps and (known < 0 or states is not None):
                states = own.idle(value, steps)
                self._alike[form] = steps, states
            if states is None:
                return None
            found[name] = states
        return found

    def moves(self, nodes: NodesIn, most: int) -> Moves:
        """Return when nodes first move, as a function of the node and the step at which it first feels an error.

        **Arguments:**

        - `nodes`: `{node: [batch, *shape]}`, of which shapes and dtypes count.
        - `most`: the number of steps; what comes after them doesn't matter.
        """
        forms = forms_of(nodes)
        return lambda name, felt: self._descent.at(name).first_move(forms[name], felt, most) if felt < most else felt


def never_moving(descent: Descents, nodes: Mapping[str, Any], steps: int) -> tuple[list[str], str]:
    """Return the nodes of which it is proved that none of so many steps moves them, and the reason in words.

    **Arguments:** `nodes`, `{node: value}`, of which shapes and dtypes count.
    """
    found: dict[Hashable, bool] = {}
    still: list[str] = []
    for name, value in nodes.items():
        own = descent.at(name)
        form = id(own), value.shape, value.dtype
        if form not in found:
            found[form] = own.never_moves(value, steps)
        if found[form]:
            still.append(name)
    taken = "the step" if steps == 1 else f"the {steps} steps"
    return still, f"their transformation moves nothing in {taken}, whatever the gradient, as with a rate of 0"
