"""The walk over the tracked objects of a call, and the plan it leaves.

A plan says where the params of some objects are, what the rest of those objects is (the *skeleton*, compared by key),
and how to make copies of them around other values. It is kept on the object that it describes (see `_plan`).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Hashable
from operator import itemgetter
from typing import Any

import jax.tree_util as jtu
import numpy as np

from ._anatomy import LEAVES, PLAIN, Kind, Parts, is_frozen, ordered, parts, step, treedef_of
from ._hidden import refuse_hidden
from ._identity import ById
from ._key import static_key
from ._module import BaseModule
from ._nodes import (
    AgainNode,
    ConstantNode,
    DictNode,
    ListNode,
    ModuleNode,
    Node,
    ParamNode,
    RawNode,
    StaticNode,
    TreeNode,
)
from ._parameter import BaseParam, like
from ._plan import Guard, Plan, held_by, kept_under
from ._random import LOCK, RKG
from ._reads import is_library
from ._skeleton import Skeleton
from ._static import Setting, StaticParam, is_copied
from ._types import Constant, Tree, Value

_KEPT_PLANS = 8
_Visited = tuple[Node, Hashable]  # a node, and the key of what stands there


class _Walk:
    """One walk: fills a plan, depth first, attributes in the order of their names."""

    def __init__(self, plan: Plan, key: Callable[[Any], Hashable]) -> None:
        self.plan = plan
        self.key = key
        self.skeleton = plan.skeleton
        self.numbers: dict[int, int] = {id(RKG.key): 0}  # of params, of statics, and of containers, by identity
        self.containers = 0
        self.nodes: dict[int, Node] = {}  # of the containers, by number
        self.guard = Guard(plan._dicts, plan._lists)
        self.classes: dict[type, Hashable] = {}
        self.keep: list[Any] = []  # objects whose identity is a key of `numbers`
        # What may hold params that the walk doesn't find: constants, and the metadata of trees.
        self.constants: list[tuple[Any, str, bool]] = []

    def visit(self, x: Tree, path: str) -> _Visited:
        """Walk over `x` and what is below it."""
        kind, inside = parts(x)
        return _VISITS[kind](self, x, kind, inside, path)

    def _leaf(self, x: Tree, kind: Kind, inside: Parts, path: str) -> _Visited:
        if isinstance(x, np.ndarray) and x.dtype.hasobject:
            self.constants.append((x, path, False))
        self.plan.raws.append(x)
        self.skeleton.raw_paths.append(path)
        return RawNode(len(self.plan.raws) - 1), "leaf"

    def _constant(self, x: Constant, kind: Kind, inside: Parts, path: str) -> _Visited:
        node = ConstantNode(x)
        if x is not None and type(x) is not str:
            self.constants.append((x, path, False))
            self._watch(x, node if node.copies else None)
        return node, self.key(x)

    def _tuple(self, x: Tree, kind: Kind, inside: Parts, path: str) -> _Visited:
        visited = [self.visit(child, f"{path}[{i}]") for i, child in inside]
        node = TreeNode(jtu.tree_structure((0,) * len(x)), [n for n, _ in visited])
        return node, (tuple, tuple([k for _, k in visited]))

    def _param(self, x: BaseParam, kind: Kind, inside: Parts, path: str) -> _Visited:
        index = self.numbers.get(id(x))
        if index is not None:
            if index == 0:
                self.skeleton.holds_key = True
            return ParamNode(index), ("param", index)
        index = self.numbers[id(x)] = len(self.plan.params)
        self.plan.params.append(x)
        self.skeleton.params.append(like(x, None))
        self.skeleton.param_paths.append(path)
        return ParamNode(index), (type(x), index, self._facts(x))

    def _facts(self, x: BaseParam) -> Hashable:
        facts = x._facts
        return tuple([(k, self.key(facts[k])) for k in sorted(facts)]) if facts else ()

    def _static(self, x: StaticParam, kind: Kind, inside: Parts, path: str) -> _Visited:
        index = self.numbers.get(id(x))
        if index is not None:
            return StaticNode(index), ("static", index)
        index = self.numbers[id(x)] = len(self.plan.statics)
        self.plan.statics.append(x)
        node = StaticNode(index)
        if isinstance(x, Setting):  # no part of the key: a compiled function depends on those that it reads
            self.skeleton.add_static(x, False)
            return node, ("setting", index)
        value = x.get()
        deep = is_copied(value)
        self.skeleton.add_static(x, deep)
        if type(value) not in PLAIN:
            self._watch(value, node if deep else None)
        return node, ("static", index, self.key(value))

    def _watch(self, value: Value, home: Node | None) -> None:
        """Notice it when a mutable value that is part of the program changes. In a copy of the objects, its containers
        are at `home`, or else the very same."""
        dicts, lists = self.plan._dicts, self.plan._lists
        before = len(dicts), len(lists)
        self.guard.watch(value)
        self.skeleton.volatile |= self.guard.volatile
        met: list[Any] = [*dicts[before[0] :], *lists[before[1] :]]
        self.skeleton.guards.extend([(x, held_by(x)) for x in met])
        self.skeleton.homes.extend(met if home is None else [home])

    def _container(self, x: Tree, kind: Kind, inside: Parts, path: str) -> _Visited:
        if x is RKG:
            return ConstantNode(x), ("RKG",)
        number = self.numbers.get(id(x))
        if number is not None:
            return AgainNode(number, self.nodes), ("again", number)
        number = self.numbers[id(x)] = self.containers
        self.containers += 1
        self.keep.append(x)
        self.skeleton.homes.append(number)
        if kind is Kind.LIST:
            self.plan._lists.append(x)
            visited = [self.visit(child, f"{path}[{i}]") for i, child in inside]
            node = self.nodes[number] = ListNode(number, [n for n, _ in visited])
            return node, (list, number, tuple([k for _, k in visited]))
        cls, children = type(x), dict(inside)
        if kind is Kind.MODULE:
            self.plan._dicts.append(vars(x))
            named = {name: self.visit(child, f"{path}.{name}") for name, child in sorted(inside, key=itemgetter(0))}
            node = self.nodes[number] = ModuleNode(
                number, cls, [(name, n) for name, (n, _) in named.items()], list(children)
            )
            return node, (self._class(cls), number, tuple([(name, key) for name, (_, key) in named.items()]))
        self.plan._dicts.append(x)
        named = {name: self.visit(children[name], path + step(kind, name)) for name in ordered(children)}
        factory = getattr(x, "default_factory", None)
        make = (lambda: cls(factory)) if factory is not None else cls
        node = self.nodes[number] = DictNode(
            number, make, [(name, n) for name, (n, _) in named.items()], list(children)
        )
        keys = tuple([(self.key(name), key) for name, (_, key) in named.items()])
        return node, (cls, number, self.key(factory), keys)

    def _class(self, cls: type) -> Hashable:
        """Return the key of a module's class: of a user's own, with what its methods read of their surroundings."""
        if is_library(cls.__module__):
            return cls
        if cls not in self.classes:
            self.classes[cls] = self.key(cls)
        return self.classes[cls]

    def _tree(self, x: Tree, kind: Kind, inside: Parts, path: str) -> _Visited:
        if not isinstance(x, tuple):
            if not is_frozen(x):
                self.skeleton.volatile = True  # perhaps mutable in ways that a check can't see
            self.constants.append((x, path, True))
        visited = [self.visit(child, path + step(Kind.TREE, name)) for name, child in inside]
        treedef = treedef_of(x)
        try:
            hash(treedef)
            key: Hashable = treedef
        except TypeError:  # metadata that can't be compared
            key = ById(x)
        static = []
        if dataclasses.is_dataclass(x):
            static = [f.name for f in dataclasses.fields(x) if f.metadata.get("static")]
        # A treedef tells functions apart by identity, whatever they read.
        facts = self._class(type(x)), tuple([self.key(getattr(x, name, None)) for name in static])
        return TreeNode(treedef, [n for n, _ in visited]), (key, facts, tuple([k for _, k in visited]))

    def refuse_hidden(self) -> None:
        """Refuse params that are nowhere but inside of constants, once all that can be found is."""
        for x, path, is_tree in self.constants:
            refuse_hidden(x, path, lambda x: id(x) in self.numbers, is_tree)


_VISITS: dict[Kind, Callable[..., _Visited]] = {
    Kind.PARAM: _Walk._param,
    Kind.STATIC: _Walk._static,
    Kind.MODULE: _Walk._container,
    Kind.LIST: _Walk._container,
    Kind.DICT: _Walk._container,
    Kind.TUPLE: _Walk._tuple,
    Kind.TREE: _Walk._tree,
    Kind.LEAF: _Walk._leaf,
    Kind.CONSTANT: _Walk._constant,
}


def plan_for(objects: dict[str, Any], keyed: bool = True, fresh: bool = False) -> Plan:
    """Return the plan of a call's keyword arguments: one kept from an earlier call if still true, else of a new walk.

    **Arguments:**

    - `keyed`: whether the skeleton's key has to tell static values apart; if not, it may be that of other objects:
      enough to find params.
    - `fresh`: walk the objects anew, since what their functions read of their surroundings may have changed.
    """
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
                plan.raws[plan.skeleton.leaves(name)[0].index] = objects[name]
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
    """Return a plan of these objects under other names, or of more objects: it says all that a walk would."""
    for plan in plans.values():
        if plan.keyed >= keyed and plan.begins_with(objects) and plan.still_true():
            return plan.part(names)
    return None


def plan_of(tree: Tree) -> Plan:
    """Return where the params of any tree are: paths without a keyword, and a key that says nothing."""
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
        skeleton.ends.append((plan.n, len(plan.raws), len(plan.statics), len(skeleton.homes)))
        plan._ends.append((len(plan._dicts), len(plan._lists)))
    walker.refuse_hidden()
    skeleton.key = tuple(keys) if keyed else None
    plan.seal([objects[name] for name in sorted(objects)])
    return plan
