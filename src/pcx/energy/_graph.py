"""The dependency graph of value nodes, and distances in it."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Mapping

from ._types import Moves


class Graph:
    """The dependency graph of value nodes.

    **Arguments:**

    - `parents`: `{node: its parents}`, in the order of the model.

    **Attributes:**

    - `parents`: for each node, those whose values its prediction is computed from, in the order of the model.
    - `children`: the inverse.
    - `order`: all nodes, parents before children.

    **Raises:** `ValueError` for predictions that depend on each other.
    """

    def __init__(self, parents: Mapping[str, Iterable[str]]) -> None:
        self.parents: dict[str, tuple[str, ...]] = {n: tuple(p) for n, p in parents.items()}
        below: dict[str, list[str]] = {n: [] for n in self.parents}
        for child, above in self.parents.items():
            for parent in above:
                below[parent].append(child)
        self.children: dict[str, tuple[str, ...]] = {n: tuple(c) for n, c in below.items()}
        self.order = self._sorted()

    def _sorted(self) -> tuple[str, ...]:
        order: list[str] = []
        state: dict[str, int] = {}
        for root in self.parents:
            stack = [(root, iter(self.parents[root]))]
            if root in state:
                continue
            state[root] = 1
            while stack:
                node, above = stack[-1]
                for parent in above:
                    if state.get(parent) == 1:
                        raise ValueError(
                            f"the predictions of {parent} and {node} depend on each other: in the model's call each "
                            "value node must be called before its value is used"
                        )
                    if parent not in state:
                        state[parent] = 1
                        stack.append((parent, iter(self.parents[parent])))
                        break
                else:
                    state[node] = 2
                    order.append(node)
                    stack.pop()
        return tuple(order)

    def distances(self, targets: Iterable[str]) -> tuple[dict[str, int], dict[str, int]]:
        """Count the predictions between nodes and targets.

        **Arguments:**

        - `targets`: names of nodes.

        **Returns:** for each node from which a target can be reached, the number of predictions on the shortest way
        there, and on the longest; 0 for a target itself.
        """
        targets = set(targets)
        nearest: dict[str, int] = {}
        furthest: dict[str, int] = {}
        for node in reversed(self.order):
            if node in targets:
                nearest[node] = furthest[node] = 0
                continue
            below = [c for c in self.children[node] if c in nearest]
            if below:
                nearest[node] = 1 + min(nearest[c] for c in below)
                furthest[node] = 1 + max(furthest[c] for c in below)
        return nearest, furthest

    def arrivals(
        self,
        sources: Iterable[str],
        fixed: Iterable[str],
        silent: Iterable[str],
        moves: Moves | None = None,
    ) -> dict[str, int]:
        """Return the step at which each node's gradient may first be other than zero, if all errors but those of
        `sources` start at zero.

        **Arguments:**

        - `sources`: nodes whose error may be other than zero from the start.
        - `fixed`: nodes that never move.
        - `silent`: nodes without an energy, whose move tells their parents nothing.
        - `moves`: the step at which a node first moves, from its name and the step at which it first feels an error;
            by default the same.

        **Returns:** `{node: step}`, from 0; without the nodes that no error reaches.
        """
        sources, fixed, silent = set(sources), set(fixed), set(silent)
        arrival: dict[str, int] = {}
        moving: list[tuple[int, int, str]] = []

        def feel(nodes: Iterable[str], step: int) -> None:
            for node in nodes:
                if node not in fixed and step < arrival.get(node, step + 1):
                    arrival[node] = step
                    heapq.heappush(moving, (step if moves is None else moves(node, step), len(arrival), node))

        for node in self.order:
            if node in sources:
                feel((node, *([] if node in silent else self.parents[node])), 0)
        # A node that has moved at step t has an error at step t + 1, which its parents feel then.
        while moving:
            step, _, node = heapq.heappop(moving)
            feel([] if node in silent else self.parents[node], step + 1)
            # Its new value also changes what is predicted from it.
            for child in self.children[node]:
                if child not in silent:
                    feel((child, *self.parents[child]), step + 1)
        return arrival

    def arrivals_in_turn(
        self,
        sources: Iterable[str],
        fixed: Iterable[str],
        silent: Iterable[str],
        groups: Iterable[Iterable[str]],
        moves: Moves | None = None,
    ) -> dict[str, int]:
        """As `arrivals`, where in each step the groups move one after the other, so that an error may pass many nodes
        in one step.

        **Arguments:**

        - `sources`, `fixed`, `silent`, `moves`: see `arrivals`.
        - `groups`: the nodes in the order in which they move.

        **Returns:** as `arrivals`.
        """
        fixed, silent, errors = set(fixed), set(silent), set(sources)
        groups = [tuple([n for n in group if n not in fixed]) for group in groups]
        arrival: dict[str, int] = {}
        waiting: dict[str, int] = {}  # nodes that feel an error, with the step at which they first move
        step = 0
        while True:
            before = len(arrival), len(errors)
            for group in groups:
                felt = [
                    n
                    for n in group
                    if n not in arrival
                    and (n in errors or any(c in errors and c not in silent for c in self.children[n]))
                ]
                arrival.update(dict.fromkeys(felt, step))
                waiting.update({n: step if moves is None else moves(n, step) for n in felt})
                for node in [n for n in group if waiting.get(n, step + 1) <= step]:
                    del waiting[node]
                    errors.update([n for n in (node, *self.children[node]) if n not in silent])
            if (len(arrival), len(errors)) != before:
                step += 1
            elif waiting:
                step = min(waiting.values())
            else:
                return arrival
