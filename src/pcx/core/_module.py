"""Modules: objects with attributes that are pytrees."""

from __future__ import annotations

import enum
from collections.abc import Iterator
from typing import Any, TypeVar

import jax
import jax.tree_util as jtu

from ._key import Keyed, static_key
from ._parameter import BaseParam
from ._static import Static, static, unwrap

T = TypeVar("T")

# Attributes that are facts about the module and never data, whatever they hold.
FACTS = frozenset({"_mode", "_status"})


class Fact:
    """Stands for such an attribute while a compiled function is traced, to learn whether it was read before it was set:
    if not, it has no part in what is compiled."""

    __slots__ = ("index", "read", "value")

    def __init__(self, value: Any, index: int, read: set[int]) -> None:
        self.value, self.index, self.read = value, index, read

    def __static_key__(self) -> Any:
        return static_key(known(self))


def known(x: Any) -> Any:
    """What a fact is, from now on needed by what is being traced; other values as they are."""
    while isinstance(x, Fact):
        x.read.add(x.index)
        x = x.value
    return x


class BaseModule:
    """A container of attributes that is a pytree, freely mutable, whose attribute paths are its keys.

    Every subclass is registered with JAX when it is defined. Two instances of one class with the same
    attributes have the same structure, whatever order they were assigned in. Inside the transforms of
    `pcx.functional`, params are inputs, arrays and numbers are inputs that can't be changed, and everything else
    is part of the program.
    """

    # `_plans` remembers the walks over this object (see `_walk`); it lies outside `__dict__` and is no attribute.
    __slots__ = ("__dict__", "__weakref__", "_plans")

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        jtu.register_pytree_with_keys(cls, _flatten_with_keys, _unflattener(cls), _flatten)

    def submodules(self, *, cls: type[T] | None = None) -> Iterator[Any]:
        """The modules directly below this one, through lists, tuples and dicts, in the order of the attributes.

        **Arguments:**

        - `cls`: only instances of this class (a module of another class is not looked into).
        """
        seen: set[int] = set()

        def below(x: Any) -> Iterator[Any]:
            if isinstance(x, BaseModule):
                if id(x) not in seen and (cls is None or isinstance(x, cls)):
                    seen.add(id(x))
                    yield x
            elif isinstance(x, (list, tuple)):
                for item in x:
                    yield from below(item)
            elif isinstance(x, dict):
                for item in x.values():
                    yield from below(item)

        yield from below(list(vars(self).values()))

    def __getstate__(self) -> Any:
        return vars(self)

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)

    def __repr__(self) -> str:
        lines = []
        leaves, _ = jtu.tree_flatten_with_path(self, is_leaf=lambda x: isinstance(x, BaseParam))
        for path, leaf in leaves:
            lines.append(f"  {jtu.keystr(path)}: {leaf!r}")
        return "\n".join([f"({type(self).__name__}):", *lines]) if lines else f"({type(self).__name__}): (empty)"


def _split(module: BaseModule) -> tuple[list[str], tuple[tuple[str, Keyed], ...]]:
    attributes = vars(module)
    names = sorted(name for name in attributes if name not in FACTS)
    facts = tuple([(name, Keyed(attributes[name])) for name in sorted(FACTS & attributes.keys())])
    return names, facts


def _flatten(module: BaseModule) -> tuple[list[Any], Any]:
    names, facts = _split(module)
    attributes = vars(module)
    return [attributes[name] for name in names], (tuple(names), facts)


def _flatten_with_keys(module: BaseModule) -> tuple[list[tuple[Any, Any]], Any]:
    names, facts = _split(module)
    attributes = vars(module)
    return [(jtu.GetAttrKey(name), attributes[name]) for name in names], (tuple(names), facts)


def _unflattener(cls: type):
    def unflatten(aux: Any, children: Any) -> Any:
        names, facts = aux
        module = object.__new__(cls)
        attributes = vars(module)
        attributes.update((name, fact.value) for name, fact in facts)
        attributes.update(zip(names, children, strict=True))
        return module

    return unflatten


jtu.register_pytree_with_keys(BaseModule, _flatten_with_keys, _unflattener(BaseModule), _flatten)


jtu.register_pytree_node(Static, lambda s: ((), Keyed(s._wrapped)), lambda aux, _: Static(aux.value))


class Module(BaseModule):
    """A `BaseModule` that is in training mode, in evaluation mode, or in neither.

    `train()` and `eval()` set the mode of every module inside, and every `inference` flag of the Equinox layers inside
    to False and True, whether they are held by a `pcx.nn.Layer` or are attributes themselves.
    """

    class MODE(enum.Enum):
        """The modes of a module."""

        NONE = None
        TRAIN = "train"
        EVAL = "eval"

    _mode: Module.MODE

    def __init__(self) -> None:
        self._mode = Module.MODE.NONE

    def mode(self, value: Module.MODE | None = None) -> Module.MODE:
        """Set the mode of this module and of every module inside; without an argument only return the mode."""
        if value is not None:
            for module in modules(self):
                if isinstance(module, Module):
                    module._set_mode(Module.MODE(value))
        return known(getattr(self, "_mode", Module.MODE.NONE))

    def _set_mode(self, value: Module.MODE) -> None:
        self._mode = value
        if value is not Module.MODE.NONE:
            _set_inference(vars(self), value is Module.MODE.EVAL)

    def train(self) -> None:
        """Put this module and all inside in training mode."""
        self.mode(Module.MODE.TRAIN)

    def eval(self) -> None:
        """Put this module and all inside in evaluation mode."""
        self.mode(Module.MODE.EVAL)

    @property
    def is_train(self) -> bool:
        """Whether the module is in training mode."""
        return self.mode() is Module.MODE.TRAIN

    @property
    def is_eval(self) -> bool:
        """Whether the module is in evaluation mode."""
        return self.mode() is Module.MODE.EVAL


def _set_inference(held: Any, flag: bool) -> None:
    """Set the `inference` flags of the pytrees in the dict or list `held`; the modules in there set their own."""
    for key, x in list(held.items() if isinstance(held, dict) else enumerate(held)):
        if isinstance(x, (dict, list)):
            _set_inference(x, flag)
            continue
        new = _with_inference(x, flag)
        # What stays as it was stays the same object: what is remembered of a module is checked by identity.
        if new is not x:
            held[key] = new


def _with_inference(x: Any, flag: bool) -> Any:
    changed = False

    def visit(path: Any, leaf: Any) -> Any:
        nonlocal changed
        named = bool(path) and getattr(path[-1], "name", None) == "inference"
        value = unwrap(leaf)
        if not named or not isinstance(value, bool) or value is flag:
            return leaf
        changed = True
        return static(flag) if isinstance(leaf, Static) else flag

    new = jtu.tree_map_with_path(visit, x, is_leaf=lambda y: isinstance(y, (BaseModule, BaseParam, Static)))
    return new if changed else x


def modules(tree: Any) -> Iterator[BaseModule]:
    """Every module in `tree`, outer before inner, each once."""
    seen: set[int] = set()

    def visit(x: Any) -> Iterator[BaseModule]:
        cls = type(x)  # asked first: an Equinox module or a tracer answers `isinstance` in Python
        if x is None or issubclass(cls, (BaseParam, Static, str)):
            return
        if issubclass(cls, BaseModule):
            if id(x) in seen:
                return
            seen.add(id(x))
            yield x
            for item in list(vars(x).values()):
                yield from visit(item)
        elif issubclass(cls, (list, tuple)):
            for item in x:
                yield from visit(item)
        elif issubclass(cls, dict):
            for item in x.values():
                yield from visit(item)
        elif not isinstance(x, jax.Array):
            for item in jtu.tree_leaves(x, is_leaf=lambda y: isinstance(y, BaseModule)):
                if isinstance(item, BaseModule):
                    yield from visit(item)

    yield from visit(tree)
