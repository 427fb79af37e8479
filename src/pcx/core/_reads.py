"""Names that functions read of their surroundings, and through which attributes of them.

`scale * cfg.rate` reads `scale` and, of `cfg`, no more than `rate`; so does `import cfg` inside of the function. What a
function only writes to (a list that it appends to, a counter) is no input of it.
"""

from __future__ import annotations

import dis
import functools
import sys
import types
import weakref
from collections.abc import Iterator
from pathlib import PurePath
from typing import Any, NamedTuple

from ._types import Constant

Path = tuple[str, ...]

MUTATORS = frozenset({"add", "append", "appendleft", "clear", "extend", "insert", "update"})
_GLOBAL = frozenset({"LOAD_GLOBAL", "LOAD_NAME", "LOAD_FROM_DICT_OR_GLOBALS"})
_CELL = frozenset({"LOAD_DEREF", "LOAD_CLASSDEREF", "LOAD_FROM_DICT_OR_DEREF"})
_NOTHING = frozenset({"CACHE", "EXTENDED_ARG", "NOP", "PRECALL", "PUSH_NULL", "RESUME", "NOT_TAKEN"})
_ATTRIBUTE = frozenset({"LOAD_ATTR", "LOAD_METHOD"})


class Reads(NamedTuple):
    """The names that a code object and those inside it read: of global names, of cells, and of modules that it imports
    itself (by name and level, as in `__import__`), by which attributes."""

    globals: dict[str, tuple[Path, ...]]
    cells: dict[str, tuple[Path, ...]]
    modules: dict[tuple[str, int], tuple[Path, ...]]


_known: weakref.WeakKeyDictionary[types.CodeType, Reads] = weakref.WeakKeyDictionary()


def reads_of(code: types.CodeType) -> Reads:
    """Return what the code reads; `()` as a path is the whole of a value."""
    found = _known.get(code)
    if found is None:
        found = _known[code] = _scan(code)
    return found


def _scan(code: types.CodeType) -> Reads:
    globals_: dict[Any, dict[Path, None]] = {}
    cells: dict[Any, dict[Path, None]] = {}
    modules: dict[Any, dict[Path, None]] = {}
    todo = [code]
    while todo:
        code = todo.pop()
        todo.extend(c for c in code.co_consts if isinstance(c, types.CodeType))
        steps = [s for s in dis.get_instructions(code) if s.opname not in _NOTHING]
        own = set(code.co_cellvars)
        for at, step in enumerate(steps):
            if step.opname == "IMPORT_NAME":
                _imported(steps, at, modules)
                continue
            into = globals_ if step.opname in _GLOBAL else cells if step.opname in _CELL else None
            if into is None or step.argval in own or _counts(steps[at : at + 4]):
                continue
            path, end = _attributes(steps, at + 1)
            if not _only_writes(steps[end : end + 3]):
                into.setdefault(step.argval, {})[path] = None
    return Reads(*[{name: tuple(paths) for name, paths in found.items()} for found in (globals_, cells, modules)])


def _attributes(steps: list[Any], at: int) -> tuple[Path, int]:
    """Return the attributes that are read one of another from a step on, and the step after them."""
    path = []
    while at < len(steps) and steps[at].opname in _ATTRIBUTE:
        path.append(steps[at].argval)
        at += 1
    return tuple(path), at


def _imported(steps: list[Any], at: int, modules: dict[Any, dict[Path, None]]) -> None:
    """Note what is read of a module that the step imports: `from m import a, b`, or `import m` and `m.a` later."""
    level, names = (s.argval if s.opname.startswith("LOAD_") else None for s in steps[at - 2 : at])
    paths = modules.setdefault((steps[at].argval, level if isinstance(level, int) else 0), {})
    if names:
        paths |= {() if name == "*" else (name,): None for name in names}
        return
    into = steps[at + 1] if at + 1 < len(steps) else None
    if into is None or into.opname != "STORE_FAST" or "." in steps[at].argval:
        paths[()] = None
        return
    for i, step in enumerate(steps):
        if step.opname.startswith("LOAD_FAST") and step.argval == into.argval:
            paths[_attributes(steps, i + 1)[0]] = None
        elif step.opname != "STORE_FAST" and isinstance(step.argval, tuple) and into.argval in step.argval:
            paths[()] = None  # one instruction for two variables


def _counts(steps: list[Any]) -> bool:
    """Return whether steps are `n += 1` or `n = n + 1`: it is counted, and no more is known of the number."""
    names = [step.opname for step in steps]
    return (
        len(names) == 4
        and names[1].startswith("LOAD_")
        and names[2].startswith(("BINARY_", "INPLACE_"))
        and names[3] in ("STORE_GLOBAL", "STORE_DEREF")
        and steps[0].argval == steps[3].argval
    )


def _only_writes(after: list[Any]) -> bool:
    """Return whether what follows a value is an assignment to a part of it: `v.a = 1`, `v.a += 1`, `v[0] = 1`, `v[0] +=
    1`.

    Values are copied for other reasons, too: `v or 1`, `a = b = v`, `(a := v)`, `match v`.
    """
    names = [step.opname for step in after]
    if not names:
        return False
    if names[0] in ("STORE_ATTR", "DELETE_ATTR"):
        return True
    if names[:2] == ["COPY", "LOAD_ATTR"]:
        return True
    return names[0].startswith("LOAD_") and (names[1:2] == ["STORE_SUBSCR"] or names[1:3] == ["COPY", "COPY"])


@functools.lru_cache(maxsize=4096)
def _installed(name: str) -> bool:
    root = name.partition(".")[0]
    if root == "__main__":
        return False
    if root in sys.stdlib_module_names or root == "pcx":
        return True
    module = sys.modules.get(root)
    file = getattr(module, "__file__", None)
    return file is not None and not {"site-packages", "dist-packages"}.isdisjoint(PurePath(file).parts)


def is_library(name: object) -> bool:
    """Return whether a module of that name is one that is installed (this library and Python's own among them), whose
    functions and classes don't change and read nothing of the user's."""
    return isinstance(name, str) and _installed(name)


def in_library(fn: types.FunctionType) -> bool:
    """Return whether a function's globals are those of an installed module, or copies of them, as pickles by value
    make."""
    scope = fn.__globals__
    name = scope.get("__name__")
    module = sys.modules.get(name) if isinstance(name, str) else None
    if module is None or not is_library(name):
        return False
    own = vars(module)
    return own is scope or all(own.get(n) is scope[n] for n in fn.__code__.co_names if n in scope)


def is_module_level(fn: types.FunctionType) -> bool:
    """Return whether `fn` is the one function of its name in an imported module, so that its identity says it all."""
    if fn.__closure__ or fn.__module__ == "__main__":
        return False
    found: Any = sys.modules.get(fn.__module__)
    for part in fn.__qualname__.split("."):
        found = getattr(found, part, None)
    return found is fn


def on_class(cls: type, name: str) -> Any:
    """Return what a class and its bases hold under a name, as it lies there; `MISSING` if nothing."""
    for base in cls.__mro__:
        if name in vars(base):
            return vars(base)[name]
    return MISSING


class _Missing:
    def __repr__(self) -> str:
        return "<missing>"


MISSING: Any = _Missing()

_OF_THE_MACHINE = (
    "asyncio",
    "concurrent",
    "logging",
    "multiprocessing",
    "queue",
    "subprocess",
    "tempfile",
    "threading",
)


def is_machinery(x: Constant) -> bool:
    """Return whether an object is a part of the machinery (a logger, a lock) that changes all the time."""
    return type(x).__module__.partition(".")[0] in _OF_THE_MACHINE


def is_plain(x: Constant) -> bool:
    """Return whether all that an object holds lies in its attributes: its classes are written in Python, and it is no
    machinery."""
    return not is_machinery(x) and all(base is object or base.__flags__ & (1 << 9) for base in type(x).__mro__)


def attributes_of(x: Constant) -> Iterator[tuple[str, Any]]:
    """Yield the attributes of a plain object, those in slots of the user's classes included."""
    yield from getattr(x, "__dict__", {}).items()
    for base in type(x).__mro__:
        if not is_library(base.__module__):
            for name, slot in vars(base).items():
                if isinstance(slot, types.MemberDescriptorType):
                    try:
                        yield name, slot.__get__(x)
                    except AttributeError:  # not set
                        continue


# What every class has, or what its making leaves behind: no configuration.
_OF_EVERY_CLASS = frozenset(
    {
        "__abstractmethods__",
        "__annotate__",
        "__annotate_func__",
        "__annotations__",
        "__annotations_cache__",
        "__classcell__",
        "__dataclass_fields__",
        "__dataclass_params__",
        "__dict__",
        "__doc__",
        "__eq__",
        "__firstlineno__",
        "__hash__",
        "__init_subclass__",
        "__match_args__",
        "__module__",
        "__orig_bases__",
        "__parameters__",
        "__qualname__",
        "__replace__",
        "__repr__",
        "__signature__",
        "__slots__",
        "__static_attributes__",
        "__subclasshook__",
        "__weakref__",
        "_abc_impl",
    }
)


def of_class(cls: type) -> Iterator[tuple[str, Any]]:
    """Yield what a user's class and those of its bases that are the user's hold: methods, properties, plain values."""
    made = "__dataclass_fields__" in vars(cls)
    for base in cls.__mro__:
        if is_library(base.__module__):
            continue
        for name, value in list(vars(base).items()):
            if name in _OF_EVERY_CLASS or (made and name == "__init__"):
                continue
            if isinstance(value, (types.MemberDescriptorType, types.GetSetDescriptorType)):
                continue
            yield name, value
