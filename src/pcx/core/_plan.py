"""The walk over the tracked objects of a call, and the plan it leaves.

A plan says where the params of some objects are, what the rest of those objects is (the *template*, compared by
key), and how to make copies of them around other values. Walking is slow next to a compiled step, so a plan is kept on
the object that it describes and checked on the next call: a check compares, by identity, what every mutable
container held when it was walked.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Hashable, Sequence
from itertools import chain
from typing import Any

import jax
import jax.tree_util as jtu
import numpy as np

from ._key import ById, static_key
from ._module import FACTS, BaseModule
from ._param import BaseParam, like
from ._random import RKG
from ._static import Static

_NUMBERS = (int, float, complex)
_ARRAYS = (jax.Array, np.ndarray, np.generic)
_LEAVES = _ARRAYS + _NUMBERS
_KEPT_PLANS = 8


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


class Plan:
    """A template, and where the values are in one set of objects."""

    __slots__ = ("_dicts", "_expected", "_facts", "_keep", "_lengths", "_lists", "_volatile")
    __slots__ += ("facts", "params", "raws", "records", "template")

    def __init__(self) -> None:
        self.template = Template()
        self.params: list[BaseParam] = [RKG.key]
        self.raws: list[Any] = []
        self.facts: list[Any] = []  # modes and statuses
        self.records: dict[Any, Any] = {}  # what a compiled transform remembers for this plan
        self._keep: tuple[Any, ...] = ()
        self._dicts: list[dict[Any, Any]] = []
        self._lists: list[list[Any]] = []
        self._volatile = False

    @property
    def n(self) -> int:
        """Number of params, the global key first."""
        return len(self.params)

    def seal(self, roots: tuple[Any, ...]) -> None:
        """Remember what every container holds now."""
        self._keep = roots  # so that the identities that a plan is found by stay theirs
        self._facts = [p._facts for p in self.params]
        self._expected = self._contents()
        self._lengths = self._sizes()

    def _contents(self) -> list[Any]:
        held: list[Any] = []
        extend = held.extend
        for d in self._dicts:
            extend(d)
            extend(d.values())
        for items in self._lists:
            extend(items)
        return held

    def _sizes(self) -> list[int]:
        return list(map(len, chain(self._dicts, self._lists)))

    def still_true(self) -> bool:
        """Whether the objects are structured as they were when they were walked."""
        if self._volatile:
            return False
        facts = [p._facts for p in self.params]
        return (
            self._sizes() == self._lengths
            and all(map(operator.is_, self._contents(), self._expected))
            and all(map(operator.is_, facts, self._facts))
        )


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
        return self.value


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


class _Walk:
    """One walk: fills a plan, depth first, attributes in the order of their names."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.template = plan.template
        self.param_ids: dict[int, int] = {id(RKG.key): 0}
        self.memo: dict[int, int] = {}
        self.keep: list[Any] = []  # objects whose identity the memo uses

    def visit(self, x: Any, path: str) -> tuple[Any, Hashable]:
        cls = type(x)
        if isinstance(x, BaseParam):
            return self._param(x, path)
        if isinstance(x, BaseModule):
            return self._module(x, cls, path)
        if cls is list:
            return self._list(x, path)
        if cls is dict or isinstance(x, dict):
            return self._dict(x, cls, path)
        if cls is tuple:
            visited = [self.visit(v, f"{path}[{i}]") for i, v in enumerate(x)]
            node = _PytreeNode(jtu.tree_structure((0,) * len(x)), [n for n, _ in visited])
            return node, (tuple, tuple([k for _, k in visited]))
        if isinstance(x, Static):
            self._guard_static(x._wrapped)
            return _StaticNode(x._wrapped), ("static", static_key(x._wrapped))
        if isinstance(x, _LEAVES):
            self.plan.raws.append(x)
            self.template.raw_paths.append(path)
            return _RawNode(len(self.plan.raws) - 1), "leaf"
        if x is None or cls is str:
            return _ConstNode(x), (cls, x)
        children, treedef = jtu.tree_flatten(x, is_leaf=lambda y: y is not x)
        if len(children) == 1 and children[0] is x:  # no pytree: a function or any other object
            return _ConstNode(x), static_key(x)
        return self._pytree(x, children, treedef, path)

    def _param(self, x: BaseParam, path: str) -> tuple[Any, Hashable]:
        index = self.param_ids.get(id(x))
        if index is not None:
            return _ParamNode(index), ("param", index)
        index = self.param_ids[id(x)] = len(self.plan.params)
        self.plan.params.append(x)
        self.template.params.append(like(x, None))
        self.template.param_paths.append(path)
        facts = x._facts
        fact_key = tuple([(k, static_key(facts[k])) for k in sorted(facts)]) if facts else ()
        return _ParamNode(index), (type(x), index, fact_key)

    def _seen(self, x: Any) -> tuple[Any, Hashable] | int:
        again = self.memo.get(id(x))
        if again is not None:
            return _AgainNode(again), ("again", again)
        self.keep.append(x)
        number = self.memo[id(x)] = len(self.memo)
        return number

    def _module(self, x: BaseModule, cls: type, path: str) -> tuple[Any, Hashable]:
        if x is RKG:
            return _ConstNode(x), ("RKG",)
        number = self._seen(x)
        if not isinstance(number, int):
            return number
        attributes = vars(x)
        self.plan._dicts.append(attributes)
        visited = {
            name: self._fact(attributes[name]) if name in FACTS else self.visit(attributes[name], f"{path}.{name}")
            for name in sorted(attributes)
        }
        node = _ModuleNode(cls, number, [(name, visited[name][0]) for name in attributes])
        return node, (cls, number, tuple([(name, key) for name, (_, key) in visited.items()]))

    def _fact(self, x: Any) -> tuple[Any, Hashable]:
        # Mode and status are no part of the key: a compiled function depends on those that it reads.
        self.plan.facts.append(x)
        return _FactNode(len(self.plan.facts) - 1), "fact"

    def _list(self, x: list[Any], path: str) -> tuple[Any, Hashable]:
        number = self._seen(x)
        if not isinstance(number, int):
            return number
        self.plan._lists.append(x)
        visited = [self.visit(v, f"{path}[{i}]") for i, v in enumerate(x)]
        return _ListNode(number, [n for n, _ in visited]), (list, number, tuple([k for _, k in visited]))

    def _dict(self, x: dict[Any, Any], cls: type, path: str) -> tuple[Any, Hashable]:
        number = self._seen(x)
        if not isinstance(number, int):
            return number
        self.plan._dicts.append(x)
        names = list(x)
        try:  # order of insertion is no part of the structure, as in JAX
            ordered = sorted(names)
        except TypeError:
            ordered = names
        visited = {name: self.visit(x[name], f"{path}[{name!r}]") for name in ordered}
        factory = getattr(x, "default_factory", None)
        make = (lambda: cls(factory)) if factory is not None else cls
        node = _DictNode(make, number, [(name, visited[name][0]) for name in names])
        keys = tuple([(static_key(name), key) for name, (_, key) in visited.items()])
        return node, (cls, number, static_key(factory), keys)

    def _pytree(self, x: Any, children: list[Any], treedef: Any, path: str) -> tuple[Any, Hashable]:
        # A registered node of another library: an Equinox layer, a named tuple, an optimiser's state, a dataclass.
        if not isinstance(x, tuple) and not getattr(type(x), "__dataclass_params__", None):
            self.plan._volatile = True  # perhaps mutable in ways that a check can't see
        paths, _ = jtu.tree_flatten_with_path(x, is_leaf=lambda y: y is not x)
        visited = [self.visit(c, path + jtu.keystr(p)) for (p, _), c in zip(paths, children, strict=True)]
        try:
            hash(treedef)
            key: Hashable = treedef
        except TypeError:  # metadata that can't be compared
            key = ById(x)
        return _PytreeNode(treedef, [n for n, _ in visited]), (key, tuple([k for _, k in visited]))

    def _guard_static(self, x: Any) -> None:
        if type(x) is list:
            self.plan._lists.append(x)
            for item in x:
                self._guard_static(item)
        elif type(x) is dict:
            self.plan._dicts.append(x)
            for item in x.values():
                self._guard_static(item)
        elif type(x) is tuple:
            for item in x:
                self._guard_static(item)
        elif isinstance(x, (set, bytearray)) or (isinstance(x, np.ndarray) and x.flags.writeable):
            self.plan._volatile = True


def _copied(x: Any) -> Any:
    if type(x) is list:
        return [_copied(v) for v in x]
    if type(x) is dict:
        return {k: _copied(v) for k, v in x.items()}
    if type(x) is tuple:
        return tuple([_copied(v) for v in x])
    return set(x) if type(x) is set else x


def plan_for(objects: dict[str, Any]) -> Plan:
    """The plan of a call's keyword arguments: the one kept from an earlier call if it is still true, else a new walk."""
    owner = None
    found_by: list[Any] = []
    leaves: list[str] = []
    for name, x in objects.items():
        found_by.append(name)
        if isinstance(x, _LEAVES):  # arrays and numbers are new objects at every call: no part of what is remembered
            leaves.append(name)
            found_by.append(0)
        else:
            found_by.append(id(x))
            if owner is None and isinstance(x, BaseModule):
                owner = x
    if owner is None:
        return walk(objects)
    key = tuple(found_by)
    try:
        plans = owner._plans
    except AttributeError:
        plans = owner._plans = {}
    plan = plans.get(key)
    if plan is not None and plan.still_true():
        if leaves:
            plan.raws = list(plan.raws)
            for name in leaves:
                plan.raws[plan.template.roots[name].index] = objects[name]
        return plan
    plans.pop(key, None)
    plan = walk(objects)
    if len(plans) >= _KEPT_PLANS:
        plans.pop(next(iter(plans)))
    plans[key] = plan
    return plan


def walk(objects: dict[str, Any]) -> Plan:
    """Walk the tracked objects of a call."""
    plan = Plan()
    template = plan.template
    template.params.append(like(RKG.key, None))
    template.param_paths.append("RKG.key")
    walker = _Walk(plan)
    keys = []
    for name in sorted(objects):
        node, key = walker.visit(objects[name], name)
        template.roots[name] = node
        keys.append((name, key))
    template.key = tuple(keys)
    plan.seal(tuple([x for x in objects.values() if not isinstance(x, _LEAVES)]))
    return plan

