"""Params that no walk finds, because what holds them is no tree to JAX: refused, as they could never learn.

A plain object, a dataclass that isn't registered, a set, a closure: JAX takes each for one constant. A module inside
would be part of the program with the values that it has now, and would stay as it is while the others learn.
"""

from __future__ import annotations

import collections
import functools
import types
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from typing import Any

import jax
import numpy as np

from ._module import BaseModule
from ._parameter import BaseParam
from ._static import StaticParam
from ._types import Constant

# With nothing of the user's inside, or nothing that can be looked at without running code of it.
_PLAIN = (str, bytes, bytearray, int, float, complex, type, types.ModuleType, types.CodeType, jax.Array, StaticParam)
_MAX_OBJECTS = 10_000
_FUNCTIONS = (types.FunctionType, types.MethodType, functools.partial)


def refuse_hidden(
    x: Constant, path: str, is_known: Callable[[Any], bool] = lambda _: False, is_tree: bool = False
) -> None:
    """Refuse a constant of a tracked object in which there are params.

    **Arguments:**

    - `x`: the constant, and `path`, where it stands.
    - `is_known`: whether a param or a module is found by another way; what a function holds may then be anything.
    - `is_tree`: whether x is a tree to JAX, so that only its metadata is constant.

    **Raises:** `TypeError` with the path of the first param.
    """
    found = next(_params(x, path, is_known, is_tree), None)
    if found is None:
        return
    at, param = found
    if isinstance(x, _FUNCTIONS):
        how = "a function is a constant: make what it holds an attribute of the model, and call it in a method"
    else:
        how = (
            "make that class a pcx.Module (or a NamedTuple, or register it by jax.tree_util.register_dataclass), or "
            "keep its parts in attributes, lists, tuples or dicts"
        )
    raise TypeError(
        f"{at.removeprefix('model.').lstrip('.')} ({type(param).__name__}) would not be found, and so would never "
        f"learn or be set: it is inside a {_kind(x)}, which is one constant to JAX; {how}"
    )


def _kind(x: Constant) -> str:
    cls = type(x)
    if cls is types.FunctionType:
        return f"function ({x.__name__})"
    return "bound method" if cls is types.MethodType else f"{cls.__module__}.{cls.__qualname__}"


def _params(x: Constant, path: str, is_known: Callable[[Any], bool], is_tree: bool) -> Iterator[tuple[str, BaseParam]]:
    seen: set[int] = set()
    keep: list[Any] = []  # what was made to be looked at: an identity must not be given twice
    todo: collections.deque[tuple[str, Any, bool]] = collections.deque([(path, x, is_tree)])
    while todo and len(seen) < _MAX_OBJECTS:
        at, item, excused = todo.popleft()
        cls = type(item)
        if item is None or id(item) in seen or issubclass(cls, _PLAIN):
            continue
        seen.add(id(item))
        keep.append(item)
        if issubclass(cls, BaseParam):
            if not (excused and is_known(item)):
                yield at, item
            continue
        # A function that holds the model itself may ask it for anything: only what is nowhere else is hidden.
        if excused and issubclass(cls, BaseModule) and is_known(item):
            continue
        inside = excused or issubclass(cls, _FUNCTIONS)
        todo.extend([(name, value, inside) for name, value in _parts(at, item, cls)])


def _parts(at: str, x: Constant, cls: type) -> Iterable[tuple[str, Any]]:
    """Return what `x` holds, each with its path."""
    if issubclass(cls, np.ndarray):
        return [(f"{at}[{i}]", v) for i, v in enumerate(x.ravel())] if x.dtype.hasobject else []
    if issubclass(cls, types.MethodType):
        return [(f"{at}.__self__", x.__self__)]
    if issubclass(cls, types.FunctionType):
        return _captured(at, x)
    parts: list[tuple[str, Any]] = []
    if issubclass(cls, functools.partial):
        parts += [(f"{at}.func", x.func), (f"{at}.args", x.args), (f"{at}.keywords", x.keywords)]
    if _is_library(cls):  # compiled functions, and those with a gradient of their own
        return [*parts, *[(at, f) for f in (getattr(x, "__wrapped__", None), getattr(x, "fun", None)) if callable(f)]]
    if _is_container(cls):
        pairs = x.items() if issubclass(cls, Mapping) else enumerate(x)
        parts += [(f"{at}[{k!r}]", v) for k, v in pairs]
    if hasattr(x, "__dict__"):
        parts += [(f"{at}.{name}", value) for name, value in vars(x).items()]
    return parts + [(f"{at}.{name}", value) for name, value in _slots(x, cls)]


def _is_library(cls: type) -> bool:
    return cls.__module__.partition(".")[0] in ("jax", "jaxlib", "numpy", "weakref")


def _is_container(cls: type) -> bool:
    # Only containers of Python's own are gone through: `__iter__` of a user's class may do anything.
    return any(base.__module__ in ("builtins", "collections") and issubclass(base, Collection) for base in cls.__mro__)


def _slots(x: Constant, cls: type) -> Iterator[tuple[str, Any]]:
    for base in cls.__mro__:
        names = base.__dict__.get("__slots__", ())
        for name in (names,) if isinstance(names, str) else names:
            private = name.startswith("__") and not name.endswith("__")
            stored = f"_{base.__name__.lstrip('_')}{name}" if private else name
            if name in ("__dict__", "__weakref__"):
                continue
            try:
                yield name, object.__getattribute__(x, stored)
            except AttributeError:  # not set
                continue


def _captured(at: str, fn: types.FunctionType) -> Iterator[tuple[str, Any]]:
    names = fn.__code__.co_freevars
    for name, cell in zip(names, fn.__closure__ or (), strict=True):
        try:
            yield f"{at} (its variable {name})", cell.cell_contents
        except ValueError:  # not filled yet
            continue
    for name, value in (fn.__kwdefaults__ or {}).items():
        yield f"{at} (its default {name})", value
    for i, value in enumerate(fn.__defaults__ or ()):
        yield f"{at} (its default {i})", value
    for name, value in vars(fn).items():
        yield f"{at}.{name}", value
