"""Modules: objects with attributes that are pytrees."""

from __future__ import annotations

import enum
from collections.abc import Iterator
from typing import Any, ClassVar, TypeVar

import jax.tree_util as jtu

from ._anatomy import HOLDS_NOTHING, MAY_HOLD_ITSELF, Kind, inside, kind_of, parts, step
from ._html import html_or_text
from ._parameter import BaseParam, get
from ._params_html import params_html
from ._static import Setting, Snapshot, StaticParam, static
from ._types import Tree

T = TypeVar("T")


class BaseModule:
    """A container of attributes that is a pytree, freely mutable, whose attribute paths are its keys.

    Every subclass is registered with JAX when it is defined. Two instances of one class with the same
    attributes have the same structure, whatever order they were assigned in. Inside the transforms of
    `pcx.functional`, params are inputs, arrays and numbers are inputs that can't be changed, and everything else
    is part of the program.
    """

    # `_plans` remembers the walks over this object (see `_walk`); it lies outside `__dict__` and is no attribute.
    __slots__ = ("__dict__", "__weakref__", "_plans")
    _kind: ClassVar[Kind] = Kind.MODULE

    def __init_subclass__(cls, **kwargs: object) -> None:
        super().__init_subclass__(**kwargs)
        jtu.register_pytree_with_keys(cls, _flatten_with_keys, _unflattener(cls), _flatten)

    def submodules(self, *, cls: type[T] | None = None) -> Iterator[Any]:
        """Look for the modules directly below this one, through lists, tuples, dicts and trees of other libraries.

        **Arguments:**

        - `cls`: only instances of this class, which may be one of params: the nearest ones, through modules of other
          classes. None for the modules directly below.

        **Returns:** an iterator over them, each once, in the order of the attributes.
        """
        for _, found in nearest(self, BaseModule if cls is None else cls):
            yield found

    def __getstate__(self) -> Any:
        return vars(self)

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)

    def __repr__(self) -> str:
        lines = []
        leaves, _ = jtu.tree_flatten_with_path(self, is_leaf=lambda x: isinstance(x, BaseParam))
        for path, leaf in leaves:
            if not isinstance(leaf, StaticParam):
                lines.append(f"  {jtu.keystr(path)}: {leaf!r}")
        return "\n".join([f"({type(self).__name__}):", *lines]) if lines else f"({type(self).__name__}): (empty)"

    def _repr_html_(self) -> str:
        return html_or_text(lambda: params_html(self, type(self).__name__), self)


_Structure = tuple[tuple[str, ...], tuple[tuple[str, Snapshot], ...]]  # names of children; settings


def _structure(module: BaseModule) -> _Structure:
    attributes = vars(module)
    names = sorted(attributes)
    settings = [(name, Snapshot(attributes[name])) for name in names if isinstance(attributes[name], Setting)]
    return tuple([name for name in names if not isinstance(attributes[name], Setting)]), tuple(settings)


def _flatten(module: BaseModule) -> tuple[list[Any], _Structure]:
    structure, attributes = _structure(module), vars(module)
    return [attributes[name] for name in structure[0]], structure


def _flatten_with_keys(module: BaseModule) -> tuple[list[tuple[Any, Any]], _Structure]:
    structure, attributes = _structure(module), vars(module)
    return [(jtu.GetAttrKey(name), attributes[name]) for name in structure[0]], structure


def _unflattener(cls: type):
    def unflatten(structure: _Structure, children: Tree) -> Any:
        names, settings = structure
        module = object.__new__(cls)
        attributes = vars(module)
        attributes.update((name, snapshot.restored()) for name, snapshot in settings)
        attributes.update(zip(names, children, strict=True))
        return module

    return unflatten


jtu.register_pytree_with_keys(BaseModule, _flatten_with_keys, _unflattener(BaseModule), _flatten)


class Module(BaseModule):
    """A `BaseModule` that is in training mode, in evaluation mode, or in neither.

    `train()` and `eval()` set the mode of every module inside, and every `inference` flag of the Equinox layers inside
    to False and True, whether they are held by a `pcx.nn.Layer` or are attributes themselves.
    """

    class MODE(enum.IntEnum):
        """The modes of a module. `NONE` is falsy and equals None."""

        NONE = 0
        TRAIN = 1
        EVAL = 2

        def __eq__(self, other: object) -> bool:
            return self.value == 0 if other is None else int.__eq__(self, other)  # type: ignore[operator]

        def __ne__(self, other: object) -> bool:
            return not self == other

        __hash__ = int.__hash__

    _mode: Setting

    def __init__(self) -> None:
        self._mode = Setting(Module.MODE.NONE)

    def mode(self, value: Module.MODE | int | None = None) -> Module.MODE:
        """Read the mode of this module, or set it.

        **Arguments:**

        - `value`: the new mode of this module and of every module inside; None leaves them as they are.

        **Returns:** the mode, after setting it.

        **Raises:** `ValueError` for what is no mode.
        """
        if value is not None:
            try:
                value = Module.MODE(value)
            except ValueError:
                known = ", ".join(f"MODE.{mode.name}" for mode in Module.MODE)
                raise ValueError(f"{type(self).__name__}.mode: expected one of {known}, got {value!r}") from None
            for module in modules(self):
                if isinstance(module, Module):
                    module._set_mode(value)
        return get(vars(self).get("_mode", Module.MODE.NONE))

    def _set_mode(self, value: Module.MODE) -> None:
        if "_mode" not in vars(self):  # a class that doesn't call super().__init__()
            self._mode = Setting()
        self._mode.set(value)
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
        """True if the module is in training mode."""
        return self.mode() is Module.MODE.TRAIN

    @property
    def is_eval(self) -> bool:
        """True if the module is in evaluation mode."""
        return self.mode() is Module.MODE.EVAL


def _set_inference(container: Tree, flag: bool) -> None:
    """Set the `inference` flags of the pytrees in a dict or list; the modules in there set their own."""
    for key, x in list(container.items() if isinstance(container, dict) else enumerate(container)):
        if isinstance(x, (dict, list)):
            _set_inference(x, flag)
            continue
        new = _with_inference(x, flag)
        # What stays as it was stays the same object: what is remembered of a module is checked by identity.
        if new is not x:
            container[key] = new


def _with_inference(x: Tree, flag: bool) -> Any:
    changed = False

    def visit(path: tuple[Any, ...], leaf: Tree) -> Any:
        nonlocal changed
        named = bool(path) and getattr(path[-1], "name", None) == "inference"
        value = leaf.get() if named and isinstance(leaf, StaticParam) else leaf
        if not named or not isinstance(value, bool) or value is flag:
            return leaf
        changed = True
        return static(flag) if isinstance(leaf, StaticParam) else flag

    new = jtu.tree_map_with_path(visit, x, is_leaf=lambda y: isinstance(y, (BaseModule, BaseParam)))
    return new if changed else x


def modules(tree: Tree) -> Iterator[BaseModule]:
    """Yield every module in `tree`, outer before inner, each once."""
    seen: set[int] = set()
    todo = [tree]
    while todo:
        x = todo.pop()
        kind = kind_of(x)
        if kind in HOLDS_NOTHING:
            continue
        if kind in MAY_HOLD_ITSELF:
            if id(x) in seen:
                continue
            seen.add(id(x))
            if kind is Kind.MODULE:
                yield x
        todo.extend(reversed(inside(x, kind)))


def nearest(module: BaseModule, cls: type) -> Iterator[tuple[str, Any]]:
    """Yield the modules or params of a class below a module that are in no other such, each once, with the path to
    where it stands first."""
    seen: set[int] = set()

    def below(x: Tree, path: str) -> Iterator[tuple[str, Any]]:
        kind, held = parts(x)
        if kind in _ONCE:
            if id(x) in seen:
                return
            seen.add(id(x))
            if kind in _FOUND and isinstance(x, cls):
                yield path, x
                return
        for name, child in held:
            yield from below(child, path + step(kind, name))

    seen.add(id(module))
    for name, child in parts(module)[1]:
        yield from below(child, step(Kind.MODULE, name))


_FOUND = frozenset({Kind.MODULE, Kind.PARAM, Kind.STATIC})
_ONCE = _FOUND | MAY_HOLD_ITSELF
