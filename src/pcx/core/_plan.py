"""Plans: where the params of some tracked objects are, and whether that is still so.

Walking is slow next to a compiled step, so a plan is kept on the object that it describes and checked on the next call:
a check compares, by identity, what every mutable container held when the plan was made. The copies that a traced
function gets are made from a skeleton, so their plan is known without a walk; it is kept on them as if they had been
walked, and what the function does to them is noticed by the same check.
"""

from __future__ import annotations

import operator
import weakref
from collections.abc import Callable, Hashable, Iterable, Sequence
from itertools import chain
from typing import Any

import numpy as np

from ._anatomy import LEAVES, Kind, contents, is_frozen
from ._module import BaseModule
from ._nodes import Filling, StaticNode
from ._parameter import BaseParam
from ._random import RKG
from ._skeleton import Skeleton
from ._static import Setting, StaticParam, copies_of
from ._types import Constant


class Plan:
    """A skeleton, and where the values are in one set of objects.

    **Arguments:**

    - `keyed`: whether the skeleton's key tells static values apart.
    """

    __slots__ = (
        "_constants",
        "_dicts",
        "_ends",
        "_expected",
        "_lengths",
        "_lists",
        "_roots",
        "keyed",
        "params",
        "programs",
        "raws",
        "skeleton",
        "statics",
    )

    def __init__(self, skeleton: Skeleton, keyed: bool) -> None:
        self.skeleton = skeleton
        self.keyed = keyed
        self.params: list[BaseParam] = [RKG.key]
        self.raws: list[Any] = []
        self.statics: list[StaticParam] = []
        self.programs: dict[Any, Any] = {}  # what compiled transforms have found for this plan
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
        self._constants = [s for s in self.statics if not isinstance(s, Setting)]
        self._expected = self._contents()
        self._lengths = self._sizes()

    def _contents(self) -> list[Any]:
        found = [p._facts for p in self.params]
        extend = found.extend
        for d in self._dicts:
            extend(d)
            extend(d.values())
        for items in self._lists:
            extend(items)
        extend([static._value for static in self._constants])
        return found

    def _sizes(self) -> list[int]:
        return list(map(len, chain(self._dicts, self._lists)))

    def still_true(self) -> bool:
        """Return whether the objects are structured, and their constants are, as when they were walked."""
        return (
            not self.skeleton.volatile
            and self._sizes() == self._lengths
            and all(map(operator.is_, self._contents(), self._expected))
        )

    def begins_with(self, objects: Sequence[Any]) -> bool:
        """Return whether the first of the objects that it describes are these."""
        return len(objects) <= len(self._roots) and all(
            x is not None and root() is x for root, x in zip(self._roots, objects, strict=False)
        )

    def describes(self, objects: Sequence[Any]) -> bool:
        """Return whether the objects that it was found for are its own: an identity may be given again."""
        return all(root is _passing or root() is x for root, x in zip(self._roots, objects, strict=True))

    def part(self, names: tuple[str, ...]) -> Plan:
        """Return the plan of the first few of the objects, under these names. Only for a plan that is still true."""
        n = len(names)
        new = Plan(self.skeleton.part(names), self.keyed)
        n_params, n_raws, n_statics, _ = self.skeleton.ends[n - 1]
        n_dicts, n_lists = self._ends[n - 1]
        new.params, new.raws, new.statics = self.params[:n_params], self.raws[:n_raws], self.statics[:n_statics]
        new._dicts, new._lists, new._ends = self._dicts[:n_dicts], self._lists[:n_lists], self._ends[:n]
        new.seal([root() for root in self._roots[:n]])
        return new


def _passing() -> None:
    """Stands for an array or a number among the objects: a new one at every call."""


def _reference(x: Constant) -> Callable[[], Any]:
    if isinstance(x, (BaseModule, BaseParam)):
        return weakref.ref(x)
    return _passing if x is None or isinstance(x, LEAVES) else lambda: x


def kept_under(names: Sequence[str], objects: Sequence[Any], keyed: bool) -> Hashable:
    """Return what a plan of these objects is kept under. Arrays and numbers are new objects at every call: any will
    do."""
    return (keyed, *[(n, 0 if isinstance(x, LEAVES) else id(x)) for n, x in zip(names, objects, strict=True)])


class Guard:
    """Collects the containers inside constants, to notice it when a part of the program changes.

    **Arguments:**

    - `dicts`, `lists`: lists to be filled.
    """

    def __init__(self, dicts: list[dict[Any, Any]], lists: list[list[Any]]) -> None:
        self.dicts, self.lists = dicts, lists
        self.volatile = False  # met something that may change in ways that no check can see
        self._seen: dict[int, Any] = {}

    def watch(self, x: Constant) -> None:
        """Collect what is inside `x`."""
        kind, inside = contents(x)
        if kind is Kind.CONSTANT or kind is Kind.SET:
            if isinstance(x, (set, bytearray)) or (isinstance(x, np.ndarray) and x.flags.writeable):
                self.volatile = True
            return
        if id(x) in self._seen:
            return
        self._seen[id(x)] = x
        if kind is Kind.LIST:
            self.lists.append(x)
        elif kind is Kind.DICT and isinstance(x, dict):
            self.dicts.append(x)
        elif kind is Kind.RECORD:
            self.dicts.append(vars(x))
        elif kind is Kind.DATACLASS and not is_frozen(x):
            self.volatile = True
        for _, child in inside:
            self.watch(child)


def held_by(container: Constant) -> list[Any]:
    """Return what a list or dict holds."""
    return [*container, *container.values()] if isinstance(container, dict) else list(container)


def copies(
    skeleton: Skeleton, params: Sequence[Any], raws: Sequence[Any], statics: Sequence[StaticParam]
) -> dict[str, Any]:
    """Return copies of the tracked objects around other values, which know their plan.

    **Arguments:**

    - `params`: what to hold in place of the params; the first is the global key itself.
    - `statics`: the statics to hold, for these copies alone. See `static_copies`.
    """
    filling = Filling(params, raws, statics)
    tracked = skeleton.build(filling)
    owner = next((x for x in tracked.values() if isinstance(x, BaseModule)), None)
    if owner is None or skeleton.volatile or any(x is RKG for x in tracked.values()):
        return tracked
    if skeleton.holds_key and params[0] is not RKG.key:
        return tracked  # in these copies the global key's place is held by another param
    for container, held in skeleton.guards:
        now = held_by(container)
        if len(now) != len(held) or not all(map(operator.is_, now, held)):
            return tracked  # changed since the key was made
    plan = Plan(skeleton, skeleton.key is not None)
    plan.params, plan.raws, plan.statics = [RKG.key, *params[1:]], list(raws), list(statics)
    guard = Guard(plan._dicts, plan._lists)
    start = 0
    for *_, end in skeleton.ends:
        for home in skeleton.homes[start:end]:
            _add_home(plan, guard, home, filling)
        plan._ends.append((len(plan._dicts), len(plan._lists)))
        start = end
    plan.seal(tracked.values())
    owner._plans = {kept_under(tuple(tracked), tuple(tracked.values()), plan.keyed): plan}
    return tracked


def _add_home(plan: Plan, guard: Guard, home: Constant, filling: Filling) -> None:
    """Note, for the plan of a copy, the container that stands where its skeleton says."""
    if isinstance(home, StaticNode):
        guard.watch(filling.statics[home.index]._value)
        return
    container = home if isinstance(home, (dict, list)) else filling.built[home]
    if isinstance(container, BaseModule):
        plan._dicts.append(vars(container))
    elif not isinstance(home, int):  # a constant, of which the containers are copied
        guard.watch(container)
    elif isinstance(container, dict):
        plan._dicts.append(container)
    else:
        plan._lists.append(container)


def static_copies(plan: Plan) -> list[StaticParam]:
    """Return copies of a plan's statics, to be held by copies of its objects."""
    return copies_of(plan.statics, plan.skeleton.deep)
