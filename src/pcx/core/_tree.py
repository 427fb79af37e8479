"""Walking, reading and writing the params of a tree."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import jax.tree_util as jtu

from ._parameter import get
from ._static import is_param
from ._types import Tree, Value


def tree_apply(fn: Callable[[Any], None], filter_fn: Callable[[Any], bool], tree: Tree, recursive: bool = True) -> None:
    """Call `fn` on every node of `tree` (params, modules and leaves alike) for which `filter_fn` is true.

    **Arguments:**

    - `fn`: called with the node, outer nodes before inner ones; a shared one once for each place that it stands in.
    - `filter_fn`: says which nodes.
    - `tree`: any pytree.
    - `recursive`: whether to go on inside a node that `fn` was called on.
    """

    def visit(x: Tree) -> bool:
        if not filter_fn(x):
            return False
        fn(x)
        return not recursive

    jtu.tree_leaves(tree, is_leaf=visit)


def _row(*nodes: Tree) -> Any:
    return nodes[0] if len(nodes) == 1 else nodes


def tree_extract(
    pydag: Tree,
    *rest: Tree,
    extract_fn: Callable[..., Any] = _row,
    filter_fn: Callable[[Any], bool] = is_param,
    is_pytree: bool = False,
) -> tuple[Any, ...]:
    """Return the params of a tree, each once, in the order of its leaves.

    **Arguments:**

    - `pydag`: a tree, in which one param may be referred to many times.
    - `rest`: trees of the same structure; what they hold at the same places is extracted with it, as a tuple.
    - `extract_fn`: applied to each node found; if `rest` is given, what stands there in those are further arguments.
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
        found.append(extract_fn(*row))
    return tuple(found)


def _set(target: Any, value: Value) -> None:
    target.set(value)


def tree_inject(
    pydag: Tree,
    *,
    params: Tree = None,
    values: Sequence[Any] | None = None,
    inject_fn: Callable[[Any, Any], None] = _set,
    filter_fn: Callable[[Any], bool] = is_param,
    is_pytree: bool = False,
    strict: bool = True,
) -> Any:
    """Write the params of a tree, each once, in the order in which `tree_extract` gives them.

    **Arguments:**

    - `pydag`: the tree to write to.
    - `params`: a tree to take the values from: of params, as `tree_extract` reads it, or a sequence of values; or
    - `values`: a sequence of values, or of params that hold them.
    - `inject_fn`: called with each target and its value.
    - `filter_fn`, `is_pytree`: as in `tree_extract`.
    - `strict`: whether the number of values must fit.

    **Returns:** `pydag`.

    **Raises:** `ValueError` if there are too many or too few values (nothing is written then), or if not exactly
    one of `params` and `values` is given.
    """
    if (params is None) == (values is None):
        raise ValueError("tree_inject: give either `params` or `values`")
    targets = tree_extract(pydag, filter_fn=filter_fn, is_pytree=is_pytree)
    if values is not None:
        sources: Sequence[Any] = list(values)
    else:
        sources = tree_extract(params, filter_fn=filter_fn, is_pytree=is_pytree)
        if not sources and isinstance(params, (list, tuple)):
            sources = params
    if strict and len(sources) != len(targets):
        many = "many" if len(sources) > len(targets) else "few"
        raise ValueError(
            f"tree_inject: too {many} values: the tree has {len(targets)} params, {len(sources)} values were given"
        )
    # All are read before the first is written: a tree may be given to itself in another order.
    for target, value in zip(targets, [get(source) for source in sources], strict=False):
        inject_fn(target, value)
    return pydag


class Reference:
    """Stands in a tree for a param met before; a pytree without leaves.

    **Arguments:**

    - `back`: how many params before this place in the tree the param stands, so that a tree may become part of another.
    - `level`: how often `tree_ref` was applied to the tree since this was put there.
    """

    __slots__ = ("back", "level")

    def __init__(self, back: int, level: int = 0) -> None:
        self.back, self.level = back, level

    def __repr__(self) -> str:
        return f"reference(-{self.back})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Reference) and (self.back, self.level) == (other.back, other.level)

    def __hash__(self) -> int:
        return hash((Reference, self.back, self.level))


jtu.register_pytree_node(Reference, lambda r: ((), (r.back, r.level)), lambda aux, _: Reference(*aux))


def _is_place(x: Tree) -> bool:
    return is_param(x) or isinstance(x, Reference)


def tree_ref(pydag: Tree) -> Any:
    """Return a copy of a tree in which every further reference to a param is replaced by a mark without leaves, so
    that each value is a leaf once. The params themselves are the very same objects.

    **Arguments:**

    - `pydag`: a tree, in which one param may be referred to many times; or what `tree_ref` returned.

    **Returns:** a tree, from which `tree_unref` gives such a one again.
    """
    order: dict[int, int] = {}

    def visit(x: Tree) -> Any:
        if isinstance(x, Reference):
            return Reference(x.back, x.level + 1)
        if not is_param(x):
            return x
        if id(x) in order:
            return Reference(len(order) - order[id(x)])
        order[id(x)] = len(order)
        return x

    return jtu.tree_map(visit, pydag, is_leaf=_is_place)


def tree_unref(pytree: Tree) -> Any:
    """Return a copy of a tree in which the marks that `tree_ref` left are references to the one param again.

    **Arguments:**

    - `pytree`: a tree as `tree_ref` returns it.

    **Returns:** a tree, in which one param may be referred to many times. The params are the very same objects.
    """
    params: list[Any] = []

    def visit(x: Tree) -> Any:
        if isinstance(x, Reference):
            return Reference(x.back, x.level - 1) if x.level else params[len(params) - x.back]
        if is_param(x):
            params.append(x)
        return x

    return jtu.tree_map(visit, pytree, is_leaf=_is_place)
