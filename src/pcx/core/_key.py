"""Keys of static values: two values have equal keys only if programs built from them compute the same.

A compiled program is found by the key of all that it was built from, so a key may never be equal for two values
that compute differently; that it may differ for two that compute the same only costs a compilation. So each kind of
value is compared by the most that is sure to tell it apart: numbers, text and containers by content and type (1 is
not True, 0.0 is not -0.0), arrays by their bytes, functions by what they compute (see `_code`), a value with a key
of its own by that, and everything else by identity and by what can be seen of it.

A key is one computation, which knows what it is inside of: so values that contain themselves have a key, and a
value that is too large for one is compared by identity.
"""

from __future__ import annotations

import array
import collections
import contextvars
import enum
import functools
import os
import threading
import types
from collections.abc import Callable, Container, Hashable
from typing import Any

import jax
import numpy as np

from ._anatomy import Kind, contents
from ._code import class_key, code_key, function_content, module_key
from ._identity import ById, Seen, array_key
from ._reads import MISSING, attributes_of, in_library, is_library, is_module_level, is_plain, on_class
from ._types import Constant

# A value with more parts than this is compared by identity: a key must stay cheap.
_MAX_PARTS = 10_000


class _TooMuch(Exception):
    """A value has too many parts."""


def static_key(x: Constant) -> Hashable:
    """Return a hashable key of the static value `x`; equal keys mean equal computation."""
    return _compute(x, Keys.key)


def function_key(fn: Callable[..., Any]) -> Hashable:
    """Return the key of the function that a transform wraps. Unlike `static_key` it looks into a named function in an
    importable module too, since a reloaded module or a cell run again may have changed its globals."""
    return _compute(fn, Keys.function if isinstance(fn, types.FunctionType) else Keys.key)


class _Running(threading.local):
    """The computation in which an object is being asked for its own key. What it asks for in turn is part of that: a
    function that is reached again by way of a transform is noticed."""

    keys: Keys | None = None


_running = _Running()


def _compute(x: Constant, how: Callable[[Keys, Any], Hashable]) -> Hashable:
    keys = _running.keys or Keys()
    parts, keys.parts = keys.parts, 0  # each value that is keyed by itself may have as many parts
    opaque, keys.opaque = keys.opaque, False
    try:
        key = how(keys, x)
        return Seen(x, key) if keys.opaque and not isinstance(key, ById) else key
    except (_TooMuch, RecursionError):
        return ById(x)
    finally:
        keys.parts, keys.opaque = parts, opaque


def by_identity(x: Constant, *content: Constant) -> Hashable:
    """Return the key of a mutable object that can't be compared by content alone: it equals only the key of the same
    object, as long as `content` is the same. Whoever captured the object compares by identity too."""
    keys = _running.keys
    if keys is None:
        return Seen(x, static_key(content)) if content else ById(x)
    keys.opaque = True
    return Seen(x, tuple([keys.key(v) for v in content])) if content else ById(x)


class Keyed:
    """Holds a static value as metadata of a pytree: compares and hashes by the value's key."""

    __slots__ = ("_key", "value")

    def __init__(self, value: Constant) -> None:
        self.value = value
        self._key: Hashable = None

    @property
    def key(self) -> Hashable:
        """The value's key, found when it is first needed."""
        if self._key is None:
            self._key = static_key(self.value)
        return self._key

    def __hash__(self) -> int:
        return hash(self.key)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Keyed) and (self.value is other.value or self.key == other.key)

    def __repr__(self) -> str:
        return repr(self.value)


class Keys:
    """One computation of a key."""

    def __init__(self) -> None:
        self.inside: dict[int, int] = {}  # what is being looked into, by identity
        self.parts = 0
        self.opaque = False  # met a mutable object that can't be compared by content
        self.classes: dict[type, Hashable] = {}

    def key(self, x: Constant) -> Hashable:
        """Return the key of a value, as a part of this computation."""
        self.parts += 1
        if self.parts > _MAX_PARTS:
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
            return ById(x) if is_library(x.__module__) else class_key(self, x)
        if isinstance(x, (jax.Array, np.ndarray, np.generic)):
            if isinstance(x, np.ndarray) and x.dtype == object:
                return (cls, x.shape, tuple([self.key(v) for v in x.flat]))
            return array_key(x)
        if cls is types.CodeType:
            return code_key(x, Keys().key)
        return self.within(x, self._composite)

    def within(self, x: Constant, how: Callable[[Any], Hashable]) -> Hashable:
        """Return `how(x)`, or the place of `x` among the values that this one is inside of."""
        if id(x) in self.inside:  # a value that contains itself
            return ("again", self.inside[id(x)])
        self.inside[id(x)] = len(self.inside)
        try:
            return how(x)
        finally:
            del self.inside[id(x)]

    def apart(self, how: Callable[[], Hashable], otherwise: Constant) -> Hashable:
        """Return `how()`, what it finds having no part in whether this key is opaque; the identity of `otherwise`, if
        that has too many parts."""
        opaque, parts = self.opaque, self.parts
        try:
            return how()
        except (_TooMuch, RecursionError):
            self.parts = parts
            return ById(otherwise)
        finally:
            self.opaque = opaque

    def function(self, fn: types.FunctionType) -> Hashable:
        """Return the key of a function by what it computes, wherever it stands."""
        return self.within(fn, self._function)

    def _function(self, fn: types.FunctionType) -> Hashable:
        opaque, self.opaque = self.opaque, False
        try:
            content = function_content(self, fn)
            return Seen(fn, content) if self.opaque else content
        finally:
            self.opaque = opaque

    def of_class(self, cls: type) -> Hashable:
        """Return the key of a value's class."""
        return class_key(self, cls)

    def _composite(self, x: Constant) -> Hashable:
        cls = type(x)
        own = getattr(cls, "__static_key__", None)
        if own is not None:
            before, _running.keys = _running.keys, self
            try:
                return own(x)
            finally:
                _running.keys = before
        if isinstance(x, types.ModuleType):
            return module_key(self, x)
        if isinstance(x, enum.Enum):
            return (class_key(self, cls), x.name, self.key(x._value_))
        if isinstance(x, types.FunctionType):
            return ById(x) if in_library(x) and is_module_level(x) else self._function(x)
        if isinstance(x, collections.deque):
            return (class_key(self, cls), tuple([self.key(v) for v in x]), *self._besides(x))
        kind, content = contents(x)
        if kind is Kind.CONSTANT:
            return self._object(x, cls)
        if kind is Kind.WRAPPER:
            return (cls, tuple([self.key(v) for _, v in content]))
        if kind is Kind.RECORD:
            return (cls, tuple([(name, self.key(v)) for name, v in content]))
        of_class = class_key(self, cls)
        if kind is Kind.SET:
            return (of_class, frozenset([self.key(v) for _, v in content]), *self._besides(x))
        if kind is Kind.DICT:
            return (of_class, tuple([(self.key(k), self.key(v)) for k, v in content]), *self._besides(x))
        if kind is Kind.DATACLASS:
            fields = tuple([(name, self.key(v)) for name, v in content])
            return (of_class, fields, *self._besides(x, {name for name, _ in content}))
        return (of_class, tuple([self.key(v) for _, v in content]), *self._besides(x))

    def _object(self, x: Constant, cls: type) -> Hashable:
        if cls.__eq__ is not object.__eq__ and cls.__hash__ is not None and cls.__hash__ is not object.__hash__:
            return self._by_its_own_word(x, cls)
        if callable(x) and not hasattr(x, "__dict__"):
            return ById(x)  # compiled callables such as those of jax.jit: immutable, so identity will do
        if isinstance(x, (jax.custom_jvp, jax.custom_vjp)):
            return Seen(x, tuple([self.key(getattr(x, name, None)) for name in ("fun", "jvp", "fwd", "bwd")]))
        if cls.__module__.startswith(("jax", "numpy")):
            return ById(x)
        self.opaque = True
        # Any other object: itself, and what it holds as far as that can be seen.
        return Seen(x, (class_key(self, cls), self._attributes(x))) if is_plain(x) else ById(x)

    def _by_its_own_word(self, x: Constant, cls: type) -> Hashable:
        before, _running.keys = _running.keys, None  # it may remember keys that it makes for this
        try:
            hash(x)
        except Exception:
            self.opaque = True
            return ById(x)
        finally:
            _running.keys = before
        if is_library(cls.__module__):
            return (cls, x)
        return (class_key(self, cls), x, self._attributes(x))  # it may be changed in place

    def _besides(self, x: Constant, fields: Container[str] = ()) -> tuple[Hashable, ...]:
        """Return keys of what an object of a user's class holds besides its items, or its `fields`."""
        cls = type(x)
        if is_library(cls.__module__):
            return ()
        found = [(n, v) for n, v in attributes_of(x) if n not in fields]
        # What is remembered follows from the rest.
        found = [(n, v) for n, v in found if not isinstance(on_class(cls, n), functools.cached_property)]
        return tuple([(n, self.key(v)) for n, v in found])

    def _attributes(self, x: Constant) -> Hashable:
        return tuple([(name, self.key(value)) for name, value in attributes_of(x)])
