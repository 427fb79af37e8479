"""Keys of code: functions, classes and modules by what they compute.

Two functions compute the same if their code does and if what they read of their surroundings is the same: defaults,
what their closures hold, and of each global name the attributes that are read of it (of `cfg.rate` the rate,
whatever `cfg` is; see `_reads`). So a lambda made anew in every call, or a function in a cell of a notebook that is
run again, finds the program of the first; and one whose global was changed in between doesn't. Functions and
classes of installed libraries don't change: they are compared by identity.
"""

from __future__ import annotations

import enum
import functools
import importlib.util
import sys
import types
import weakref
from collections.abc import Callable, Hashable, Mapping
from typing import TYPE_CHECKING, Any

from ._identity import ById, Seen
from ._reads import (
    MISSING,
    MUTATORS,
    attributes_of,
    in_library,
    is_library,
    is_plain,
    of_class,
    on_class,
    reads_of,
)
from ._types import Constant

if TYPE_CHECKING:
    from ._key import Keys


class _CodeKey:
    """A key of what code computes. Code objects themselves also compare by the line that they stand on."""

    __slots__ = ("_hash", "_parts")

    def __init__(self, code: types.CodeType, key_of: Callable[[Any], Hashable]) -> None:
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
            key_of(code.co_consts),
        )
        self._hash = hash(self._parts)

    def __hash__(self) -> int:
        return self._hash

    def __eq__(self, other: object) -> bool:
        return self is other or (isinstance(other, _CodeKey) and self._parts == other._parts)


_code_keys: weakref.WeakKeyDictionary[types.CodeType, _CodeKey] = weakref.WeakKeyDictionary()


def code_key(code: types.CodeType, key_of: Callable[[Any], Hashable]) -> Hashable:
    """Return the key of a code object; `key_of` gives that of its constants."""
    found = _code_keys.get(code)
    if found is None:
        found = _code_keys[code] = _CodeKey(code, key_of)
    return found


def function_content(keys: Keys, fn: types.FunctionType) -> Hashable:
    """Return what a function computes: its code, defaults, and what it reads of closures and globals."""
    code, reads = fn.__code__, reads_of(fn.__code__)
    cells = tuple(
        [
            _cell(keys, cell, reads.cells.get(name, ()))
            for name, cell in zip(code.co_freevars, fn.__closure__ or (), strict=True)
        ]
    )
    # A fresh function with equal code may stand in another module, or be defined again after a global that it reads was
    # changed (a notebook's cell): what it reads is part of what it computes.
    scope = {} if in_library(fn) else fn.__globals__
    captured = tuple(
        [
            (name, tuple([_read(keys, scope[name], path) for path in paths]))
            for name, paths in reads.globals.items()
            if name in scope
        ]
    )
    return (
        "function",
        code_key(code, type(keys)().key),
        ById(fn.__globals__["__builtins__"]),
        (keys.key(fn.__defaults__), keys.key(fn.__kwdefaults__)),
        cells,
        captured,
        () if in_library(fn) else _imports(keys, fn, reads.modules),
    )


def _imports(keys: Keys, fn: types.FunctionType, modules: Mapping[Any, Any]) -> Hashable:
    """Return the key of what a function reads of the user's modules that it imports itself."""
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
            each.append(_read(keys, module, path) if nested is None else _read(keys, nested, path[1:]))
        found.append((full, tuple(each)))
    return tuple(found)


def _cell(keys: Keys, cell: types.CellType, paths: tuple[tuple[str, ...], ...]) -> Hashable:
    try:
        value = cell.cell_contents
    except ValueError:  # not filled yet
        return "empty cell"
    return tuple([_read(keys, value, path) for path in paths])


def _read(keys: Keys, x: Constant, path: tuple[str, ...]) -> Hashable:
    """Return the key of what is read of a value through attributes, found where they lie: nothing of it is run."""
    if not path:
        return keys.key(x)
    name, rest, cls = path[0], path[1:], type(x)
    if isinstance(x, types.ModuleType):
        if name in vars(x):
            return _read(keys, vars(x)[name], rest)
        return ("made on demand", ById(x), keys.key(vars(x).get("__getattr__")))
    if isinstance(x, (list, dict, set)) and name in MUTATORS and not rest:
        return ("written", cls)
    if isinstance(x, types.FunctionType):
        return _read(keys, vars(x)[name], rest) if name in vars(x) else keys.key(x)
    if isinstance(x, type):
        found = on_class(x, name)
        if found is MISSING or hasattr(on_class(cls, name), "__set__"):
            return keys.key(x)
        return ("class", keys.key(found), keys.key(x)) if hasattr(found, "__get__") else _read(keys, found, rest)
    own = getattr(cls, "__static_key__", None)
    if own is not None or isinstance(x, (enum.Enum, functools.partial)) or not is_plain(x):
        return keys.key(x)
    if on_class(cls, "__getattribute__") is not object.__getattribute__:
        return keys.key(x)
    found = on_class(cls, name)
    if isinstance(found, types.MemberDescriptorType) or not hasattr(found, "__set__"):
        for attribute, value in attributes_of(x):
            if attribute == name:
                return _read(keys, value, rest)
    if found is MISSING:
        return keys.key(x)
    return keys.key((found, x)) if hasattr(found, "__get__") else _read(keys, found, rest)


def class_key(keys: Keys, cls: type) -> Hashable:
    """Return the key of a class; of a user's own, with what its methods compute and the values that it holds."""
    if is_library(cls.__module__):
        return cls
    found = keys.classes.get(cls)
    if found is None:
        keys.classes[cls] = ById(cls)  # inside it
        found = keys.classes[cls] = keys.apart(lambda: _class_content(keys, cls), cls)
    return found


def _class_content(keys: Keys, cls: type) -> Hashable:
    private = issubclass(cls, enum.Enum)
    found = [(n, keys.key(v)) for n, v in of_class(cls) if not (private and n.startswith("_"))]
    meta = type(cls)
    return Seen(cls, (tuple(found), None if is_library(meta.__module__) else class_key(keys, meta)))


def module_key(keys: Keys, x: types.ModuleType) -> Hashable:
    """Return the key of a module that is handed around as a whole; of a user's own, with the plain values and the
    classes that it holds."""
    if is_library(x.__name__):
        return ById(x)
    shown = [
        (n, v)
        for n, v in list(vars(x).items())
        if isinstance(v, type) or not (n.startswith("__") or callable(v) or isinstance(v, types.ModuleType))
    ]
    return keys.apart(lambda: Seen(x, tuple([(n, keys.key(v)) for n, v in shown])), x)
