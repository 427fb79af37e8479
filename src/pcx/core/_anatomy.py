"""The parts of an object. Whatever walks over objects asks here what is inside of them.

There are two questions, since an object has two sides.

- `parts` says what a *tree* holds, as JAX sees it: the walk of a tracked call, masks, `submodules`, modes and paths
  go by it. A module holds its attributes, a list its items; a function, a set or a plain object is one constant.
- `contents` says what a *constant* holds, as Python sees it: keys (equal constants make equal programs), guards (a
  constant that is changed in place makes another program), copies and descriptions go by it.

pcx's own classes say what they are by an attribute `_kind`, so this file imports none of them.
"""

from __future__ import annotations

import argparse
import dataclasses
import enum
import functools
import types
from collections.abc import Callable, Iterable, Reversible, Sequence
from typing import Any

import jax
import jax.tree_util as jtu
import numpy as np

from ._types import Constant, Tree

# Arrays and numbers: inputs of a compiled program.
LEAVES = (jax.Array, np.ndarray, np.generic, int, float, complex)
# Records of plain attributes.
RECORDS = (types.SimpleNamespace, argparse.Namespace)


class Kind(enum.Enum):
    """Kinds of objects, by what they hold."""

    PARAM = enum.auto()  # a box of data
    STATIC = enum.auto()  # a box of a constant
    MODULE = enum.auto()  # attributes
    LIST = enum.auto()
    TUPLE = enum.auto()
    DICT = enum.auto()
    TREE = enum.auto()  # a pytree of another library: an Equinox layer, a named tuple, an optimiser's state
    LEAF = enum.auto()  # an array or a number
    CONSTANT = enum.auto()  # anything else: one constant to JAX
    # Of constants alone:
    SET = enum.auto()
    RECORD = enum.auto()  # a namespace: attributes that may be changed
    DATACLASS = enum.auto()  # fields
    WRAPPER = enum.auto()  # a function with something bound to it, and the like

    __hash__ = object.__hash__  # that of enums runs in Python: walks look kinds up in tables


Parts = list[tuple[Any, Any]]  # (name, child): an attribute, an index, a key; for trees, a path of JAX


def kind_of(x: Tree) -> Kind:
    """Return what `x` is to a walk over a tree."""
    # Asked of the class: an Equinox module or a tracer answers `isinstance` in Python, which takes longer.
    cls = type(x)
    kind = _KINDS.get(cls)
    if kind is None:
        kind = getattr(cls, "_kind", None)
        if type(kind) is not Kind:
            kind = Kind.DICT if issubclass(cls, dict) else Kind.LEAF if isinstance(x, LEAVES) else Kind.TREE
            if kind is Kind.TREE and jtu.all_leaves((x,)):
                return Kind.CONSTANT  # as long as nobody registers its class
        _KINDS[cls] = kind
    return kind


# Of the classes met so far. JAX's own registry keeps classes of trees, ours among them, as long.
_KINDS: dict[type, Kind] = {
    list: Kind.LIST,
    tuple: Kind.TUPLE,
    dict: Kind.DICT,
    str: Kind.CONSTANT,
    types.NoneType: Kind.CONSTANT,
    types.FunctionType: Kind.CONSTANT,
}


def inside(x: Tree, kind: Kind) -> Reversible[Any]:
    """Return the children of a tree of that kind, in the order of `parts`, without their names."""
    children = _CHILDREN.get(kind)
    return () if children is None else children(x)


_CHILDREN: dict[Kind, Callable[[Any], Reversible[Any]]] = {
    Kind.MODULE: lambda x: vars(x).values(),
    Kind.LIST: lambda x: x,
    Kind.TUPLE: lambda x: x,
    Kind.DICT: lambda x: x.values(),
    Kind.TREE: lambda x: jtu.tree_leaves(x, is_leaf=lambda y: y is not x),
}
MAY_HOLD_ITSELF = frozenset({Kind.MODULE, Kind.LIST, Kind.DICT})
HOLDS_NOTHING = frozenset({*Kind} - {*_CHILDREN})


def parts(x: Tree) -> tuple[Kind, Parts]:
    """Return what `x` is, and what it holds as a tree: `(kind, [(name, child)])`, in the order in which it holds it."""
    kind = kind_of(x)
    named = _PARTS.get(kind)
    return kind, [] if named is None else named(x)


_PARTS: dict[Kind, Callable[[Any], Parts]] = {
    Kind.MODULE: lambda x: list(vars(x).items()),
    Kind.LIST: lambda x: list(enumerate(x)),
    Kind.TUPLE: lambda x: list(enumerate(x)),
    Kind.DICT: lambda x: list(x.items()),
    Kind.TREE: lambda x: jtu.tree_leaves_with_path(x, is_leaf=lambda y: y is not x),
}


def step(kind: Kind, name: Any) -> str:
    """Return how the path to a part of that name goes on: `.weight`, `[0]`, `['key']`."""
    if kind is Kind.MODULE:
        return f".{name}"
    return jtu.keystr(name) if kind is Kind.TREE else f"[{name!r}]"


def treedef_of(x: Tree) -> Any:
    """Return JAX's description of a tree of another library, one level deep."""
    return jtu.tree_structure(x, is_leaf=lambda y: y is not x)


def ordered(names: Iterable[Any]) -> list[Any]:
    """Return names in the order of JAX: sorted, if they can be; the order of insertion is no part of a structure."""
    given = list(names)
    try:
        return sorted(given)
    except TypeError:
        return given


def met_first(x: Tree, kind: Kind) -> Iterable[Any]:
    """Return the names of what a module or dict holds, in the order in which references to shared params are first or
    second: for a module, in which they were assigned."""
    return list(vars(x)) if kind is Kind.MODULE else ordered(x)


def contents(x: Constant) -> tuple[Kind, Parts]:
    """Return what a constant is, and what it holds as Python sees it; `CONSTANT` and nothing, if that can't be seen."""
    cls = type(x)
    if cls in PLAIN:
        return Kind.CONSTANT, []
    if isinstance(x, list):
        return Kind.LIST, list(enumerate(x))
    if isinstance(x, tuple):
        return Kind.TUPLE, list(enumerate(x))
    if isinstance(x, (dict, types.MappingProxyType)):
        return Kind.DICT, list(x.items())
    if isinstance(x, (set, frozenset)):
        return Kind.SET, [(None, v) for v in x]
    if isinstance(x, RECORDS):
        return Kind.RECORD, list(vars(x).items())
    if getattr(cls, "_kind", None) is Kind.STATIC:
        return Kind.STATIC, [("value", x._value)]
    for wrapper, names in _WRAPPERS:
        if isinstance(x, wrapper):
            return Kind.WRAPPER, [(name, getattr(x, name)) for name in names]
    if dataclasses.is_dataclass(cls):
        return Kind.DATACLASS, [(f.name, getattr(x, f.name, None)) for f in dataclasses.fields(cls)]
    return Kind.CONSTANT, []


# In which nothing can be seen.
PLAIN = frozenset({types.NoneType, bool, int, float, complex, str, bytes, types.FunctionType, type})
_WRAPPERS: Sequence[tuple[type, tuple[str, ...]]] = (
    (functools.partial, ("func", "args", "keywords")),
    (types.MethodType, ("__func__", "__self__")),
    (staticmethod, ("__func__",)),
    (classmethod, ("__func__",)),
    (property, ("fget",)),
    (functools.cached_property, ("func",)),
    (slice, ("start", "stop", "step")),
)


def is_frozen(x: Constant) -> bool:
    """Return whether a dataclass is frozen by `dataclass(frozen=True)`, or by a `__setattr__` of its own, as Equinox
    modules are."""
    settings = getattr(type(x), "__dataclass_params__", None)
    return settings is not None and (settings.frozen or type(x).__setattr__ is not object.__setattr__)
