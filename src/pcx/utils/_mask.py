"""Masks: choosing params of a tree."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any, TypeAlias, Union

import numpy as np
from jaxtyping import PyTree

from ..core import BaseParam, Choice, Constant, Copy, OlderMask, OlderNames, predicate, refuse_hidden, static_key
from ..functional import PerParam

_MISSING = object()

MaskLike: TypeAlias = Union[Choice, "M"]
"""A type, a union of types, a predicate of a param, None for all, or a mask."""


class M(PerParam, OlderMask):
    """A mask: selects params by type, union of types, predicate, another mask, or None for all.

    `M(mask)(tree)` is a copy of the tree that holds what matches (the very same objects) and None elsewhere. After
    `.to((a, b))` it holds a for what doesn't match and b for what does, one value for each param; statics and plain
    leaves get a value too. The copy is a tree of modules that can be edited: `mask.vodes[i].h = True`.

    `~`, `|` and `&` combine masks.

    **Arguments:**

    - `mask`: a type, a union such as `VodeParam | VodeParam.Cache`, a predicate of a param, a mask, or None.

    **Raises:** `TypeError` for anything else.
    """

    def __init__(self, mask: MaskLike) -> None:
        if isinstance(mask, M):
            self._choice: Any = mask
            self._chosen = mask.matches
        else:
            self._choice = mask
            self._chosen = predicate("pxu.M", mask)
        self._values: tuple[Any, Any] | None = None

    def matches(self, leaf: object) -> bool:
        """Return whether the mask selects a leaf.

        **Arguments:**

        - `leaf`: a param, or another leaf of a tree.

        **Returns:** True or False.
        """
        return bool(self._chosen(leaf))

    def to(self, map_to: tuple[Any, Any] | list[Any] | None) -> M:
        """Return this mask with values.

        **Arguments:**

        - `map_to`: a pair `(a, b)`, a for what doesn't match and b for what does; None for no values.

        **Returns:** a new mask.

        **Raises:** `ValueError` for anything else.
        """
        if map_to is not None and (not isinstance(map_to, (tuple, list)) or len(map_to) != 2):
            raise ValueError(f"pxu.M.to: expected a pair (no match, match) or None, got {map_to!r}")
        new = object.__new__(M)
        new._choice, new._chosen = self, self.matches
        new._values = None if map_to is None else (map_to[0], map_to[1])
        return new

    def value_for(self, leaf: object) -> Any:
        """Return the value of one leaf.

        **Arguments:**

        - `leaf`: a param, or another leaf of a tree.

        **Returns:** one of the pair given to `to`; True or False if there is none.
        """
        matches = self.matches(leaf)
        return matches if self._values is None else self._values[matches]

    def __call__(self, pydag: PyTree, is_pytree: bool = False) -> Any:
        """Apply the mask to a tree.

        **Arguments:**

        - `pydag`: any tree.
        - `is_pytree`: whether every reference to a shared param counts by itself; if not, those after the first give
            None, as the marks of `px.tree_ref` do.

        **Returns:** a tree of the same form. Functions and other constants stay as they are.

        **Raises:** `TypeError` for a constant with params inside, which would not be found.
        """
        return Copy(self._leaf, is_pytree, _without_params).visit(pydag)

    def _leaf(self, x: object) -> Any:
        if self._values is not None:
            return self.value_for(x)
        return x if self.matches(x) else None

    def has(self, **attrs: object) -> M:
        """Return the mask of what this one selects and whose static attributes all have these values.

        **Arguments:**

        - `attrs`: values by name, as in `frozen=True`.

        **Returns:** a new mask.
        """
        return _Has(self, attrs)

    def hasnot(self, **attrs: object) -> M:
        """Return the mask of what this one selects and whose static attributes are all missing or different.

        **Arguments:**

        - `attrs`: values by name, as in `frozen=True`.

        **Returns:** a new mask.
        """
        return _HasNot(self, attrs)

    def __invert__(self) -> M:
        return _Not(self)

    def __or__(self, other: MaskLike) -> M:
        return _Or(self, other)

    def __ror__(self, other: MaskLike) -> M:
        return _Or(other, self)

    def __and__(self, other: MaskLike) -> M:
        return _And(self, other)

    def __rand__(self, other: MaskLike) -> M:
        return _And(other, self)

    def __static_key__(self) -> Hashable:
        choice = self._choice.__static_key__() if isinstance(self._choice, M) else static_key(self._choice)
        return (type(self).__name__, choice, static_key(self._values))


def _without_params(x: Constant) -> Constant:
    refuse_hidden(x, "pxu.M: " + type(x).__name__)
    return x


class _Combined(M):
    """A mask made of masks."""

    def __init__(self, *masks: MaskLike) -> None:
        self._masks = tuple([m if isinstance(m, M) else M(m) for m in masks])
        self._values = None
        self._choice = self
        self._chosen = self.matches

    def __static_key__(self) -> Hashable:
        return (type(self).__name__, tuple([m.__static_key__() for m in self._masks]))


class _And(_Combined):
    def matches(self, leaf: object) -> bool:
        return all(m.matches(leaf) for m in self._masks)


class _Or(_Combined):
    def matches(self, leaf: object) -> bool:
        return any(m.matches(leaf) for m in self._masks)


class _Not(_Combined):
    def matches(self, leaf: object) -> bool:
        return not self._masks[0].matches(leaf)


class _Has(_Combined):
    def __init__(self, mask: MaskLike, attrs: dict[str, object]) -> None:
        super().__init__(mask)
        self._attrs = attrs

    def matches(self, leaf: object) -> bool:
        return self._masks[0].matches(leaf) and all(self._equal(leaf, k, v) for k, v in self._attrs.items())

    def _equal(self, leaf: object, name: str, value: object) -> bool:
        found = leaf._facts.get(name, _MISSING) if isinstance(leaf, BaseParam) else getattr(leaf, name, _MISSING)
        return found is not _MISSING and (found is value or bool(np.all(found == value)))

    def __static_key__(self) -> Hashable:
        return (*super().__static_key__(), static_key(self._attrs))  # type: ignore[misc]


class _HasNot(_Has):
    def matches(self, leaf: object) -> bool:
        return self._masks[0].matches(leaf) and not any(self._equal(leaf, k, v) for k, v in self._attrs.items())


def M_is(*mask: MaskLike) -> M:
    """Return the mask of what all of some masks select.

    **Arguments:**

    - `mask`: masks, or what `M` takes.

    **Returns:** a mask.
    """
    return _And(*mask)


def M_has(mask: MaskLike, **attrs: object) -> M:
    """Return the mask of what `mask` selects and whose static attributes all have these values, as in
    `M_has(VodeParam, frozen=True)`.

    **Arguments:**

    - `mask`: a mask, or what `M` takes.
    - `attrs`: values by name.

    **Returns:** a mask.
    """
    return M(mask).has(**attrs)


def M_hasnot(mask: MaskLike, **attrs: object) -> M:
    """Return the mask of what `mask` selects and whose static attributes are all missing or different.

    **Arguments:**

    - `mask`: a mask, or what `M` takes.
    - `attrs`: values by name.

    **Returns:** a mask.
    """
    return M(mask).hasnot(**attrs)


_older = OlderNames(M)
Mask, m = _older.Mask, _older.m
