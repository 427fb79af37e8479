"""Skeletons: what tracked objects are apart from their values."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import numpy as np

from ._nodes import Filling, Leaf, Node
from ._parameter import BaseParam, like
from ._static import Setting, StaticParam, copies_of


class Skeleton:
    """All that a plan knows that doesn't depend on the values: structure, types, static facts, constants. Two objects
    of equal keys are the same to a compiled program, but for their params, arrays, numbers and settings."""

    __slots__ = (
        "_leaves",
        "_parts",
        "deep",
        "ends",
        "guards",
        "holds_key",
        "homes",
        "key",
        "param_paths",
        "params",
        "raw_paths",
        "roots",
        "settings",
        "volatile",
    )

    def __init__(self) -> None:
        self.key: Any = None  # a tuple of (keyword, key of the object); None if the walk made no keys
        self.roots: dict[str, Node] = {}  # keyword -> node, in the order of the keywords
        self.params: list[BaseParam] = []  # empty params of the right type, with their facts
        self.param_paths: list[str] = []
        self.raw_paths: list[str] = []
        self.settings: list[int] = []  # which of the statics belong to one module, and are no part of the key
        self.deep: list[bool] = []  # of each static, whether a copy of it has copies of the containers in its value
        # What the plan of a copy needs to know (see `_plan.copies`).
        self.homes: list[Any] = []  # where each container to be checked is: a number, a node, or itself
        self.guards: list[tuple[Any, list[Any]]] = []  # containers inside constants, and what they held
        self.ends: list[tuple[int, int, int, int]] = []  # params, raws, statics and homes up to the end of each root
        self.holds_key = False  # whether some object refers to the param of the global key
        self.volatile = False  # whether something may change in ways that no check can see
        self._leaves: dict[str, list[Leaf]] = {}
        self._parts: dict[tuple[str, ...], Skeleton] = {}

    def build(self, filling: Filling) -> dict[str, Any]:
        """Return copies of the tracked objects around the values of `filling`, by keyword."""
        return {name: node.build(filling) for name, node in self.roots.items()}

    def without_values(self, numbers: Mapping[int, Any], statics: Sequence[StaticParam]) -> Any:
        """Return the first of the objects, with params that hold nothing and arrays of no size.

        **Arguments:**

        - `numbers`: by place, what to put in place of arrays and numbers otherwise.
        """
        params = [like(p, None) for p in self.params]
        raws = [numbers.get(i, np.zeros(0, np.float32)) for i in range(len(self.raw_paths))]
        return next(iter(self.build(Filling(params, raws, copies_of(statics, self.deep))).values()))

    def leaves(self, name: str) -> list[Leaf]:
        """Return the params and arrays under a keyword."""
        found = self._leaves.get(name)
        if found is None:
            found = self._leaves[name] = list(self.roots[name].leaves())
        return found

    def settings_key(self, values: Sequence[StaticParam]) -> Hashable:
        """Return the key of what the settings hold, which is no part of `key`."""
        return tuple([values[i].__static_key__() for i in self.settings])

    def part(self, names: tuple[str, ...]) -> Skeleton:
        """Return the skeleton of the first few of the objects under other keywords: as a walk over these makes it."""
        found = self._parts.get(names)
        if found is not None:
            return found
        n_params, _, n_statics, n_homes = self.ends[len(names) - 1]
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
        new.settings = [i for i in self.settings if i < n_statics]
        new.deep = self.deep[:n_statics]
        new.homes, new.guards = self.homes[:n_homes], self.guards
        new.ends = self.ends[: len(names)]
        new.holds_key, new.volatile = self.holds_key, self.volatile
        return new

    def add_static(self, static: StaticParam, deep: bool) -> None:
        """Note one more static."""
        if isinstance(static, Setting):
            self.settings.append(len(self.deep))
        self.deep.append(deep)
