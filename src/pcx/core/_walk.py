"""The walk over the tracked objects of a call, and the plan it leaves.

A plan says where the params of some objects are, what the rest of those objects is (the *skeleton*, compared by
key), and how to make copies of them around other values. It is kept on the object that it describes (see `_plan`).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Hashable
from dataclasses import is_dataclass
from operator import itemgetter
from typing import Any

import jax
import numpy as np

from ._hidden import refuse_hidden
from ._key import ById, static_key
from ._module import FACTS, BaseModule
from ._parameter import BaseParam, like
from ._plan import LEAVES, Guard, Plan, held_by, is_frozen_dataclass, kept_under
from ._random import LOCK, RKG
from ._reads import is_library
from ._skeleton import (
    Skeleton,
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
from ._static import Static

_KEPT_PLANS = 8


class _Walk:
    """One walk: fills a plan, depth first, attributes in the order of their names."""

    def __init__(self, plan: Plan, key: Callable[[Any], Hashable]) -> None:
        self.plan = plan
        self.key = key
        self.skeleton = plan.skeleton
        self.param_ids: dict[int, int] = {id(RKG.key): 0}
        self.memo: dict[int, int] = {}
        self.guard = Guard(plan._dicts, plan._lists)
        self.classes: dict[type, Hashable] = {}
        self.keep: list[Any] = []  # objects whose identity the memo uses
        # What may hold params that the walk doesn't find: constants, and the metadata of trees.
        self.constants: list[tuple[Any, str, bool]] = []

    def visit(self, x: Any, path: str) -> tuple[Any, Hashable]:
        cls = type(x)
        # Asked of the class: an Equinox module answers for itself in Python, which takes longer.
        if issubclass(cls, BaseParam):
            return self._param(x, path)
        if issubclass(cls, BaseModule):
            return self._module(x, cls, path)
        if cls is list:
            return self._list(x, path)
        if issubclass(cls, dict):
            return self._dict(x, cls, path)
        if cls is tuple:
            visited = [self.visit(v, f"{path}[{i}]") for i, v in enumerate(x)]
            node = _PytreeNode(jax.tree_util.tree_structure((0,) * len(x)), [n for n, _ in visited])
            return node, (tuple, tuple([k for _, k in visited]))
        if issubclass(cls, Static):
            node = _StaticNode(x._wrapped)
            self._watch(node)
            return node, ("static", self.key(x._wrapped))
        if isinstance(x, LEAVES):
            if isinstance(x, np.ndarray) and x.dtype.hasobject:
                self.constants.append((x, path, False))
            self.plan.raws.append(x)
            self.skeleton.raw_paths.append(path)
            return _RawNode(len(self.plan.raws) - 1), "leaf"
        if x is None or cls is str:
            return _ConstNode(x), (cls, x)
        children, treedef = jax.tree_util.tree_flatten(x, is_leaf=lambda y: y is not x)
        if len(children) == 1 and children[0] is x:  # no pytree: a function or any other object
            self.constants.append((x, path, False))
            node = _ConstNode(x)
            self._watch(node)
            return node, self.key(x)
        return self._pytree(x, children, treedef, path)

    def _param(self, x: BaseParam, path: str) -> tuple[Any, Hashable]:
        index = self.param_ids.get(id(x))
        if index is not None:
            if index == 0:
                self.skeleton.holds_key = True
            return _ParamNode(index), ("param", index)
        index = self.param_ids[id(x)] = len(self.plan.params)
        self.plan.params.append(x)
        self.skeleton.params.append(like(x, None))
        self.skeleton.param_paths.append(path)
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
        self.skeleton.homes.append(number)
        visited = {
            name: self._fact(attributes, name, number) if name in FACTS else self.visit(value, f"{path}.{name}")
            for name, value in sorted(attributes.items(), key=itemgetter(0))
        }
        node = _ModuleNode(cls, number, [(name, n) for name, (n, _) in visited.items()], list(attributes))
        return node, (self._class(cls), number, tuple([(name, key) for name, (_, key) in visited.items()]))

    def _class(self, cls: type) -> Hashable:
        """A module's class: of a user's own, with what its methods read of their surroundings."""
        if is_library(cls.__module__):
            return cls
        if cls not in self.classes:
            self.classes[cls] = self.key(cls)
        return self.classes[cls]

    def _fact(self, attributes: dict[str, Any], name: str, number: int) -> tuple[Any, Hashable]:
        # Mode and status are no part of the key: a compiled function depends on those that it reads.
        self.plan.facts.append(attributes[name])
        self.plan._fact_homes.append((attributes, name))
        self.skeleton.fact_homes.append((number, name))
        return _FactNode(len(self.plan.facts) - 1), "fact"

    def _list(self, x: list[Any], path: str) -> tuple[Any, Hashable]:
        number = self._seen(x)
        if not isinstance(number, int):
            return number
        self.plan._lists.append(x)
        self.skeleton.homes.append(number)
        visited = [self.visit(v, f"{path}[{i}]") for i, v in enumerate(x)]
        return _ListNode(number, [n for n, _ in visited]), (list, number, tuple([k for _, k in visited]))

    def _dict(self, x: dict[Any, Any], cls: type, path: str) -> tuple[Any, Hashable]:
        number = self._seen(x)
        if not isinstance(number, int):
            return number
        self.plan._dicts.append(x)
        self.skeleton.homes.append(number)
        names = list(x)
        try:  # order of insertion is no part of the structure, as in JAX
            ordered = sorted(names)
        except TypeError:
            ordered = names
        visited = {name: self.visit(x[name], f"{path}[{name!r}]") for name in ordered}
        factory = getattr(x, "default_factory", None)
        make = (lambda: cls(factory)) if factory is not None else cls
        node = _DictNode(make, number, [(name, n) for name, (n, _) in visited.items()], names)
        keys = tuple([(self.key(name), key) for name, (_, key) in visited.items()])
        return node, (cls, number, self.key(factory), keys)

    def _pytree(self, x: Any, children: list[Any], treedef: Any, path: str) -> tuple[Any, Hashable]:
        # A registered node of another library: an Equinox layer, a named tuple, an optimiser's state, a dataclass.
        if not isinstance(x, tuple) and not is_frozen_dataclass(x):
            self.skeleton.volatile = True  # perhaps mutable in ways that a check can't see
        paths, _ = jax.tree_util.tree_flatten_with_path(x, is_leaf=lambda y: y is not x)
        visited = [self.visit(c, path + jax.tree_util.keystr(p)) for (p, _), c in zip(paths, children, strict=True)]
        if not isinstance(x, tuple):
            self.constants.append((x, path, True))
        try:
            hash(treedef)
            key: Hashable = treedef
        except TypeError:  # metadata that can't be compared
            key = ById(x)
        static = [f.name for f in dataclasses.fields(x) if f.metadata.get("static")] if is_dataclass(x) else []
        # A treedef tells functions apart by identity, whatever they read.
        facts = self._class(type(x)), tuple([self.key(getattr(x, name, None)) for name in static])
        return _PytreeNode(treedef, [n for n, _ in visited]), (key, facts, tuple([k for _, k in visited]))

    def refuse_hidden(self) -> None:
        """Refuse params that are nowhere but inside of constants, once all that can be found is."""
        for x, path, is_tree in self.constants:
            refuse_hidden(x, path, self._is_known, is_tree)

    def _is_known(self, x: Any) -> bool:
        return id(x) in self.param_ids or id(x) in self.memo

    def _watch(self, node: _ConstNode) -> None:
        """Notice it when a mutable value that is part of the program changes."""
        dicts, lists = self.plan._dicts, self.plan._lists
        before = len(dicts), len(lists)
        self.guard.watch(node.value)
        self.skeleton.volatile |= self.guard.volatile
        met: list[Any] = [*dicts[before[0] :], *lists[before[1] :]]
        self.skeleton.guards.extend([(x, held_by(x)) for x in met])
        self.skeleton.homes.extend([node] if node.copies else met)


def plan_for(objects: dict[str, Any], keyed: bool = True, fresh: bool = False) -> Plan:
    """The plan of a call's keyword arguments: one kept from an earlier call if still true, else a new walk. Without
    `keyed` the skeleton's key may be that of other objects: enough to find params. With `fresh` the objects are walked
    anew, since what their functions read of their surroundings may have changed."""
    with LOCK:  # plans lie on the objects, which other threads may hold too
        return _plan_for(objects, keyed, fresh)


def _plan_for(objects: dict[str, Any], keyed: bool, fresh: bool) -> Plan:
    names = tuple(sorted(objects)) if len(objects) > 1 else tuple(objects)
    given = [objects[name] for name in names]
    owner = next((x for x in given if isinstance(x, BaseModule)), None)
    if owner is None:
        return walk(objects, keyed)
    key = kept_under(names, given, keyed)
    try:
        plans = owner._plans
    except AttributeError:
        plans = owner._plans = {}
    plan = plans.get(key)
    leaves = [name for name, x in zip(names, given, strict=True) if isinstance(x, LEAVES)]
    if plan is not None and not fresh and plan.describes(given) and plan.still_true():
        if leaves:
            plan.raws = list(plan.raws)
            for name in leaves:
                plan.raws[plan.skeleton.roots[name].index] = objects[name]
        return plan
    plans.pop(key, None)
    plan = None if leaves or fresh else _from_another(plans, names, given, keyed)
    if plan is None:
        plan = walk(objects, keyed)
    if len(plans) >= _KEPT_PLANS:
        plans.pop(next(iter(plans)))
    plans[key] = plan
    return plan


def _from_another(plans: dict[Any, Plan], names: tuple[str, ...], objects: list[Any], keyed: bool) -> Plan | None:
    """A plan of these objects under other names, or of more objects, says all that a walk would."""
    for plan in plans.values():
        if plan.keyed >= keyed and plan.begins_with(objects) and plan.still_true():
            return plan.part(names)
    return None


def plan_of(tree: Any) -> Plan:
    """Where the params of any tree are: paths without a keyword, and a key that says nothing."""
    return plan_for({"": tree}, keyed=False)


def walk(objects: dict[str, Any], keyed: bool = True) -> Plan:
    """Walk the tracked objects of a call. Without `keyed` the skeleton's key doesn't tell static values apart: enough
    to find params."""
    skeleton = Skeleton()
    plan = Plan(skeleton, keyed)
    skeleton.params.append(like(RKG.key, None))
    skeleton.param_paths.append("RKG.key")
    walker = _Walk(plan, static_key if keyed else type)
    keys = []
    for name in sorted(objects):
        node, key = walker.visit(objects[name], name)
        skeleton.roots[name] = node
        keys.append((name, key))
        skeleton.ends.append((plan.n, len(plan.raws), len(plan.facts), len(skeleton.homes)))
        plan._ends.append((len(plan._dicts), len(plan._lists)))
    walker.refuse_hidden()
    skeleton.key = tuple(keys) if keyed else None
    plan.seal([objects[name] for name in sorted(objects)])
    return plan
