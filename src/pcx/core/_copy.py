"""Copies of trees with other leaves, which users edit: masks, gradients, updates."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ._anatomy import MAY_HOLD_ITSELF, Kind, inside, kind_of, met_first, treedef_of
from ._static import LooseSetting, Setting
from ._tree import Reference
from ._types import Constant, Tree


def _itself(x: Constant) -> Any:
    return x


def _empty(x: Tree, kind: Kind) -> Any:
    if kind is Kind.LIST:
        return []
    if kind is Kind.MODULE:
        return object.__new__(type(x))
    factory = getattr(x, "default_factory", None)
    return type(x)() if factory is None else type(x)(factory)


class Copy:
    """A copy of a tree with another value in the place of each leaf.

    A shared module or list is copied for each place that it stands in, as in a tree of JAX; in one that holds itself,
    the copy does.

    **Arguments:**

    - `leaf`: the value for a param, a static or a plain leaf.
    - `is_pytree`: whether every reference to a shared param counts by itself; if not, those after the first give None.
      The first is that which was assigned first.
    - `constant`: the value for a function, a string or another constant; these stay as they are, if left out.
    - `is_form`: whether the copy is for the structure of arrays alone: a tree without circles, in which no trace has a
      part.
    """

    def __init__(
        self,
        leaf: Callable[[object], Any],
        is_pytree: bool = False,
        constant: Callable[[Constant], Any] = _itself,
        is_form: bool = False,
    ) -> None:
        self.leaf = leaf
        self.is_pytree = is_pytree
        self.constant = constant
        self.is_form = is_form
        self._seen: set[int] = set()
        self._open: dict[int, Any] = {}  # what is being copied

    def visit(self, x: Tree) -> Any:
        """Return the copy of a tree, or of a part of one."""
        kind = kind_of(x)
        if kind in MAY_HOLD_ITSELF:  # modules, lists, dicts
            return self._container(x, kind)
        if kind is Kind.PARAM:
            if not self.is_pytree:
                if id(x) in self._seen:
                    return None
                self._seen.add(id(x))
            return self.leaf(x)
        if kind is Kind.STATIC:
            if not isinstance(x, Setting):
                return self.leaf(x)
            return LooseSetting(x._value) if self.is_form else x.copy()
        if kind is Kind.LEAF:
            return self.leaf(x)
        if kind is Kind.TUPLE:
            return tuple([self.visit(v) for v in x])
        if kind is Kind.TREE:
            if isinstance(x, Reference):  # stands for a param met before
                return None
            return treedef_of(x).unflatten([self.visit(v) for v in inside(x, kind)])
        return None if x is None else self.constant(x)

    def _container(self, x: Tree, kind: Kind) -> Any:
        if id(x) in self._open:
            return None if self.is_form else self._open[id(x)]
        new: Any = _empty(x, kind)
        self._open[id(x)] = new
        if kind is Kind.LIST:
            new.extend([self.visit(v) for v in x])
        else:
            children = vars(x) if kind is Kind.MODULE else x
            visited = {name: self.visit(children[name]) for name in met_first(x, kind)}
            (vars(new) if kind is Kind.MODULE else new).update({name: visited[name] for name in children})
        del self._open[id(x)]
        return new
