"""Walking, reading and writing the params of a tree."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import jax.tree_util as jtu

from ._parameter import get, like
from ._static import is_param
from ._types import Tree


def tree_apply(fn: Callable[[Any], None], filter_fn: Callable[[Any], bool], tree: Tree, recursive: bool = True) -> None:
    """Call `fn` on every node of `tree` (params, modules and leaves alike) for which `filter_fn` is true.

    **Arguments:**

    - `fn`: called with the node, outer nodes before inner ones, each node once.
    - `filter_fn`: says which nodes.
    - `tree`: any pytree.
    - `recursive`: whether to go on inside a node that `fn` was called on.
    """
    seen: set[int] = set()

    def visit(x: Tree) -> bool:
        if id(x) in seen and not isinstance(x, (int, float, str)):
            return True  # another reference to what was dealt with
        if x is not None and filter_fn(x):
            seen.add(id(x))
            keep.append(x)
            fn(x)
            return not recursive
        return False

    keep: list[Any] = []
    jtu.tree_leaves(tree, is_leaf=visit)


def tree_extract(
    pydag: Tree,
    *rest: Tree,
    extract_fn: Callable[..., Any] = lambda x: x,
    filter_fn: Callable[[Any], bool] = is_param,
    is_pytree: bool = False,
) -> tuple[Any, ...]:
    """Return the params of a tree, each once, in the order of its leaves.

    **Arguments:**

    - `pydag`: a tree, in which one param may be referred to many times.
    - `rest`: trees of the same structure; what they hold at the same places is extracted with it, as a tuple.
    - `extract_fn`: applied to each node found (to each tuple of nodes, if `rest` is given).
    - `filter_fn`: says which nodes are extracted; params, if left out.
    - `is_pytree`: take every reference for a node of its own.

    **Returns:** a tuple.

    **Raises:** `ValueError` if the trees differ in structure.
    """
    found: list[Any] = []
    seen: set[int] = set()
    leaves, treedef = jtu.tree_flatten(pydag, is_leaf=lambda x: is_param(x) or filter_fn(x))
    try:
        columns = [leaves, *(treedef.flatten_up_to(other) for other in rest)]
    except (ValueError, TypeError) as e:
        raise ValueError(f"tree_extract: the trees differ in structure: {e}") from None
    for row in zip(*columns, strict=True):
        node = row[0]
        if not filter_fn(node) or (not is_pytree and id(node) in seen):
            continue
        seen.add(id(node))
        found.append(extract_fn(row if rest else node))
    return tuple(found)


def _inject(pair: tuple[Any, Any]) -> None:
    target, source = pair
    target.set(get(source))


def tree_inject(
    pydag: Tree,
    *,
    params: Tree = None,
    values: Sequence[Any] | None = None,
    inject_fn: Callable[[tuple[Any, Any]], None] = _inject,
    filter_fn: Callable[[Any], bool] = is_param,
    is_pytree: bool = False,
    strict: bool = True,
) -> Any:
    """Write the params of a tree, each once, in the order in which `tree_extract` gives them.

    **Arguments:**

    - `pydag`: the tree to write to.
    - `params`: a tree or sequence of params to take the values from; or
    - `values`: a sequence of plain values.
    - `inject_fn`: called with each pair of a target and its source.
    - `filter_fn`, `is_pytree`: as in `tree_extract`.
    - `strict`: whether the number of sources must fit.

    **Returns:** `pydag`.

    **Raises:** `ValueError` if there are too many or too few sources (nothing is written then), or if not exactly
    one of `params` and `values` is given.
    """
    if (params is None) == (values is None):
        raise ValueError("tree_inject: give either `params` or `values`")
    targets = tree_extract(pydag, filter_fn=filter_fn, is_pytree=is_pytree)
    if params is not None:
        sources: Sequence[Any] = tree_extract(params, filter_fn=filter_fn, is_pytree=is_pytree)
    else:
        assert values is not None
        sources = list(values)
    if strict and len(sources) != len(targets):
        many = "many" if len(sources) > len(targets) else "few"
        raise ValueError(
            f"tree_inject: too {many} values: the tree has {len(targets)} params, {len(sources)} values were given"
        )
    for pair in zip(targets, sources, strict=False):
        inject_fn(pair)
    return pydag


class _Reference:
    """Stands in a tree for a param met before; a pytree without leaves."""

    __slots__ = ("index",)

    def __init__(self, index: int) -> None:
        self.index = index

    def __repr__(self) -> str:
        return f"reference({self.index})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Reference) and self.index == other.index

    def __hash__(self) -> int:
        return hash((_Reference, self.index))


jtu.register_pytree_node(_Reference, lambda r: ((), r.index), lambda index, _: _Reference(index))


def tree_ref(pydag: Tree) -> Any:
    """Return a copy of a tree in which every further reference to a param is replaced by a mark without leaves, so
    that each value is a leaf once. The params are copies.

    **Arguments:**

    - `pydag`: a tree, in which one param may be referred to many times.

    **Returns:** a tree, from which `tree_unref` gives such a one again.
    """
    order: dict[int, int] = {}

    def visit(x: Tree) -> Any:
        if not is_param(x):
            return x
        if id(x) in order:
            return _Reference(order[id(x)])
        order[id(x)] = len(order)
        return like(x, x.get())

    return jtu.tree_map(visit, pydag, is_leaf=is_param)


def tree_unref(pytree: Tree) -> Any:
    """Return a copy of a tree in which the marks that `tree_ref` left are references to the one param again.

    **Arguments:**

    - `pytree`: a tree as `tree_ref` returns it.

    **Returns:** a tree, in which one param may be referred to many times. The params are copies.
    """
    params: list[Any] = []

    def visit(x: Tree) -> Any:
        if is_param(x):
            params.append(like(x, x.get()))
            return params[-1]
        return params[x.index] if isinstance(x, _Reference) else x

    return jtu.tree_map(visit, pytree, is_leaf=lambda x: is_param(x) or isinstance(x, _Reference))
