"""Copies of trees of modules with other leaves, which users edit."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from jaxtyping import PyTree

from ..core import MAY_HOLD_ITSELF, Kind, Setting, inside, kind_of, ordered, refuse_hidden, treedef_of


class Copy:
    """A copy of a tree with another value in the place of each leaf, and the shared objects that were met.

    **Arguments:**

    - `leaf`: the value for a param, a static or a plain leaf.
    - `is_pytree`: whether every reference to a shared param counts by itself; if not, those after the first give None.
    """

    def __init__(self, leaf: Callable[[object], Any], is_pytree: bool) -> None:
        self.leaf = leaf
        self.is_pytree = is_pytree
        self.seen: set[int] = set()
        self.copies: dict[int, Any] = {}

    def visit(self, x: PyTree) -> Any:
        """Return the copy of a tree.

        **Arguments:**

        - `x`: a tree, or a part of one.

        **Returns:** a tree of the same form. Functions and other constants stay as they are.

        **Raises:** `TypeError` for a constant with params inside, which would not be found.
        """
        kind = kind_of(x)
        if kind in MAY_HOLD_ITSELF:  # modules, lists, dicts
            return self._container(x, kind)
        if kind is Kind.PARAM:
            if not self.is_pytree:
                if id(x) in self.seen:
                    return None
                self.seen.add(id(x))
            return self.leaf(x)
        if kind is Kind.STATIC:
            return x.copy() if isinstance(x, Setting) else self.leaf(x)
        if kind is Kind.LEAF:
            return self.leaf(x)
        if kind is Kind.TUPLE:
            return tuple([self.visit(v) for v in x])
        if kind is Kind.TREE:
            return treedef_of(x).unflatten([self.visit(v) for v in inside(x, kind)])
        if x is not None and not isinstance(x, str):  # a function or another constant
            refuse_hidden(x, "pxu.M: " + type(x).__name__)
        return x

    def _container(self, x: PyTree, kind: Kind) -> Any:
        if id(x) in self.copies and not (self.is_pytree and kind is not Kind.MODULE):
            return self.copies[id(x)]
        if kind is Kind.LIST:
            items: list[Any] = []
            self.copies[id(x)] = items
            items.extend([self.visit(v) for v in x])
            return items
        new: Any = object.__new__(type(x)) if kind is Kind.MODULE else {}
        self.copies[id(x)] = new
        children = vars(x) if kind is Kind.MODULE else x
        visited = {name: self.visit(children[name]) for name in ordered(children)}
        if kind is Kind.MODULE:
            vars(new).update({name: visited[name] for name in children})
        else:
            new.update(visited)
        return new
