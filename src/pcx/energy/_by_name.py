"""Trees of arrays with and without stacks: what files and other programs know by name is a dict by name."""

from __future__ import annotations

from typing import Any

import jax.tree_util as jtu
from jaxtyping import PyTree

from ._stacks import Stacks


def apart(tree: PyTree) -> PyTree:
    """Return a tree with a dict by name in the place of each `Stacks`, as files and other programs know it.

    **Arguments:**

    - `tree`: of arrays.
    """

    def by_name(part: Any) -> Any:
        return {n: apart(part[n]) for n in part} if isinstance(part, Stacks) else part

    return jtu.tree_map(by_name, tree, is_leaf=lambda part: isinstance(part, Stacks))


def in_stacks_of(like: PyTree, tree: PyTree) -> PyTree:
    """Return a tree that `apart` took apart with the `Stacks` of another one.

    **Arguments:**

    - `like`: a tree with stacks.
    - `tree`: the same with dicts by name.
    """
    places, treedef = jtu.tree_flatten(like, is_leaf=lambda part: isinstance(part, Stacks))
    parts = treedef.flatten_up_to(tree)
    made = [
        place.regrouped(part) if isinstance(place, Stacks) else part for place, part in zip(places, parts, strict=True)
    ]
    return jtu.tree_unflatten(treedef, made)
