"""Gradients of weights, from those of nodes that stand alone and of parts of groups."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

import jax.numpy as jnp
import jax.tree_util as jtu
import numpy as np
from jax import Array
from jaxtyping import PyTree

from ._added_up import added_up
from ._stacks import Block, blockwise
from ._types import Weights

if TYPE_CHECKING:
    from ._bound import Bound

Term: TypeAlias = tuple[tuple[int, ...], Array]
"""Numbers of weights, with a stack of their gradients; of one number its gradient."""


def add_weights(into: Weights, new: Weights) -> None:
    """Add gradients by path, in place."""
    for path, value in new.items():
        into[path] = value if path not in into else jtu.tree_map(jnp.add, into[path], value)


def mean_gradient(bound: Bound, gradient: Weights, terms: Sequence[Term]) -> Any:
    """Return the gradient of the batch's mean energy by each weight, from sums over the batch; see `whole_gradient`."""
    # Divided last, in float32: shares of a batch may be too small for what they went through.
    size = bound.problem.size
    alone = {path: jtu.tree_map(lambda a: a / size, g) for path, g in gradient.items()}
    return whole_gradient(bound, alone, [(numbers, g / size) for numbers, g in terms])


def whole_gradient(bound: Bound, gradient: Weights, terms: Sequence[Term]) -> Any:
    """Return the gradient of each weight, in the blocks of the weights; zero where nothing has one.

    **Arguments:**

    - `bound`: the problem and its weights.
    - `gradient`: of nodes that stand alone, `{path: array}`.
    - `terms`: those of parts of groups.
    """
    places = bound.problem.weight_places
    in_groups: list[tuple[int, Block, Array]] = []  # with the place in the trees of those weights
    for numbers, grad in terms:
        # All in the same place, by `find_runs`.
        in_groups += [(places[numbers[0]][1], *each) for each in _once([places[i][0] for i in numbers], grad)]

    def whole(names: Block, value: PyTree) -> PyTree:
        leaves, treedef = jtu.tree_flatten(value)
        wanted, made = frozenset(names), []
        for k, leaf in enumerate(leaves):
            own = [((p,), jtu.tree_leaves(gradient[p])[k]) for p in names if p in gradient]
            parts = [(paths, grad) for at, paths, grad in in_groups if at == k and not wanted.isdisjoint(paths)]
            found = added_up(names, [*own, *parts])
            made.append(jnp.zeros_like(leaf) if found is None else found)
        return jtu.tree_unflatten(treedef, made)

    return blockwise(bound.weights, whole)


def _once(paths: Sequence[str], grad: Array) -> list[tuple[Block, Array]]:
    """Return the gradients of a group's weights in blocks that have each path once: one that several of its layers use
    gets their sum."""
    if len(set(paths)) == len(paths):
        return [(tuple(paths), grad)]
    layers: dict[str, list[int]] = {}
    for i, path in enumerate(paths):
        layers.setdefault(path, []).append(i)
    found: list[tuple[Block, Array]] = []
    for times in dict.fromkeys(map(len, layers.values())):
        names = tuple([path for path, at in layers.items() if len(at) == times])
        summed = jnp.sum(grad[np.array([layers[path] for path in names])], axis=1)
        found.append((names, summed if len(names) > 1 else summed[0]))
    return found
