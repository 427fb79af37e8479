"""States of optimisers of single nodes' weights, those of equal layers in stacks.

The state of a node holds dicts under the paths of the node's own weights. In a stack it stands under those of the
first; whoever takes one name out gets the node's own paths, and so do files.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple, TypeAlias

import jax
import jax.tree_util as jtu
from jaxtyping import PyTree

from ..energy import Block, Group, Problem, Stacks, Weights, regrouped
from ._begun import first_state
from ._types import Optimiser

Owned: TypeAlias = tuple[Block, ...]
"""For each node of a block the paths of its weights, in the same order for all."""


class NodeStates(Stacks):
    """Trees by node that hold dicts under the paths of the node's own weights.

    **Arguments:**

    - `blocks`, `stacks`: see `Stacks`; dicts are under the paths of the first node of a block.
    - `owned`: the paths of each block's nodes.
    """

    __slots__ = ("owned",)

    def __init__(self, blocks: Iterable[Block], stacks: Iterable[PyTree], owned: Iterable[Owned]) -> None:
        super().__init__(blocks, stacks)
        self.owned = tuple(owned)

    @staticmethod
    def of(own: OwnWeights, values: Mapping[str, Any]) -> NodeStates:
        """Return states that are given by node.

        **Arguments:**

        - `own`: the nodes and their weights.
        - `values`: the state of each node.
        """
        return NodeStates(own.blocks, own.blocks, own.owned).regrouped(values)

    def with_stacks(self, stacks: Iterable[PyTree]) -> NodeStates:
        return NodeStates(self.blocks, stacks, self.owned)

    def regrouped(self, values: Mapping[str, Any]) -> NodeStates:
        as_first = {
            n: _under(values[n], own, owned[0])
            for names, owned in zip(self.blocks, self.owned, strict=True)
            for n, own in zip(names, owned, strict=True)
        }
        return self.with_stacks(regrouped(self.blocks, as_first).stacks)

    def __getitem__(self, name: str) -> Any:
        block, i = self.places[name]
        return _under(super().__getitem__(name), self.owned[block][0], self.owned[block][i])


jtu.register_pytree_node(
    NodeStates,
    lambda s: (s.stacks, (s.blocks, s.owned)),
    lambda form, stacks: NodeStates(form[0], stacks, form[1]),
)


def _under(tree: PyTree, paths: Block, others: Block) -> PyTree:
    """Return a tree with other keys in the dicts that are under some paths."""
    other = dict(zip(paths, others, strict=True))

    def by_weight(part: Any) -> bool:
        return isinstance(part, dict) and bool(part) and all(key in other for key in part)

    def renamed(part: Any) -> Any:
        return {other[k]: v for k, v in part.items()} if by_weight(part) else part

    return tree if paths == others else jtu.tree_map(renamed, tree, is_leaf=by_weight)


class OwnWeights(NamedTuple):
    """The nodes whose weights have one optimiser each, those of equal layers together.

    **Attributes:**

    - `groups`: groups of equal nodes, each with the paths of its nodes' weights; `alone`: the paths of the weights of
        each other node.
    """

    groups: tuple[tuple[Group, Owned], ...]
    alone: dict[str, Block]

    @property
    def blocks(self) -> tuple[Block, ...]:
        """The nodes, in blocks."""
        return tuple([*[group.names for group, _ in self.groups], *[(n,) for n in self.alone]])

    @property
    def owned(self) -> tuple[Owned, ...]:
        """The paths of the weights of each block's nodes."""
        return tuple([*[owned for _, owned in self.groups], *[(own,) for own in self.alone.values()]])

    def begun(self, optim: Optimiser, weights: Weights) -> NodeStates:
        """Return the states of the nodes' optimisers before their first steps.

        **Arguments:**

        - `optim`: the transformation.
        - `weights`: `{path: array}`.
        """
        found: list[PyTree] = []
        for names, owned in zip(self.blocks, self.owned, strict=True):
            own = self.weights(owned, weights)
            init = jax.vmap(optim.init, axis_size=len(names)) if len(names) > 1 else optim.init
            found.append(first_state(init, own))
        return NodeStates(self.blocks, found, self.owned)

    def weights(self, owned: Owned, weights: Mapping[str, Any]) -> dict[str, Any]:
        """Return the weights of a block's nodes under the paths of the first, in stacks.

        **Arguments:**

        - `owned`: the paths of the block's nodes.
        - `weights`: `{path: array}`.
        """
        columns = tuple(zip(*owned, strict=True))
        return {column[0]: stack for column, stack in zip(columns, regrouped(columns, weights).stacks, strict=True)}


def own_weights(problem: Problem, by_node: Mapping[str, Block]) -> OwnWeights | None:
    """Return which nodes' optimisers take their steps together.

    **Arguments:**

    - `problem`: the problem.
    - `by_node`: the paths of the weights that have an optimiser with each node.

    **Returns:** None where nodes of a group differ in that: one weight belongs to several of them, say.
    """
    blocks = set(problem.weight_blocks(problem.weight_numbers))
    users: dict[str, set[str]] = {}
    for name in problem.nodes:
        for path in problem.weights_of(name):
            users.setdefault(path, set()).add(name)
    groups: list[tuple[Group, Owned]] = []
    for group in [group for run in problem.runs for group in run.groups]:
        reached = [n for n in group.names if n in by_node]
        if not reached:
            continue
        slots = [s for s in group.slots if s.kind == "array" and s.numbers[0] in problem.weight_places]
        columns = [tuple([problem.weight_places[i][0] for i in s.numbers]) for s in slots]
        if any(len(column) != len(group.names) for column in columns):
            return None
        owned = tuple([tuple([column[i] for column in columns]) for i in range(len(group.names))])
        alone = all(len(users[path]) == 1 for column in columns for path in column)
        # An optimiser may take its arrays by the order of their paths.
        orders = {tuple(sorted(range(len(own)), key=lambda k, own=own: own[k])) for own in owned}
        own = [set(by_node.get(n, ("",))) for n in group.names]
        if not alone or len(orders) > 1 or not set(columns) <= blocks or own != [set(o) for o in owned]:
            return None
        groups.append((group, owned))
    grouped = {n for group, _ in groups for n in group.names}
    return OwnWeights(tuple(groups), {n: own for n, own in by_node.items() if n not in grouped})
