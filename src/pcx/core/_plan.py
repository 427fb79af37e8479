"""Plans: where the params of some tracked objects are, and whether that is still so.

Walking is slow next to a compiled step, so a plan is kept on the object that it describes and checked on the next call:
a check compares, by identity, what every mutable container held when the plan was made. The copies that a traced
function gets are made from a skeleton, so their plan is known without a walk; it is kept on them as if they had been
walked, and what the function does to them is noticed by the same check.
"""

from __future__ import annotations

import dataclasses
import functools
import operator
import weakref
from collections.abc import Callable, Hashable, Iterable, Sequence
from itertools import chain
from typing import Any

import jax
import numpy as np

from ._anatomy import RECORDS
from ._module import BaseModule
from ._parameter import BaseParam
from ._random import RKG
from ._skeleton import Skeleton
from ._static import Static

LEAVES = (jax.Array, np.ndarray, np.generic, int, float, complex)


class Plan:
    """A skeleton, and where the values are in one set of objects."""

    __slots__ = (
        "_dicts",
        "_ends",
        "_expected",
        "_fact_homes",
        "_facts",
        "_facts_at",
        "_lengths",
        "_lists",
        "_roots",
        "facts",
        "keyed",
        "params",
        "raws",
        "records",
        "skeleton",
    )

    def __init__(self, skeleton: Skeleton, keyed: bool) -> None:
        self.skeleton = skeleton
        self.keyed = keyed  # whether the skeleton's key tells static values apart
        self.params: list[BaseParam] = [RKG.key]
        self.raws: list[Any] = []
        self.facts: list[Any] = []  # modes and statuses
        self.records: dict[Any, Any] = {}  # what a compiled transform remembers for this plan
        self._fact_homes: list[tuple[dict[str, Any], str]] = []
        self._dicts: list[dict[Any, Any]] = []
        self._lists: list[list[Any]] = []
        self._ends: list[tuple[int, int]] = []  # dicts and lists up to the end of each root
        self._roots: list[Callable[[], Any]] = []

    @property
    def n(self) -> int:
        """Number of params, the global key first."""
        return len(self.params)

    def seal(self, roots: Iterable[Any]) -> None:
        """Remember what every container holds now."""
        # A plan lies on one of its roots: it must not keep that alive, or a copy would outlive its call.
        self._roots = [_reference(x) for x in roots]
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
        if self.skeleton.volatile or self._sizes() != self._lengths:
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

    def begins_with(self, objects: Sequence[Any]) -> bool:
        """Whether the first of the objects that it describes are these."""
        return len(objects) <= len(self._roots) and all(
            x is not None and root() is x for root, x in zip(self._roots, objects, strict=False)
        )

    def describes(self, objects: Sequence[Any]) -> bool:
        """Whether the objects that it was found for are its own: an identity may be given again."""
        return all(root is _passing or root() is x for root, x in zip(self._roots, objects, strict=True))

    def part(self, names: tuple[str, ...]) -> Plan:
        """The plan of the first few of the objects, under these names. Only for a plan that is still true."""
        n = len(names)
        new = Plan(self.skeleton.part(names), self.keyed)
        n_params, n_raws, n_facts, _ = self.skeleton.ends[n - 1]
        n_dicts, n_lists = self._ends[n - 1]
        new.params, new.raws = self.params[:n_params], self.raws[:n_raws]
        new.facts, new._fact_homes = self.facts[:n_facts], self._fact_homes[:n_facts]
        new._dicts, new._lists, new._ends = self._dicts[:n_dicts], self._lists[:n_lists], self._ends[:n]
        new.seal([root() for root in self._roots[:n]])
        return new


def _passing() -> None:
    """Stands for an array or a number among the objects: a new one at every call."""


def _reference(x: Any) -> Callable[[], Any]:
    if isinstance(x, (BaseModule, BaseParam)):
        return weakref.ref(x)
    return _passing if x is None or isinstance(x, LEAVES) else lambda: x


def kept_under(names: Sequence[str], objects: Sequence[Any], keyed: bool) -> Hashable:
    """What a plan of these objects is kept under. Arrays and numbers are new objects at every call: any will do."""
    return (keyed, *[(n, 0 if isinstance(x, LEAVES) else id(x)) for n, x in zip(names, objects, strict=True)])


class Guard:
    """Collects the containers inside static values, to notice it when a part of the program changes."""

    def __init__(self, dicts: list[dict[Any, Any]], lists: list[list[Any]]) -> None:
        self.dicts, self.lists = dicts, lists
        self.volatile = False  # met something that may change in ways that no check can see
        self._seen: dict[int, Any] = {}

    def watch(self, x: Any) -> None:
        """Collect what is inside `x`."""
        if isinstance(x, (list, dict, tuple, *RECORDS)) or (dataclasses.is_dataclass(x) and not isinstance(x, type)):
            if id(x) in self._seen:
                return
            self._seen[id(x)] = x
        if isinstance(x, list):
            self.lists.append(x)
            self._watch_all(x)
        elif isinstance(x, dict):
            self.dicts.append(x)
            self._watch_all(x.values())
        elif isinstance(x, tuple):
            self._watch_all(x)
        elif isinstance(x, RECORDS):
            self.watch(vars(x))
        elif dataclasses.is_dataclass(x) and not isinstance(x, type):
            if not is_frozen_dataclass(x):
                self.volatile = True
            self._watch_all([getattr(x, f.name, None) for f in dataclasses.fields(x)])
        elif isinstance(x, functools.partial):
            self.watch(x.args)
            self.watch(x.keywords)
        elif isinstance(x, Static):
            self.watch(x._wrapped)
        elif isinstance(x, (set, bytearray)) or (isinstance(x, np.ndarray) and x.flags.writeable):
            self.volatile = True

    def _watch_all(self, items: Iterable[Any]) -> None:
        for item in items:
            self.watch(item)


def is_frozen_dataclass(x: Any) -> bool:
    """Whether `x` is frozen by `dataclass(frozen=True)`, or by a `__setattr__` of its own, as Equinox modules are."""
    settings = getattr(type(x), "__dataclass_params__", None)
    return settings is not None and (settings.frozen or type(x).__setattr__ is not object.__setattr__)


def held_by(container: Any) -> list[Any]:
    """What a list or dict holds."""
    return [*container, *container.values()] if isinstance(container, dict) else list(container)


def copies(
    skeleton: Skeleton, params: Sequence[Any], raws: Sequence[Any], facts: Sequence[Any], keyed: bool = True
) -> dict[str, Any]:
    """Copies of the tracked objects around other values, which know their plan.

    **Arguments:**

    - `params`: what to hold in place of the params; the first is the global key itself.
    - `keyed`: whether the static values and the kinds of the raw leaves are the same, so that the skeleton's key is the
      key of the copies too.
    """
    memo: dict[Any, Any] = {}
    tracked = skeleton.build(params, raws, facts, memo)
    owner = next((x for x in tracked.values() if isinstance(x, BaseModule)), None)
    if owner is None or skeleton.volatile or any(x is RKG for x in tracked.values()):
        return tracked
    if skeleton.holds_key and params[0] is not RKG.key:
        return tracked  # in these copies the global key's place is held by another param
    for container, held in skeleton.guards:
        now = held_by(container)
        if len(now) != len(held) or not all(map(operator.is_, now, held)):
            return tracked  # changed since the key was made
    plan = Plan(skeleton, keyed and skeleton.key is not None)
    plan.params, plan.raws, plan.facts = [RKG.key, *params[1:]], list(raws), list(facts)
    plan._fact_homes = [(vars(memo[number]), name) for number, name in skeleton.fact_homes]
    guard = Guard(plan._dicts, plan._lists)
    start = 0
    for *_, end in skeleton.ends:
        for home in skeleton.homes[start:end]:
            container = memo[home] if isinstance(home, int) else home
            if isinstance(container, BaseModule):
                plan._dicts.append(vars(container))
            elif isinstance(container, dict):
                plan._dicts.append(container)
            elif isinstance(container, list):
                plan._lists.append(container)
            else:  # the node of a static value that is copied
                guard.watch(memo[container])
        plan._ends.append((len(plan._dicts), len(plan._lists)))
        start = end
    plan.seal(tracked.values())
    owner._plans = {kept_under(tuple(tracked), tuple(tracked.values()), plan.keyed): plan}
    return tracked
