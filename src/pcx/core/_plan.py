"""The walk over the tracked objects of a call, and the plan it leaves.

A plan says where the params of some objects are, what the rest of those objects is (the *template*, compared by
key), and how to make copies of them around other values. Walking is slow next to a compiled step, so a plan is kept on
the object that it describes and checked on the next call: a check compares, by identity, what every mutable
container held when it was walked.
"""

from __future__ import annotations

import dataclasses
import functools
import operator
from collections.abc import Callable, Hashable, Iterable
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
from ._template import (
    RECORDS,
    Template,
    _AgainNode,
    _ConstNode,
    _DictNode,
    _FactNode,
    _ListNode,
    _ModuleNode,
    _ParamNode,
    _PytreeNode,
    _RawNode,
    _StaticNode,
)

_NUMBERS = (int, float, complex)
_ARRAYS = (jax.Array, np.ndarray, np.generic)
_LEAVES = _ARRAYS + _NUMBERS
_KEPT_PLANS = 8


class Plan:
    """A template, and where the values are in one set of objects."""

    __slots__ = (
        "_dicts",
        "_expected",
        "_fact_homes",
        "_facts",
        "_facts_at",
        "_keep",
        "_lengths",
        "_lists",
        "_volatile",
        "facts",
        "params",
        "raws",
        "records",
        "template",
    )

    def __init__(self) -> None:
        self.template = Template()
        self.params: list[BaseParam] = [RKG.key]
        self.raws: list[Any] = []
        self.facts: list[Any] = []  # modes and statuses
        self._fact_homes: list[tuple[dict[str, Any], str]] = []
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
        starts: dict[int, int] = {}
        start = 0
        for d in self._dicts:
            starts[id(d)] = start
            start += 2 * len(d)
        self._facts_at = [starts[id(d)] + len(d) + list(d).index(name) for d, name in self._fact_homes]
        for at in self._facts_at:
            self._expected[at] = None

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
        """Whether the objects are structured as when they were walked; brings modes and statuses up to date."""
        if self._volatile or self._sizes() != self._lengths:
            return False
        contents = self._contents()
        facts = []
        for at in self._facts_at:
            facts.append(contents[at])
            contents[at] = None
        static = [p._facts for p in self.params]
        if all(map(operator.is_, contents, self._expected)) and all(map(operator.is_, static, self._facts)):
            self.facts = facts
            return True
        return False


class _Walk:
    """One walk: fills a plan, depth first, attributes in the order of their names."""

    def __init__(self, plan: Plan, key: Callable[[Any], Hashable]) -> None:
        self.plan = plan
        self.key = key
        self.template = plan.template
        self.param_ids: dict[int, int] = {id(RKG.key): 0}
        self.memo: dict[int, int] = {}
        self.guarded: set[int] = set()
        self.keep: list[Any] = []  # objects whose identity the memo and the guards use

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
            return _StaticNode(x._wrapped), ("static", self.key(x._wrapped))
        if isinstance(x, _LEAVES):
            self.plan.raws.append(x)
            self.template.raw_paths.append(path)
            return _RawNode(len(self.plan.raws) - 1), "leaf"
        if x is None or cls is str:
            return _ConstNode(x), (cls, x)
        children, treedef = jtu.tree_flatten(x, is_leaf=lambda y: y is not x)
        if len(children) == 1 and children[0] is x:  # no pytree: a function or any other object
            self._guard_static(x)
            return _ConstNode(x), self.key(x)
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
        fact_key = tuple([(k, self.key(facts[k])) for k in sorted(facts)]) if facts else ()
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
            name: self._fact(attributes, name) if name in FACTS else self.visit(attributes[name], f"{path}.{name}")
            for name in sorted(attributes)
        }
        node = _ModuleNode(cls, number, [(name, visited[name][0]) for name in attributes])
        return node, (cls, number, tuple([(name, key) for name, (_, key) in visited.items()]))

    def _fact(self, attributes: dict[str, Any], name: str) -> tuple[Any, Hashable]:
        # Mode and status are no part of the key: a compiled function depends on those that it reads.
        self.plan.facts.append(attributes[name])
        self.plan._fact_homes.append((attributes, name))
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
        keys = tuple([(self.key(name), key) for name, (_, key) in visited.items()])
        return node, (cls, number, self.key(factory), keys)

    def _pytree(self, x: Any, children: list[Any], treedef: Any, path: str) -> tuple[Any, Hashable]:
        # A registered node of another library: an Equinox layer, a named tuple, an optimiser's state, a dataclass.
        if not isinstance(x, tuple) and not _is_frozen_dataclass(x):
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
        """Notice it when a mutable value that is part of the program changes."""
        if isinstance(x, (list, dict, tuple, *RECORDS)) or (dataclasses.is_dataclass(x) and not isinstance(x, type)):
            if id(x) in self.guarded:
                return
            self.guarded.add(id(x))
            self.keep.append(x)
        if isinstance(x, list):
            self.plan._lists.append(x)
            self._guard_all(x)
        elif isinstance(x, dict):
            self.plan._dicts.append(x)
            self._guard_all(x.values())
        elif isinstance(x, tuple):
            self._guard_all(x)
        elif isinstance(x, RECORDS):
            self._guard_static(vars(x))
        elif dataclasses.is_dataclass(x) and not isinstance(x, type):
            if not _is_frozen_dataclass(x):
                self.plan._volatile = True
            self._guard_all([getattr(x, f.name, None) for f in dataclasses.fields(x)])
        elif isinstance(x, functools.partial):
            self._guard_static(x.args)
            self._guard_static(x.keywords)
        elif isinstance(x, Static):
            self._guard_static(x._wrapped)
        elif isinstance(x, (set, bytearray)) or (isinstance(x, np.ndarray) and x.flags.writeable):
            self.plan._volatile = True

    def _guard_all(self, items: Iterable[Any]) -> None:
        for item in items:
            self._guard_static(item)


def _is_frozen_dataclass(x: Any) -> bool:
    # Frozen by `dataclass(frozen=True)`, or by a `__setattr__` of its own, as Equinox modules are.
    settings = getattr(type(x), "__dataclass_params__", None)
    return settings is not None and (settings.frozen or type(x).__setattr__ is not object.__setattr__)


def plan_for(objects: dict[str, Any]) -> Plan:
    """The plan of a call's keyword arguments: the one kept from an earlier call if still true, else a new walk."""
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


def walk(objects: dict[str, Any], keyed: bool = True) -> Plan:
    """Walk the tracked objects of a call. Without `keyed` the template's key doesn't tell static values apart: enough
    to find params."""
    plan = Plan()
    template = plan.template
    template.params.append(like(RKG.key, None))
    template.param_paths.append("RKG.key")
    walker = _Walk(plan, static_key if keyed else type)
    keys = []
    for name in sorted(objects):
        node, key = walker.visit(objects[name], name)
        template.roots[name] = node
        keys.append((name, key))
    template.key = tuple(keys)
    plan.seal(tuple([x for x in objects.values() if not isinstance(x, _LEAVES)]))
    return plan
