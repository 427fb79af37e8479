"""Descriptions of rules and models as plain data: to be saved with a run, and to name what differs."""

from __future__ import annotations

import dis
import enum
import functools
import hashlib
import types
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import jax
import numpy as np
from jax.core import Tracer

from ..core import (
    MUTATORS,
    BaseParam,
    Kind,
    Path,
    contents,
    in_library,
    is_library,
    is_machinery,
    is_typed_key,
    of_class,
    reads_of,
)
from ..predictive_coding import Energy, Ruleset
from ._types import Json

_MOST = 20_000  # parts of a description: what is reached beyond is given by its class

_NAMES = frozenset({"LOAD_GLOBAL", "LOAD_NAME", "LOAD_ATTR", "LOAD_METHOD", "LOAD_SUPER_ATTR"})


def describe(x: object) -> Any:
    """Return `x` as numbers, strings, lists and dicts, the same in every process: objects by class and attributes,
    functions by name and by the values that they read of closures and globals (of `cfg.rate` the rate), the user's
    functions and classes also by their code, and by what the methods that the library calls read, arrays by shape,
    dtype and a digest."""
    return _Description().of(x)


class _Description:
    def __init__(self) -> None:
        self._inside: set[int] = set()
        self._parts = 0

    def of(self, x: Any) -> Any:
        self._parts += 1
        if isinstance(x, enum.Enum):
            return f"{_name(type(x))}.{x.name}"
        if x is None or isinstance(x, (bool, int, float, str)):
            return x
        if isinstance(x, types.ModuleType):
            return x.__name__
        if isinstance(x, Tracer):
            return str(x.aval)
        if is_typed_key(x):
            return {"random key": str(x.dtype), **_array(np.asarray(jax.random.key_data(x)))}
        if isinstance(x, (jax.Array, np.ndarray, np.generic)):
            return _array(np.asarray(x))
        if id(x) in self._inside or self._parts > _MOST:
            return _name(type(x))
        self._inside.add(id(x))
        try:
            return self._composite(x)
        finally:
            self._inside.discard(id(x))

    def _composite(self, x: Any) -> Any:
        of = self.of
        kind, inside = contents(x)
        if kind is Kind.STATIC:
            return of(x.get())
        if isinstance(x, BaseParam):  # where a value is, and of what form; not the value, which is what changes
            shapes = [f"{jax.numpy.result_type(a)}{list(np.shape(a))}" for a in jax.tree.leaves(x.get())]
            return {"param": type(x).__name__, "holds": shapes, **{k: of(v) for k, v in x._facts.items()}}
        if isinstance(x, Mapping):
            return {str(k): of(v) for k, v in x.items()}
        if isinstance(x, tuple) and hasattr(x, "_fields"):
            named: Any = x  # there is no type of all named tuples
            return {"class": _name(type(x)), **{f: of(getattr(x, f)) for f in named._fields}}
        if kind is Kind.SET:  # strings come in another order in another process
            return sorted((of(v) for _, v in inside), key=str)
        if kind is Kind.LIST or kind is Kind.TUPLE:
            return [of(v) for _, v in inside]
        if isinstance(x, functools.partial):
            return {"partial": of(x.func), "args": of(x.args), "keywords": of(x.keywords)}
        if isinstance(x, types.FunctionType):
            return self._function(x)
        if isinstance(x, types.MethodType):
            return {"method": x.__func__.__qualname__, "of": of(x.__self__), **self._read_by(x.__func__)}
        if isinstance(x, type):
            return _name(x)
        if callable(x) and hasattr(x, "__wrapped__"):
            return of(getattr(x, "__wrapped__"))  # noqa: B009, which type checkers don't know
        if isinstance(x, Energy) and not vars(x) and is_library(type(x).__module__):  # a name, as a function
            return f"{x.__module__}.{x.__name__}"
        if kind is Kind.DATACLASS:
            return {"class": _name(type(x)), **{name: of(v) for name, v in inside}, **self._read_by_methods(x)}
        if isinstance(x, Ruleset):  # it keeps beside them what it has looked up
            rules = {pattern.pattern: of(held) for pattern, held in x._rules}
            return {"class": _name(type(x)), "rules": rules, "tforms": of(x.tforms)}
        if hasattr(x, "__dict__") or (hasattr(type(x), "__slots__") and not is_library(type(x).__module__)):
            held = {k: of(v) for k, v in sorted(_attributes(x).items()) if not _remembered(k, v)}
            code = _methods(type(x))
            said = {"<code>": code} if code else {}
            return {"class": _name(type(x)), **said, **held, **self._read_by_methods(x)}
        return getattr(x, "__qualname__", None) or _name(type(x))

    def _function(self, fn: types.FunctionType) -> Any:
        closed: dict[str, Any] = {}
        read = reads_of(fn.__code__).cells
        for name, cell in zip(fn.__code__.co_freevars, fn.__closure__ or (), strict=True):
            try:
                value = cell.cell_contents
            except ValueError:  # not assigned yet
                continue
            closed |= {path: self.of(reached) for path, reached in _reached(name, value, read.get(name, ()))}
        name = f"{fn.__module__}.{fn.__qualname__}"
        if fn.__name__ == "<lambda>":  # its name says nothing: what it refers to, and its numbers, do
            plain = [c for c in fn.__code__.co_consts if isinstance(c, (bool, int, float, str))]
            closed |= {"<names>": list(fn.__code__.co_names), "<constants>": plain}
        if not in_library(fn):
            if fn.__name__ != "<lambda>":
                closed["<code>"] = _code(fn.__code__)
            closed |= {f"<default {i}>": self.of(v) for i, v in enumerate(fn.__defaults__ or ())}
            closed |= {f"<default {k}>": self.of(v) for k, v in (fn.__kwdefaults__ or {}).items()}
        closed |= self._read_by(fn)
        return {"function": name, **closed} if closed else name

    def _read_by(self, fn: Any) -> dict[str, Any]:
        """The values of globals that a function of the user's reads, and those of the functions that it calls."""
        if not isinstance(fn, types.FunctionType) or in_library(fn):
            return {}
        found: dict[str, Any] = {}
        for name, paths in reads_of(fn.__code__).globals.items():
            value = fn.__globals__.get(name, fn)
            if value is fn or _is_no_configuration(name, value):
                continue
            for path, reached in _reached(name, value, paths):
                said = self.of(reached)
                # What bears its own name was imported, or stands beside the function.
                if not (isinstance(said, str) and getattr(reached, "__name__", None) == path.rpartition(".")[2]):
                    found[path] = said
        return {"reads": found} if found else {}

    def _read_by_methods(self, x: Any) -> dict[str, Any]:
        """Return what is read by the methods that the library calls, and methods and constants of the user's class that
        they name."""
        cls = type(x)
        if is_library(cls.__module__):
            return {}
        own: dict[str, Any] = {}
        for name, value in of_class(cls):
            own.setdefault(name, getattr(value, "fget", None) or getattr(value, "__func__", value))
        bases = [base for base in cls.__mro__ if base is not object and is_library(base.__module__)]
        called = [n for n in own if not n.startswith("__") and any(n in vars(base) for base in bases)]
        todo = ["__call__", *called]
        done = {*todo, *getattr(x, "__dict__", {})}
        found: dict[str, Any] = {}
        while todo:
            name = todo.pop()
            method = own.get(name)
            if isinstance(method, types.FunctionType):
                found |= {f"{name}.{path}": read for path, read in self._read_by(method).get("reads", {}).items()}
                written = _written(method.__code__)
                more = [n for n in own if n in method.__code__.co_names and n not in done | written]
                todo, done = [*todo, *more], done | set(more)
            elif name in own:
                found[name] = self.of(method)
        return {"reads": dict(sorted(found.items()))} if found else {}


def _attributes(x: Any) -> dict[str, Any]:
    """An object's attributes by name, those in slots included."""
    found: dict[str, Any] = dict(getattr(x, "__dict__", {}))
    if is_library(type(x).__module__):
        return found
    for cls in type(x).__mro__:
        names = vars(cls).get("__slots__", ())
        for name in (names,) if isinstance(names, str) else names:
            if name not in ("__dict__", "__weakref__") and hasattr(x, name):
                found[name] = getattr(x, name)
    return found


def _methods(cls: type) -> dict[str, list[str]]:
    """Return the names in each method of a class of the user's, see `_code`, but for those that only make an object:
    what they make is seen in it."""
    found: dict[str, list[str]] = {}
    for base in cls.__mro__:
        if is_library(base.__module__):
            continue
        for name, value in vars(base).items():
            special = name.startswith("__") and name != "__call__"
            if isinstance(value, types.FunctionType) and not special and name not in found:
                found[name] = _code(value.__code__)
    return found


def _code(code: types.CodeType) -> list[str]:
    """The names, numbers and operations of a function, in order, those of functions inside it included."""
    found = []
    for step in dis.get_instructions(code):
        value = step.argval
        if step.opname in _NAMES:
            found.append(value)
        elif step.opname in ("LOAD_CONST", "LOAD_SMALL_INT") and isinstance(value, (bool, int, float, str)):
            found.append(repr(value))
        elif step.opname == "BINARY_OP":
            found.append(step.argrepr)
        elif isinstance(value, types.CodeType):
            found += _code(value)
    return found


def _reached(name: str, value: Any, paths: Iterable[Path]) -> Iterator[tuple[str, Any]]:
    """Go through what is read of a value, by the path to it: all of the value, or what its attributes lead to."""
    for path in sorted(paths):
        reached, last, done = value, value, [name]
        for part in path:
            try:
                reached, last = getattr(reached, part), reached
            except Exception:  # whatever the user's property raises: then all of it counts
                break
            done.append(part)
        if isinstance(last, (list, dict, set)) and done[-1] in MUTATORS:
            continue
        if isinstance(reached, types.BuiltinMethodType) and not isinstance(last, types.ModuleType):
            reached = last  # of `table.get` the table
        yield ".".join(done), reached


def _written(code: types.CodeType) -> set[str]:
    """The attributes that a method assigns to, as a counter on its class."""
    return {step.argval for step in dis.get_instructions(code) if step.opname == "STORE_ATTR"}


def _is_no_configuration(name: str, value: Any) -> bool:
    """Return whether a global is an installed module, a part of the machinery, or what functions remember."""
    if isinstance(value, types.ModuleType):
        return is_library(value.__name__)
    return is_machinery(value) or _remembered(name, value)


def _remembered(name: str, value: Any) -> bool:
    """Return whether an attribute is what an object has found out while it was used: it is no part of what it is."""
    return name.startswith("_") and isinstance(value, dict) and not any(isinstance(k, str) for k in value)


def _name(cls: type) -> str:
    return f"{cls.__module__}.{cls.__qualname__}"


def _array(a: np.ndarray) -> Any:
    if a.ndim == 0:
        return a.item()
    return {"shape": list(a.shape), "dtype": str(a.dtype), "sha256": hashlib.sha256(a.tobytes()).hexdigest()[:16]}


def differences(old: Json, new: Json, path: str = "") -> list[str]:
    """Return where two descriptions differ, one line each: the path, what it was, what it is.

    **Arguments:**

    - `path`: of the descriptions in what they are parts of.
    """
    if isinstance(old, dict) and isinstance(new, dict):
        found = []
        for key in [*old, *[k for k in new if k not in old]]:
            inside = f"{path}.{key}" if path else str(key)
            if key not in new:
                found.append(f"{inside}: was {_short(old[key])}, is gone")
            elif key not in old:
                found.append(f"{inside}: is {_short(new[key])}, was not there")
            else:
                found += differences(old[key], new[key], inside)
        return found
    if isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        return [d for i, (a, b) in enumerate(zip(old, new, strict=True)) for d in differences(a, b, f"{path}[{i}]")]
    same = old == new or (old != old and new != new)  # NaN is NaN
    return [] if same else [f"{path}: was {_short(old)}, is {_short(new)}"]


def in_words(differences: Sequence[str]) -> str:
    """Return the first differences, in a line."""
    return "; ".join(differences[:5]) + (f"; and {len(differences) - 5} more" if len(differences) > 5 else "")


def _short(x: Json) -> str:
    text = str(x)
    return text if len(text) <= 60 else text[:57] + "..."
