"""Masks: choosing params of a tree."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

import jax
import jax.tree_util as jtu
import numpy as np

from ..core import FACTS, BaseModule, BaseParam, Static, predicate, refuse_hidden, static_key
from ..functional import PerParam

_MISSING = object()


class M(PerParam):
    """A mask: selects params by type, union of types, predicate, another mask, or None for all.

    `M(mask)(tree)` is a copy of the tree that holds what matches (the very same objects) and None elsewhere. After
    `.to((a, b))` it holds a for what doesn't match and b for what does, one value for each param; statics and plain
    leaves get a value too. The copy is a tree of modules that can be edited: `mask.vodes[i].h = True`.

    `~`, `|` and `&` combine masks.

    **Arguments:**

    - `mask`: a type, a union such as `VodeParam | VodeParam.Cache`, a predicate of a param, a mask, or None.
    """

    def __init__(self, mask: Any) -> None:
        if isinstance(mask, M):
            self._choice: Any = mask
            self._chosen = mask.matches
        else:
            self._choice = mask
            self._chosen = predicate("pxu.M", mask)
        self._values: tuple[Any, Any] | None = None

    def matches(self, leaf: Any) -> bool:
        """Whether the mask selects `leaf`."""
        return bool(self._chosen(leaf))

    def to(self, map_to: Any) -> M:
        """The same mask with values: `(a, b)`, a for what doesn't match and b for what does; None for no values."""
        if map_to is not None and (not isinstance(map_to, (tuple, list)) or len(map_to) != 2):
            raise ValueError(f"pxu.M.to: expected a pair (no match, match) or None, got {map_to!r}")
        new = object.__new__(M)
        new._choice, new._chosen = self, self.matches
        new._values = None if map_to is None else (map_to[0], map_to[1])
        return new

    def value_for(self, leaf: Any) -> Any:
        """What the mask gives for one leaf: True or False if it has no values."""
        matches = self.matches(leaf)
        return matches if self._values is None else self._values[matches]

    def __call__(self, pydag: Any, is_pytree: bool = False) -> Any:
        """Apply the mask to a tree.

        **Arguments:**

        - `pydag`: any tree. A second reference to a shared param gives None; or
        - `is_pytree`: every reference counts by itself.
        """
        return _Masking(self, is_pytree).visit(pydag)

    def has(self, **attrs: Any) -> M:
        """What this mask selects and whose static attributes all have these values."""
        return _Has(self, attrs)

    def hasnot(self, **attrs: Any) -> M:
        """What this mask selects and whose static attributes are all missing or different."""
        return _HasNot(self, attrs)

    def __invert__(self) -> M:
        return _Not(self)

    def __or__(self, other: Any) -> M:
        return _Or(self, other)

    def __ror__(self, other: Any) -> M:
        return _Or(other, self)

    def __and__(self, other: Any) -> M:
        return _And(self, other)

    def __rand__(self, other: Any) -> M:
        return _And(other, self)

    def __static_key__(self) -> Hashable:
        choice = self._choice.__static_key__() if isinstance(self._choice, M) else static_key(self._choice)
        return (type(self).__name__, choice, static_key(self._values))


class _Combined(M):
    """A mask made of masks."""

    def __init__(self, *masks: Any) -> None:
        self._masks = tuple([m if isinstance(m, M) else M(m) for m in masks])
        self._values = None
        self._choice = self
        self._chosen = self.matches

    def __static_key__(self) -> Hashable:
        return (type(self).__name__, tuple([m.__static_key__() for m in self._masks]))


class _And(_Combined):
    def matches(self, leaf: Any) -> bool:
        return all(m.matches(leaf) for m in self._masks)


class _Or(_Combined):
    def matches(self, leaf: Any) -> bool:
        return any(m.matches(leaf) for m in self._masks)


class _Not(_Combined):
    def matches(self, leaf: Any) -> bool:
        return not self._masks[0].matches(leaf)


class _Has(_Combined):
    def __init__(self, mask: Any, attrs: dict[str, Any]) -> None:
        super().__init__(mask)
        self._attrs = attrs

    def matches(self, leaf: Any) -> bool:
        return self._masks[0].matches(leaf) and all(self._equal(leaf, k, v) for k, v in self._attrs.items())

    def _equal(self, leaf: Any, name: str, value: Any) -> bool:
        found = leaf._facts.get(name, _MISSING) if isinstance(leaf, BaseParam) else getattr(leaf, name, _MISSING)
        return found is not _MISSING and (found is value or bool(np.all(found == value)))

    def __static_key__(self) -> Hashable:
        return (*super().__static_key__(), static_key(self._attrs))  # type: ignore[misc]


class _HasNot(_Has):
    def matches(self, leaf: Any) -> bool:
        return self._masks[0].matches(leaf) and not any(self._equal(leaf, k, v) for k, v in self._attrs.items())


def M_is(*mask: Any) -> M:
    """The mask that selects what all of these select."""
    return _And(*mask)


def M_has(mask: Any, **attrs: Any) -> M:
    """What `mask` selects and whose static attributes all have these values, as in `M_has(VodeParam, frozen=True)`."""
    return M(mask).has(**attrs)


def M_hasnot(mask: Any, **attrs: Any) -> M:
    """What `mask` selects and whose static attributes are all missing or different."""
    return M(mask).hasnot(**attrs)


class _Masking:
    """One application of a mask: knows which shared objects were met."""

    def __init__(self, mask: M, is_pytree: bool) -> None:
        self.mask = mask
        self.is_pytree = is_pytree
        self.seen: set[int] = set()
        self.copies: dict[int, Any] = {}

    def _leaf(self, x: Any) -> Any:
        if self.mask._values is not None:
            return self.mask.value_for(x)
        return x if self.mask.matches(x) else None

    def visit(self, x: Any) -> Any:
        if x is None or isinstance(x, str):
            return x
        if isinstance(x, BaseParam):
            if not self.is_pytree:
                if id(x) in self.seen:
                    return None
                self.seen.add(id(x))
            return self._leaf(x)
        if isinstance(x, (Static, jax.Array, np.ndarray, np.generic, int, float, complex)):
            return self._leaf(x)
        if isinstance(x, (BaseModule, list, dict)):
            return self._container(x)
        if type(x) is tuple:
            return tuple([self.visit(v) for v in x])
        children, treedef = jtu.tree_flatten(x, is_leaf=lambda y: y is not x)
        if len(children) == 1 and children[0] is x:
            refuse_hidden(x, "pxu.M: " + type(x).__name__)
            return x  # a function or another constant
        return treedef.unflatten([self.visit(c) for c in children])

    def _container(self, x: Any) -> Any:
        if id(x) in self.copies and not (self.is_pytree and not isinstance(x, BaseModule)):
            return self.copies[id(x)]
        if isinstance(x, BaseModule):
            new: Any = object.__new__(type(x))
            self.copies[id(x)] = new
            attributes = vars(x)
            copied = {n: attributes[n] if n in FACTS else self.visit(attributes[n]) for n in sorted(attributes)}
            vars(new).update({n: copied[n] for n in attributes})
        elif isinstance(x, list):
            new = self.copies[id(x)] = []
            new.extend([self.visit(v) for v in x])
        else:
            new = self.copies[id(x)] = {}
            new.update({k: self.visit(x[k]) for k in _ordered(x)})
        return new


def _ordered(x: dict[Any, Any]) -> list[Any]:
    try:
        return sorted(x)
    except TypeError:
        return list(x)
