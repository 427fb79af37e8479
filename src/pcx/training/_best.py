"""The best epoch of each network, and its state then."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
import jax.tree_util as jtu
from jaxtyping import PyTree

from ._rule import as_tree, with_tree
from ._stopping import Mode, cost
from ._types import Row


class Best:
    """Each network's state at its best epoch so far, held on the host. Of equal epochs the last is the best; one
    whose metric is not finite is none.

    **Arguments:**

    - `metric`, `mode`: its name in the history, and whether more or less of it is better.
    - `networks`: how many there are.

    **Attributes:** `epochs`, from 1; 0 for a network that has none yet.
    """

    def __init__(self, metric: str, mode: Mode, networks: int) -> None:
        self.metric = metric
        self.mode: Mode = mode
        self.epochs = [0] * networks
        self._held: list[PyTree] = [None] * networks
        self._least = [math.inf] * networks

    def recall(self, history: Sequence[Row]) -> list[int]:
        """Take note of the rows that come next in a history.

        **Returns:** the networks for which no epoch was better than their last.
        """
        found: dict[int, bool] = {}
        for row in history:
            value, i = cost(row, self.metric, self.mode), row["network"]
            found[i] = math.isfinite(value) and value <= self._least[i]
            if found[i]:
                self._least[i] = value
        return [i for i, better in found.items() if better]

    def look(self, rows: Sequence[Row], states: Callable[[], Sequence[PyTree]]) -> bool:
        """Hold the states of the networks for which no epoch was better than this one.

        **Arguments:**

        - `rows`: of the epoch.
        - `states`: gives the states now; only asked if need be.

        **Returns:** whether there are any.
        """
        better = self.recall(rows)
        now = states() if better else []
        for row in rows:
            if (i := row["network"]) in better:
                self.epochs[i], self._held[i] = row["epoch"], jax.device_get(as_tree(now[i]))
        return bool(better)

    def trees(self, states: Sequence[PyTree]) -> list[PyTree]:
        """Return what is held, as arrays to be saved; of a network that has no epoch yet, its state now."""
        return [as_tree(s) if held is None else held for held, s in zip(self._held, states, strict=True)]

    def states(self, states: Sequence[PyTree]) -> list[PyTree]:
        """Return what is held, as states; of a network that has no epoch yet, its state now."""
        return [
            s if held is None else with_tree(s, jtu.tree_map(jnp.asarray, held))
            for held, s in zip(self._held, states, strict=True)
        ]

    def take_up(self, trees: Sequence[PyTree], epochs: Sequence[int], at_most: int) -> None:
        """Hold what was saved. What lies beyond the epochs that are done comes again, and is left out."""
        for i, (tree, epoch) in enumerate(zip(trees, epochs, strict=True)):
            if 0 < epoch <= at_most:
                self.epochs[i], self._held[i] = epoch, tree
