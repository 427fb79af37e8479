"""Keys of static values: two values have equal keys only if programs built from them compute the same.

Functions compare by code, defaults, closure values and the global values they name, recursively; Optax
transformations through their closures; arrays by content. What can't be compared that way compares by identity.
"""

from __future__ import annotations

import dataclasses
import enum
import functools
import hashlib
import sys
import threading
import types
import weakref
from collections.abc import Callable, Hashable, Mapping
from typing import Any

import jax
import jax.core
import numpy as np

from ._static import Static
from ._template import RECORDS

# Arrays on a device up to this size are compared by content (a copy to the host); larger ones by identity.
_MAX_DEVICE_BYTES = 1 << 16
# A value with more parts than this is compared by identity: a key must stay cheap.
_MAX_PARTS = 10_000


class ById:
    """A key that equals only the key of the very same object, and never keeps that object alive if it can."""

    __slots__ = ("_id", "_ref", "_strong")

    def __init__(self, obj: Any) -> None:
        self._id = id(obj)
        self._strong = None
        try:
            self._ref = weakref.ref(obj)
        except TypeError:
            self._ref = None
            self._strong = obj

    def _get(self) -> Any:
        return self._ref() if self._ref is not None else self._strong

    def __hash__(self) -> int:
        return self._id

    def __eq__(self, other: object) -> bool:
        if self is other:
            return True
        if not isinstance(other, ById) or self._id != other._id:
            return False
        mine = self._get()
        return mine is not None and mine is other._get()


class _Opaque(Exception):
    """Met a mutable object that can't be compared by content: whoever captured it compares by identity."""


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
    try:
        return how(keys, x)
    except (_Opaque, RecursionError):
        return ById(x)
    finally:
        keys._parts = parts


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

    def key(self, x: Any) -> Hashable:
        self._parts += 1
        if self._parts > _MAX_PARTS:
            raise _Opaque
        cls = type(x)
        if x is None or x is Ellipsis or x is NotImplemented or cls in (bool, int, str, bytes):
            return (cls, x)
        if cls is float:
            return (float, x.hex())  # tells 0.0 from -0.0, and nan equals itself
        if cls is complex:
            return (complex, x.real.hex(), x.imag.hex())
        if cls is bytearray:
            return (cls, bytes(x))
        if isinstance(x, (type, types.ModuleType, types.BuiltinFunctionType, types.MethodDescriptorType)):
            return ById(x)
        if isinstance(x, (jax.Array, np.ndarray, np.generic)):
            return _array_key(x)
        if cls is types.CodeType:
            return _code_key(x)
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
        if isinstance(x, Static):
            return self.key(x._wrapped)
        if isinstance(x, enum.Enum):
            return (cls, x.name)
        if isinstance(x, (tuple, list)):
            return (cls, tuple([self.key(v) for v in x]))
        if (isinstance(x, Mapping) and cls in (dict, types.MappingProxyType)) or isinstance(x, dict):
            return (cls, tuple([(self.key(k), self.key(v)) for k, v in x.items()]))
        if isinstance(x, (set, frozenset)):
            return (cls, frozenset([self.key(v) for v in x]))
        if isinstance(x, slice):
            return (slice, self.key(x.start), self.key(x.stop), self.key(x.step))
        if isinstance(x, functools.partial):
            return (cls, self.key(x.func), self.key(x.args), self.key(x.keywords))
        if isinstance(x, types.MethodType):
            return ("method", self.key(x.__func__), self.key(x.__self__))
        if isinstance(x, types.FunctionType):
            return ById(x) if _is_module_level(x) else self._function(x)
        if dataclasses.is_dataclass(x):
            return (cls, tuple([(f.name, self.key(getattr(x, f.name, None))) for f in dataclasses.fields(x)]))
        if isinstance(x, RECORDS):
            return (cls, self.key(vars(x)))
        if cls.__eq__ is not object.__eq__ and cls.__hash__ is not None and cls.__hash__ is not object.__hash__:
            before, _running.keys = _running.keys, None  # it may remember keys that it makes for this
            try:
                hash(x)
            except Exception:
                raise _Opaque from None
            finally:
                _running.keys = before
            return (cls, x)
        if callable(x) and not hasattr(x, "__dict__"):
            return ById(x)  # compiled callables such as those of jax.jit: immutable, so identity will do
        if isinstance(x, (jax.custom_jvp, jax.custom_vjp)) or type(x).__module__.startswith(("jax", "numpy")):
            return ById(x)
        raise _Opaque

    def function(self, fn: types.FunctionType) -> Hashable:
        if id(fn) in self._inside:
            return ("again", self._inside[id(fn)])
        self._inside[id(fn)] = len(self._inside)
        try:
            return self._function(fn)
        finally:
            del self._inside[id(fn)]

    def _function(self, fn: types.FunctionType) -> Hashable:
        try:
            cells = tuple([self._cell(c) for c in fn.__closure__ or ()])
            captured = self._globals(fn)
            defaults = self.key(fn.__defaults__), self.key(fn.__kwdefaults__)
        except _Opaque:
            return ById(fn)
        return ("function", _code_key(fn.__code__), ById(fn.__globals__["__builtins__"]), defaults, cells, captured)

    def _cell(self, cell: Any) -> Hashable:
        try:
            return self.key(cell.cell_contents)
        except ValueError:  # not filled yet
            return "empty cell"

    def _globals(self, fn: types.FunctionType) -> Hashable:
        # A fresh function with equal code may stand in another module, or be defined again after a global that
        # it reads was changed (a notebook's cell): the values that it names are part of what it computes.
        names: dict[str, None] = {}
        todo = [fn.__code__]
        while todo:
            code = todo.pop()
            names.update(dict.fromkeys(code.co_names))
            todo.extend(c for c in code.co_consts if isinstance(c, types.CodeType))
        scope = fn.__globals__
        return tuple([(name, self.key(scope[name])) for name in names if name in scope])


class _CodeKey:
    """What a function's code computes. Code objects themselves also compare by the line that they stand on."""

    __slots__ = ("_hash", "_parts")

    def __init__(self, code: types.CodeType) -> None:
        self._parts = (
            code.co_name,
            code.co_argcount,
            code.co_posonlyargcount,
            code.co_kwonlyargcount,
            code.co_flags,
            code.co_code,
            code.co_names,
            code.co_varnames,
            code.co_freevars,
            code.co_cellvars,
            getattr(code, "co_exceptiontable", b""),
            _Keys().key(code.co_consts),
        )
        self._hash = hash(self._parts)

    def __hash__(self) -> int:
        return self._hash

    def __eq__(self, other: object) -> bool:
        return self is other or (isinstance(other, _CodeKey) and self._parts == other._parts)


_code_keys: weakref.WeakKeyDictionary[types.CodeType, _CodeKey] = weakref.WeakKeyDictionary()


def _code_key(code: types.CodeType) -> _CodeKey:
    found = _code_keys.get(code)
    if found is None:
        found = _code_keys[code] = _CodeKey(code)
    return found


def _array_key(x: Any) -> Hashable:
    if isinstance(x, jax.core.Tracer):
        return ById(x)
    if isinstance(x, jax.Array):
        try:
            extended = jax.numpy.issubdtype(x.dtype, jax.dtypes.extended)  # typed random keys and their like
            if extended or x.nbytes > _MAX_DEVICE_BYTES or not x.is_fully_addressable:
                return ById(x)
            return ("jax array", x.dtype, x.shape, bool(x.weak_type), np.asarray(x).tobytes())
        except RuntimeError:  # deleted or donated
            return ById(x)
    if x.dtype.hasobject:
        return ById(x)
    data = np.ascontiguousarray(x)
    content = data.tobytes() if data.nbytes <= 1024 else hashlib.blake2b(data.tobytes()).digest()
    return (type(x), x.dtype, x.shape, content)


def _is_module_level(fn: types.FunctionType) -> bool:
    """Whether `fn` is the one function of its name in an imported module, so that its identity says it all."""
    if fn.__closure__ or fn.__module__ == "__main__":
        return False
    found: Any = sys.modules.get(fn.__module__)
    for part in fn.__qualname__.split("."):
        found = getattr(found, part, None)
    return found is fn
