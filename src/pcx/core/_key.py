"""Keys of static values: two values have equal keys only if programs built from them compute the same.

Functions compare by code, defaults, and what they read of closures and globals, recursively: of `cfg.rate` the rate,
whatever `cfg` is (see `_reads`). Optax transformations compare through their closures, arrays by content. What can't
be compared that way compares by identity, and by what can be seen of it.
"""

from __future__ import annotations

import array
import collections
import contextvars
import dataclasses
import enum
import functools
import importlib.util
import os
import sys
import threading
import types
from collections.abc import Callable, Container, Hashable, Mapping
from typing import Any

import jax
import numpy as np

from ._identity import ById, Seen, array_key, code_key
from ._parameter import BaseParam
from ._reads import (
    MISSING,
    MUTATORS,
    held,
    in_library,
    is_library,
    is_module_level,
    is_plain,
    of_class,
    on_class,
    reads_of,
)
from ._skeleton import RECORDS
from ._static import Static

# A value with more parts than this is compared by identity: a key must stay cheap.
_MAX_PARTS = 10_000


class _TooMuch(Exception):
    """A value has too many parts."""


def static_key(x: Any) -> Hashable:
    """A hashable key of the static value `x`; equal keys mean equal computation."""
    return _compute(x, _Keys.key)


def function_key(fn: Any) -> Hashable:
    """Like `static_key`, for the function that a transform wraps: a named function in an importable module too is
    compared by what it would compute, since a reloaded module or a cell run again may have changed its globals."""
    return _compute(fn, _Keys.function if isinstance(fn, types.FunctionType) else _Keys.key)


class _Running(threading.local):
    """The computation in which an object is being asked for its own key. What it asks for in turn is part of that: a
    function that is reached again by way of a transform is noticed."""

    keys: _Keys | None = None


_running = _Running()


def _compute(x: Any, how: Callable[[_Keys, Any], Hashable]) -> Hashable:
    keys = _running.keys or _Keys()
    parts, keys._parts = keys._parts, 0  # each value that is keyed by itself may have as many parts
    opaque, keys._opaque = keys._opaque, False
    try:
        key = how(keys, x)
        return Seen(x, key) if keys._opaque and not isinstance(key, ById) else key
    except (_TooMuch, RecursionError):
        return ById(x)
    finally:
        keys._parts, keys._opaque = parts, opaque


def by_identity(x: Any) -> ById:
    """The key of a mutable object that can't be compared by content: whoever captured it compares by identity too."""
    if _running.keys is not None:
        _running.keys._opaque = True
    return ById(x)


class Keyed:
    """Holds a static value as metadata of a pytree: compares and hashes by the value's key."""

    __slots__ = ("_key", "value")

    def __init__(self, value: Any) -> None:
        self.value = value
        self._key: Hashable = None

    @property
    def key(self) -> Hashable:
        if self._key is None:
            self._key = static_key(self.value)
        return self._key

    def __hash__(self) -> int:
        return hash(self.key)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Keyed) and (self.value is other.value or self.key == other.key)

    def __repr__(self) -> str:
        return repr(self.value)


class _Keys:
    """One computation of a key: knows what it is inside of, so that recursion ends."""

    def __init__(self) -> None:
        self._inside: dict[int, int] = {}
        self._parts = 0
        self._opaque = False  # met a mutable object that can't be compared by content
        self._classes: dict[type, Hashable] = {}

    def key(self, x: Any) -> Hashable:
        self._parts += 1
        if self._parts > _MAX_PARTS:
            raise _TooMuch
        cls = type(x)
        if x is None or x is Ellipsis or x is NotImplemented or cls in (bool, int, str, bytes):
            return (cls, x)
        if cls is float:
            return (float, x.hex())  # tells 0.0 from -0.0, and nan equals itself
        if cls is complex:
            return (complex, x.real.hex(), x.imag.hex())
        if cls is bytearray:
            return (cls, bytes(x))
        if cls is array.array:
            return (cls, x.typecode, x.tobytes())
        if cls is contextvars.ContextVar:
            return (ById(x), self.key(x.get(MISSING)))
        if x is os.getenv:
            return (ById(x), self.key(os.environ))
        if isinstance(x, (types.BuiltinFunctionType, types.MethodDescriptorType)):
            return ById(x)
        if isinstance(x, type):
            return ById(x) if is_library(x.__module__) else self._class(x)
        if isinstance(x, (jax.Array, np.ndarray, np.generic)):
            if isinstance(x, np.ndarray) and x.dtype == object:
                return (cls, x.shape, tuple([self.key(v) for v in x.flat]))
            return array_key(x)
        if cls is types.CodeType:
            return code_key(x, _Keys().key)
        if id(x) in self._inside:  # a value that contains itself
            return ("again", self._inside[id(x)])
        self._inside[id(x)] = len(self._inside)
        try:
            own = getattr(cls, "__static_key__", None)
            if own is None:
                return self._composite(x, cls)
            before, _running.keys = _running.keys, self
            try:
                return own(x)
            finally:
                _running.keys = before
        finally:
            del self._inside[id(x)]

    def _composite(self, x: Any, cls: type) -> Hashable:
        if isinstance(x, types.ModuleType):
            return self._module(x)
        if isinstance(x, Static):
            return self.key(x._wrapped)
        if isinstance(x, enum.Enum):
            return (self._class(cls), x.name, self.key(x._value_))
        if isinstance(x, (tuple, list, collections.deque)):
            return (self._class(cls), tuple([self.key(v) for v in x]), *self._besides(x))
        if (isinstance(x, Mapping) and cls in (dict, types.MappingProxyType)) or isinstance(x, dict):
            return (self._class(cls), tuple([(self.key(k), self.key(v)) for k, v in x.items()]), *self._besides(x))
        if isinstance(x, (set, frozenset)):
            return (self._class(cls), frozenset([self.key(v) for v in x]), *self._besides(x))
        if isinstance(x, slice):
            return (slice, self.key(x.start), self.key(x.stop), self.key(x.step))
        if isinstance(x, functools.partial):
            return (cls, self.key(x.func), self.key(x.args), self.key(x.keywords))
        if isinstance(x, types.MethodType):
            return ("method", self.key(x.__func__), self.key(x.__self__))
        if isinstance(x, types.FunctionType):
            return ById(x) if in_library(x) and is_module_level(x) else self._function(x)
        if isinstance(x, (staticmethod, classmethod)):
            return (cls, self.key(x.__func__))
        if isinstance(x, property):
            return (cls, self.key(x.fget))
        if isinstance(x, functools.cached_property):
            return (cls, self.key(x.func))
        if dataclasses.is_dataclass(x):
            fields = tuple([(f.name, self.key(getattr(x, f.name, None))) for f in dataclasses.fields(x)])
            return (self._class(cls), fields, *self._besides(x, {f.name for f in dataclasses.fields(x)}))
        if isinstance(x, RECORDS):
            return (cls, self.key(vars(x)))
        if cls.__eq__ is not object.__eq__ and cls.__hash__ is not None and cls.__hash__ is not object.__hash__:
            return self._by_its_own_word(x, cls)
        if callable(x) and not hasattr(x, "__dict__"):
            return ById(x)  # compiled callables such as those of jax.jit: immutable, so identity will do
        if isinstance(x, (jax.custom_jvp, jax.custom_vjp)):
            return Seen(x, tuple([self.key(getattr(x, name, None)) for name in ("fun", "jvp", "fwd", "bwd")]))
        if type(x).__module__.startswith(("jax", "numpy")):
            return ById(x)
        self._opaque = True
        return self._object(x, cls)

    def _by_its_own_word(self, x: Any, cls: type) -> Hashable:
        before, _running.keys = _running.keys, None  # it may remember keys that it makes for this
        try:
            hash(x)
        except Exception:
            self._opaque = True
            return ById(x)
        finally:
            _running.keys = before
        if is_library(cls.__module__):
            return (cls, x)
        return (self._class(cls), x, self._attributes(x))  # it may be changed in place

    def _object(self, x: Any, cls: type) -> Hashable:
        """Any other object: itself, and what it holds as far as that can be seen."""
        if isinstance(x, BaseParam):
            return Seen(x, (self.key(x._value), self.key(x._facts)))
        if not is_plain(x):
            return ById(x)
        return Seen(x, (self._class(cls), self._attributes(x)))

    def _besides(self, x: Any, known: Container[str] = ()) -> tuple[Hashable, ...]:
        """What an object of a user's class holds besides its items, or the fields that are `known`; `()` if nothing."""
        cls = type(x)
        if is_library(cls.__module__):
            return ()
        found = [(n, v) for n, v in held(x) if n not in known]
        # What is remembered follows from the rest.
        found = [(n, v) for n, v in found if not isinstance(on_class(cls, n), functools.cached_property)]
        return tuple([(n, self.key(v)) for n, v in found])

    def _attributes(self, x: Any) -> Hashable:
        return tuple([(name, self.key(value)) for name, value in held(x)])

    def _class(self, cls: type) -> Hashable:
        """A class; of a user's own, with what its methods compute and the values that it holds."""
        if is_library(cls.__module__):
            return cls
        known = self._classes.get(cls)
        if known is not None:
            return known
        self._classes[cls] = ById(cls)  # inside it
        opaque, parts = self._opaque, self._parts
        private = issubclass(cls, enum.Enum)
        try:
            found = [(n, self.key(v)) for n, v in of_class(cls) if not (private and n.startswith("_"))]
            meta = type(cls)
            key = Seen(cls, (tuple(found), None if is_library(meta.__module__) else self._class(meta)))
        except (_TooMuch, RecursionError):
            key, self._parts = ById(cls), parts
        self._opaque = opaque
        self._classes[cls] = key
        return key

    def _module(self, x: types.ModuleType) -> Hashable:
        """A module that is handed around as a whole; of a user's own, with the plain values that it holds."""
        if is_library(x.__name__):
            return ById(x)
        plain = {n: v for n, v in list(vars(x).items()) if not n.startswith("__") and not callable(v)}
        nested = {n: v for n, v in plain.items() if isinstance(v, types.ModuleType)}
        classes = {n: v for n, v in list(vars(x).items()) if isinstance(v, type)}
        shown = {n: v for n, v in {**plain, **classes}.items() if n not in nested}
        opaque, parts = self._opaque, self._parts
        try:
            return Seen(x, tuple([(n, self.key(v)) for n, v in shown.items()]))
        except (_TooMuch, RecursionError):
            self._parts = parts
            return ById(x)
        finally:
            self._opaque = opaque

    def function(self, fn: types.FunctionType) -> Hashable:
        if id(fn) in self._inside:
            return ("again", self._inside[id(fn)])
        self._inside[id(fn)] = len(self._inside)
        try:
            return self._function(fn)
        finally:
            del self._inside[id(fn)]

    def _function(self, fn: types.FunctionType) -> Hashable:
        opaque, self._opaque = self._opaque, False
        try:
            code, reads = fn.__code__, reads_of(fn.__code__)
            cells = tuple(
                [
                    self._cell(cell, reads.cells.get(name, ()))
                    for name, cell in zip(code.co_freevars, fn.__closure__ or (), strict=True)
                ]
            )
            # A fresh function with equal code may stand in another module, or be defined again after a global that
            # it reads was changed (a notebook's cell): what it reads is part of what it computes.
            scope = {} if in_library(fn) else fn.__globals__
            captured = tuple(
                [
                    (name, tuple([self._read(scope[name], path) for path in paths]))
                    for name, paths in reads.globals.items()
                    if name in scope
                ]
            )
            imported = () if in_library(fn) else self._imports(fn, reads.modules)
            defaults = self.key(fn.__defaults__), self.key(fn.__kwdefaults__)
            key = (
                "function",
                code_key(code, _Keys().key),
                ById(fn.__globals__["__builtins__"]),
                defaults,
                cells,
                captured,
                imported,
            )
            return Seen(fn, key) if self._opaque else key
        finally:
            self._opaque = opaque

    def _imports(self, fn: types.FunctionType, modules: Mapping[Any, Any]) -> Hashable:
        """What a function reads of the user's modules that it imports itself."""
        found = []
        for (name, level), paths in modules.items():
            try:
                full = importlib.util.resolve_name("." * level + name, fn.__globals__.get("__package__") or None)
            except (ImportError, ValueError):
                continue
            if is_library(full):
                continue
            module: Any = sys.modules.get(full)
            if module is None:  # not yet
                found.append((full, "not imported"))
                continue
            each = []
            for path in paths:
                nested = sys.modules.get(f"{full}.{path[0]}") if path and path[0] not in vars(module) else None
                each.append(self._read(module, path) if nested is None else self._read(nested, path[1:]))
            found.append((full, tuple(each)))
        return tuple(found)

    def _cell(self, cell: Any, paths: tuple[tuple[str, ...], ...]) -> Hashable:
        try:
            value = cell.cell_contents
        except ValueError:  # not filled yet
            return "empty cell"
        return tuple([self._read(value, path) for path in paths])

    def _read(self, x: Any, path: tuple[str, ...]) -> Hashable:
        """The key of what is read of a value through attributes, found where they lie: nothing of it is run."""
        if not path:
            return self.key(x)
        name, rest, cls = path[0], path[1:], type(x)
        if isinstance(x, types.ModuleType):
            if name in vars(x):
                return self._read(vars(x)[name], rest)
            return ("made on demand", ById(x), self.key(vars(x).get("__getattr__")))
        if isinstance(x, (list, dict, set)) and name in MUTATORS and not rest:
            return ("written", cls)
        if isinstance(x, types.FunctionType):
            return self._read(vars(x)[name], rest) if name in vars(x) else self.key(x)
        if isinstance(x, type):
            found = on_class(x, name)
            if found is MISSING or hasattr(on_class(cls, name), "__set__"):
                return self.key(x)
            return ("class", self.key(found), self.key(x)) if hasattr(found, "__get__") else self._read(found, rest)
        own = getattr(cls, "__static_key__", None)
        if own is not None or isinstance(x, (BaseParam, Static, enum.Enum, functools.partial)) or not is_plain(x):
            return self.key(x)
        if on_class(cls, "__getattribute__") is not object.__getattribute__:
            return self.key(x)
        found = on_class(cls, name)
        if isinstance(found, types.MemberDescriptorType) or not hasattr(found, "__set__"):
            for attribute, value in held(x):
                if attribute == name:
                    return self._read(value, rest)
        if found is MISSING:
            return self.key(x)
        return self.key((found, x)) if hasattr(found, "__get__") else self._read(found, rest)
