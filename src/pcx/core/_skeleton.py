"""Skeletons: what tracked objects are apart from their values, and how copies of them are made."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from ._anatomy import RECORDS
from ._parameter import BaseParam, like
from ._static import Static


class Skeleton:
    """What a plan knows that doesn't depend on the values: structure, types, facts, constants."""

    __slots__ = (
        "_leaves",
        "_parts",
        "ends",
        "fact_homes",
        "guards",
        "holds_key",
        "homes",
        "key",
        "param_paths",
        "params",
        "raw_paths",
        "roots",
        "volatile",
    )

    def __init__(self) -> None:
        self.key: Any = None  # a tuple of (keyword, key of the object); None if the walk made no keys
        self.roots: dict[str, Any] = {}  # keyword -> node, in the order of the keywords
        self.params: list[BaseParam] = []  # empty params of the right type, with their facts
        self.param_paths: list[str] = []
        self.raw_paths: list[str] = []
        # What the plan of a copy needs to know (see `_copies`).
        self.homes: list[Any] = []  # where each container to be checked is: a number of the memo, a node, or itself
        self.fact_homes: list[tuple[int, str]] = []  # the module of each fact, by number, and the attribute
        self.guards: list[tuple[Any, list[Any]]] = []  # containers inside static values, and what they held
        self.ends: list[tuple[int, int, int, int]] = []  # params, raws, facts and homes up to the end of each root
        self.holds_key = False  # whether some object refers to the param of the global key
        self.volatile = False  # whether something may change in ways that no check can see
        self._leaves: dict[str, list[tuple[str, int]]] = {}
        self._parts: dict[tuple[str, ...], Skeleton] = {}

    def build(
        self, params: Sequence[Any], raws: Sequence[Any], facts: Sequence[Any], memo: dict[Any, Any] | None = None
    ) -> dict[str, Any]:
        """Copies of the tracked objects that hold `params` (any objects), `raws` and `facts` in place of their own. An
        empty `memo` receives the new containers by number."""
        memo = {} if memo is None else memo
        memo["facts"] = facts
        return {name: node.build(params, raws, memo) for name, node in self.roots.items()}

    def without_values(self, numbers: Mapping[int, Any], facts: Sequence[Any]) -> Any:
        """Return the first of the objects, with params that hold nothing and arrays of no size."""
        params = [like(p, None) for p in self.params]
        raws = [numbers.get(i, np.zeros(0, np.float32)) for i in range(len(self.raw_paths))]
        return next(iter(self.build(params, raws, facts).values()))

    def leaves(self, name: str) -> list[tuple[str, int]]:
        """The params and raw leaves under a keyword."""
        found = self._leaves.get(name)
        if found is None:
            found = self._leaves[name] = leaves_of(self.roots[name])
        return found

    def part(self, names: tuple[str, ...]) -> Skeleton:
        """The skeleton of the first few of the objects under other keywords: as a walk over these would make it."""
        found = self._parts.get(names)
        if found is not None:
            return found
        n_params, _, n_facts, n_homes = self.ends[len(names) - 1]
        new = self._parts[names] = Skeleton()
        new.roots = dict(zip(names, self.roots.values(), strict=False))
        if self.key is not None:
            new.key = tuple([(name, key) for name, (_, key) in zip(names, self.key, strict=False)])
        new.params = self.params[:n_params]
        new.param_paths, new.raw_paths = self.param_paths[:1], []
        start = (1, 0)
        for name, old, end in zip(names, self.roots, self.ends, strict=False):
            new.param_paths += [name + path[len(old) :] for path in self.param_paths[start[0] : end[0]]]
            new.raw_paths += [name + path[len(old) :] for path in self.raw_paths[start[1] : end[1]]]
            start = end[:2]
        new.homes, new.fact_homes, new.guards = self.homes[:n_homes], self.fact_homes[:n_facts], self.guards
        new.ends = self.ends[: len(names)]
        new.holds_key, new.volatile = self.holds_key, self.volatile
        return new


class _ParamNode:
    __slots__ = ("index",)

    def __init__(self, index: int) -> None:
        self.index = index

    def build(self, params: Sequence[Any], raws: Sequence[Any], memo: dict[Any, Any]) -> Any:
        return params[self.index]


class _RawNode:
    __slots__ = ("index",)

    def __init__(self, index: int) -> None:
        self.index = index

    def build(self, params: Sequence[Any], raws: Sequence[Any], memo: dict[Any, Any]) -> Any:
        return raws[self.index]


class _FactNode:
    __slots__ = ("index",)

    def __init__(self, index: int) -> None:
        self.index = index

    def build(self, params: Sequence[Any], raws: Sequence[Any], memo: dict[Any, Any]) -> Any:
        return memo["facts"][self.index]


class _ConstNode:
    __slots__ = ("copies", "value")

    def __init__(self, value: Any) -> None:
        self.value = value
        self.copies = _is_copied(value)

    def build(self, params: Sequence[Any], raws: Sequence[Any], memo: dict[Any, Any]) -> Any:
        if not self.copies:
            return self.value
        # A list or dict inside is copied: what the traced function does to it must not reach the caller's.
        new = memo[self] = _copied(self.value)
        return new


class _StaticNode(_ConstNode):
    __slots__ = ()

    def build(self, params: Sequence[Any], raws: Sequence[Any], memo: dict[Any, Any]) -> Any:
        return Static(super().build(params, raws, memo))


class _AgainNode:
    __slots__ = ("memo",)

    def __init__(self, memo: int) -> None:
        self.memo = memo

    def build(self, params: Sequence[Any], raws: Sequence[Any], memo: dict[Any, Any]) -> Any:
        return memo[self.memo]


class _ModuleNode:
    __slots__ = ("children", "cls", "memo", "order")

    def __init__(self, cls: type, memo: int, children: list[tuple[str, Any]], order: list[str]) -> None:
        self.cls, self.memo = cls, memo
        self.children = children  # in the order of the walk: a reference comes after what it refers to
        self.order = order  # in which the names were assigned

    def build(self, params: Sequence[Any], raws: Sequence[Any], memo: dict[Any, Any]) -> Any:
        new = memo[self.memo] = object.__new__(self.cls)
        attributes = vars(new)
        attributes.update(dict.fromkeys(self.order))
        for name, child in self.children:
            attributes[name] = child.build(params, raws, memo)
        return new


class _ListNode:
    __slots__ = ("children", "memo")

    def __init__(self, memo: int, children: list[Any]) -> None:
        self.memo, self.children = memo, children

    def build(self, params: Sequence[Any], raws: Sequence[Any], memo: dict[Any, Any]) -> Any:
        new: list[Any] = []
        memo[self.memo] = new
        new.extend([child.build(params, raws, memo) for child in self.children])
        return new


class _DictNode:
    __slots__ = ("children", "make", "memo", "order")

    def __init__(
        self, make: Callable[[], dict[Any, Any]], memo: int, children: list[tuple[Any, Any]], order: list[Any]
    ) -> None:
        self.make, self.memo = make, memo
        self.children, self.order = children, order  # as for a module

    def build(self, params: Sequence[Any], raws: Sequence[Any], memo: dict[Any, Any]) -> Any:
        new = self.make()
        memo[self.memo] = new
        built = {}
        for name, child in self.children:
            built[name] = child.build(params, raws, memo)
        for name in self.order:
            new[name] = built[name]
        return new


class _PytreeNode:
    __slots__ = ("children", "treedef")

    def __init__(self, treedef: Any, children: list[Any]) -> None:
        self.treedef, self.children = treedef, children

    def build(self, params: Sequence[Any], raws: Sequence[Any], memo: dict[Any, Any]) -> Any:
        return self.treedef.unflatten([child.build(params, raws, memo) for child in self.children])


def leaves_of(node: Any) -> list[tuple[str, int]]:
    """The params and raw leaves under a node of a skeleton, by kind and index."""
    found: list[tuple[str, int]] = []
    todo = [node]
    while todo:
        node = todo.pop()
        cls = type(node)
        if cls is _ParamNode:
            found.append(("param", node.index))
        elif cls is _RawNode:
            found.append(("raw", node.index))
        elif cls is _ModuleNode or cls is _DictNode:
            todo.extend([child for _, child in node.children])
        elif cls is _ListNode or cls is _PytreeNode:
            todo.extend(node.children)
    return found


def statics_of(node: Any) -> list[Any]:
    """The static values under a node of a skeleton."""
    found: list[Any] = []
    todo = [node]
    while todo:
        node = todo.pop()
        cls = type(node)
        if cls is _StaticNode:
            found.append(node.value)
        elif cls is _ModuleNode or cls is _DictNode:
            todo.extend([child for _, child in node.children])
        elif cls is _ListNode or cls is _PytreeNode:
            todo.extend(node.children)
    return found


def _is_copied(x: Any) -> bool:
    """Whether there are containers in `x` that `_copied` copies."""
    return isinstance(x, (list, dict, set, bytearray, *RECORDS)) or (type(x) is tuple and any(map(_is_copied, x)))


def _copied(x: Any) -> Any:
    """A copy of the containers in `x`: what a traced function does to them must not reach the caller's."""
    if isinstance(x, list):
        new = copy.copy(x)
        new[:] = [_copied(v) for v in x]
        return new
    if isinstance(x, dict):
        new = copy.copy(x)
        for k, v in x.items():
            new[k] = _copied(v)
        return new
    if type(x) is tuple:
        return tuple([_copied(v) for v in x])
    if isinstance(x, RECORDS):
        new = copy.copy(x)
        vars(new).update(_copied(vars(x)))
        return new
    return copy.copy(x) if isinstance(x, (set, bytearray)) else x
