"""The best epoch of each network, and its state then."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import jax.tree_util as jtu

from ..learning import State
from ._history import is_best
from ._stopping import Mode, cost


class Best:
    """Each network's state at its best epoch so far, held on the host. Of equal epochs the last is the best; one
    whose metric is not finite is none.

    **Arguments:**

    - `metric`, `mode`: its name in the history, and whether more or less of it is better.
    - `networks`: how many there are.

    **Attributes:** `epochs`, from 1; 0 for a network that has none yet.
    """

    def __init__(self, metric: str, mode: Mode, networks: int) -> None:
        self.metric, self.mode = metric, mode
        self.epochs = [0] * networks
        self._held: list[Any] = [None] * networks

    def look(self, history: Sequence[dict[str, Any]], epoch: int, states: Sequence[State]) -> bool:
        """Hold the states of the networks for which no epoch was better than this one; whether there are any."""
        found = False
        for i, state in enumerate(states):
            own = [row for row in history if row["network"] == i]
            if not own or own[-1]["epoch"] != epoch or not math.isfinite(cost(own[-1], self.metric, self.mode)):
                continue
            if is_best(own, self.metric, self.mode):
                self.epochs[i], self._held[i], found = epoch, jax.device_get(as_tree(state)), True
        return found

    def trees(self, states: Sequence[State]) -> list[Any]:
        """What is held, as arrays to be saved; of a network that has no epoch yet, its state now."""
        return [as_tree(s) if held is None else held for held, s in zip(self._held, states, strict=True)]

    def states(self, states: Sequence[State]) -> list[State]:
        """As `trees`, as states."""
        return [
            s if held is None else dataclasses.replace(s, **jtu.tree_map(jnp.asarray, held))
            for held, s in zip(self._held, states, strict=True)
        ]

    def take_up(self, trees: Sequence[Any], epochs: Sequence[int], at_most: int) -> None:
        """Hold what was saved. What lies beyond the epochs that are done comes again, and is left out."""
        for i, (tree, epoch) in enumerate(zip(trees, epochs, strict=True)):
            if 0 < epoch <= at_most:
                self.epochs[i], self._held[i] = epoch, tree


def as_tree(state: State) -> dict[str, Any]:
    """A state's arrays, to be saved."""
    return {name: getattr(state, name) for name in ("weights", "rest", "optim", "key", "memory")}
