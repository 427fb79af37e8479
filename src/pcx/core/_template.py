"""Templates: what tracked objects are apart from their values, and how copies of them are made."""

from __future__ import annotations

import argparse
import copy
import types
from collections.abc import Callable, Hashable, Sequence
from typing import Any

from ._param import BaseParam
from ._static import Static

# Records of plain attributes, compared by content.
RECORDS = (types.SimpleNamespace, argparse.Namespace)


class Template:
    """What a plan knows that doesn't depend on the values: structure, types, facts, constants."""

    __slots__ = ("key", "nodes", "param_paths", "params", "raw_paths", "roots")

    def __init__(self) -> None:
        self.key: Hashable = None
        self.roots: dict[str, Any] = {}  # keyword -> node
        self.params: list[BaseParam] = []  # empty params of the right type, with their facts
        self.param_paths: list[str] = []
        self.raw_paths: list[str] = []

    def build(self, params: Sequence[Any], raws: Sequence[Any], facts: Sequence[Any]) -> dict[str, Any]:
        """Copies of the tracked objects that hold `params` (any objects), `raws` and `facts` in place of their own."""
        memo: dict[Any, Any] = {"facts": facts}
        return {name: node.build(params, raws, memo) for name, node in self.roots.items()}


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
    __slots__ = ("value",)

    def __init__(self, value: Any) -> None:
        self.value = value

    def build(self, params: Sequence[Any], raws: Sequence[Any], memo: dict[Any, Any]) -> Any:
        return _copied(self.value)


class _StaticNode:
    __slots__ = ("value",)

    def __init__(self, value: Any) -> None:
        self.value = value

    def build(self, params: Sequence[Any], raws: Sequence[Any], memo: dict[Any, Any]) -> Any:
        # A list or dict inside is copied: what the traced function does to it must not reach the caller's.
        return Static(_copied(self.value))


class _AgainNode:
    __slots__ = ("memo",)

    def __init__(self, memo: int) -> None:
        self.memo = memo

    def build(self, params: Sequence[Any], raws: Sequence[Any], memo: dict[Any, Any]) -> Any:
        return memo[self.memo]


class _ModuleNode:
    __slots__ = ("children", "cls", "memo")

    def __init__(self, cls: type, memo: int, children: list[tuple[str, Any]]) -> None:
        self.cls, self.memo, self.children = cls, memo, children

    def build(self, params: Sequence[Any], raws: Sequence[Any], memo: dict[Any, Any]) -> Any:
        new = memo[self.memo] = object.__new__(self.cls)
        attributes = vars(new)
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
    __slots__ = ("children", "make", "memo")

    def __init__(self, make: Callable[[], dict[Any, Any]], memo: int, children: list[tuple[Any, Any]]) -> None:
        self.make, self.memo, self.children = make, memo, children

    def build(self, params: Sequence[Any], raws: Sequence[Any], memo: dict[Any, Any]) -> Any:
        new = self.make()
        memo[self.memo] = new
        for name, child in self.children:
            new[name] = child.build(params, raws, memo)
        return new


class _PytreeNode:
    __slots__ = ("children", "treedef")

    def __init__(self, treedef: Any, children: list[Any]) -> None:
        self.treedef, self.children = treedef, children

    def build(self, params: Sequence[Any], raws: Sequence[Any], memo: dict[Any, Any]) -> Any:
        return self.treedef.unflatten([child.build(params, raws, memo) for child in self.children])


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
