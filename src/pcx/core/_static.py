"""Statics: params whose value is part of the program, not of its data."""

from __future__ import annotations

import copy
import copyreg
import sys
from collections.abc import Hashable, Sequence
from typing import Any, ClassVar

import jax
import jax.tree_util as jtu

from ._anatomy import PLAIN, Kind, contents
from ._key import Keyed, static_key
from ._mark import Mark
from ._parameter import BaseParam
from ._types import Constant, Tree

_SLOTS = ("_value", "_facts", "_mark")
# The only names of this form that reach through: others tell a library how to treat an object, and a static isn't one
# of its arrays, say.
_OF_A_FUNCTION = ("__name__", "__qualname__")
# Without the detour by way of `__setattr__`: statics are many.
set_value, set_mark, set_facts = (vars(BaseParam)[name].__set__ for name in ("_value", "_mark", "_facts"))


class StaticParam(BaseParam):
    """A param that holds a compile-time constant: it has no leaves and is never traced or differentiated.

    `get` and `set` are as for any param; what comes after a `set` is another program, and what is set inside a
    transform stays inside it. Calls, indexing, iteration, `len`, truth, operators and attributes reach through to the
    value. Two statics are the same program if they would compute the same (see `docs/equal-things.md`).

    **Arguments:**

    - `value`: any value; of a static, what that holds.
    """

    __slots__ = ()
    _kind: ClassVar[Kind] = Kind.STATIC

    def __init__(self, value: Constant = None) -> None:
        super().__init__()
        set_value(self, value.get() if isinstance(value, StaticParam) else value)

    def get(self) -> Any:
        """Return the value held."""
        mark = self._mark
        if mark is not None:
            mark.read(self)
        return self._value

    def set(self, value: Constant) -> StaticParam:
        """Hold another value from now on.

        **Arguments:**

        - `value`: any value; of a static, what that holds.

        **Returns:** the static.
        """
        mark = self._mark
        if mark is not None:
            mark.written = True
        set_value(self, value.get() if isinstance(value, StaticParam) else value)
        return self

    @classmethod
    def _register(cls) -> None:
        def flatten(static: StaticParam) -> tuple[tuple[()], Snapshot]:
            return (), Snapshot(static)

        def unflatten(snapshot: Snapshot, _: object) -> Any:
            return snapshot.restored()

        jtu.register_pytree_node(cls, flatten, unflatten)

    def __static_key__(self) -> Hashable:
        return static_key(self.get())

    def __setattr__(self, name: str, value: Constant) -> None:
        if name not in ("_value", "_facts", "_mark"):
            raise AttributeError(
                f"a static value can't be changed in place (attribute {name!r}); assign a new one: "
                "`module.attribute = pcx.static(new_value)`, or `module.attribute.set(new_value)`"
            )
        super().__setattr__(name, value)

    # -- what reaches through to the value, beyond what it does for every param ------------------------
    @property
    def shape(self) -> Any:
        """The value's attribute of that name."""
        return self.get().shape

    @property
    def dtype(self) -> Any:
        """The value's attribute of that name."""
        return self.get().dtype

    @property
    def ndim(self) -> Any:
        """The value's attribute of that name."""
        return self.get().ndim

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_") and (name in _SLOTS or (name.endswith("__") and name not in _OF_A_FUNCTION)):
            raise AttributeError(name)
        return getattr(self.get(), name)

    def __call__(self, *args: Tree, **kwargs: Tree) -> Any:
        """Call the value.

        **Arguments:**

        - `args`, `kwargs`: what the value is called with.

        **Returns:** what it returns.
        """
        return self.get()(*args, **kwargs)

    def __setitem__(self, index: Constant, value: Constant) -> None:
        self.get()[index] = value

    def __contains__(self, item: Constant) -> bool:
        return item in self.get()

    def __hash__(self) -> int:
        return hash(self.get())

    def __bool__(self) -> bool:
        return bool(self.get())

    def __index__(self) -> int:
        return self.get().__index__()

    def __getstate__(self) -> Any:
        return None, {"_value": self.get(), "_facts": self._facts, "_mark": None}

    def __repr__(self) -> str:
        return f"static({self._value!r})"


class Setting(StaticParam):
    """A static that belongs to one module, such as its mode: a copy of the module has one of its own.

    A program depends on it only if the function reads it before it sets it: then another value is another program.
    """

    __slots__ = ()

    def copy(self) -> Setting:
        """Return the setting of a copy of the module with other leaves."""
        return _copy(self, self._value, LooseSetting)

    def saved(self) -> tuple[Constant, bool]:
        """Return what `restore` needs to bring back what is held now, without reading it."""
        mark = self._mark
        return self._value, mark is not None and mark.written

    def restore(self, saved: tuple[Constant, bool]) -> None:
        """Bring back what was held, as if it had not been set in between: so that a function in which a value only
        comes back doesn't depend on it, and one that reads it afterwards does."""
        value, written = saved
        set_value(self, value)
        if self._mark is not None:
            self._mark.written = written


class LooseSetting(Setting):
    """The setting of a mask, or of gradients: such a tree fits another one under whatever status and mode each of them
    was made, so that gradients of two phases can be subtracted, or the weights of two networks averaged.

    Once it is set, it is a setting like any other: what computes with the tree depends on it, also under `jax.jit`,
    which knows a program by the structure of its arguments alone.
    """

    __slots__ = ()

    def set(self, value: Constant) -> StaticParam:
        object.__setattr__(self, "__class__", Setting)
        return self.set(value)


def static(x: Constant) -> StaticParam:
    """Make a compile-time constant for a module's attribute.

    **Arguments:**

    - `x`: any value.

    **Returns:** a `StaticParam` that holds it; a static as it is.
    """
    return x if isinstance(x, StaticParam) else StaticParam(x)


def is_param(x: Constant) -> bool:
    """Return whether `x` is a param that holds data."""
    return isinstance(x, BaseParam) and not isinstance(x, StaticParam)


class Snapshot(Keyed):
    """A static in the structure of a tree: what it held when the tree was flattened. It compares by that, and
    gives the very same static back as long as that holds it still."""

    __slots__ = ("param",)

    def __init__(self, param: StaticParam) -> None:
        super().__init__(param._value)
        self.param = param

    @property
    def key(self) -> Hashable:
        """The key of what was held. Who asks for it depends on the static."""
        if self._key is None:
            self.param.get()
            self._key = static_key(self.value)
        return self._key

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Snapshot):
            return False
        # Beside a model, a loose setting counts: jax.jit would run the program of one mode for the other.
        if isinstance(self.param, LooseSetting) and isinstance(other.param, LooseSetting):
            return True
        if self.value is not other.value:
            return self.key == other.key
        if self.param is not other.param:  # equal at a glance; still, who asks depends on both
            self.param.get(), other.param.get()
        return True

    __hash__ = Keyed.__hash__

    def restored(self) -> StaticParam:
        """Return the static, or one like it if it belongs to one module or was changed since."""
        param = self.param
        if not isinstance(param, Setting) and param._value is self.value:
            return param
        return _copy(param, self.value)


def _copy(param: StaticParam, value: Constant, cls: type[StaticParam] | None = None) -> Any:
    """Return a static like `param`, or of another class, that holds `value`. In a traced function, reading it reads the
    first."""
    new = object.__new__(cls or type(param))
    mark = param._mark
    set_facts(new, param._facts)
    set_value(new, value)
    set_mark(new, None if mark is None else Mark(mark))
    return new


def copies_of(statics: Sequence[StaticParam], deep: Sequence[bool]) -> list[StaticParam]:
    """Return copies of statics, for a copy of the objects that hold them; reading a copy reads the static itself.

    **Arguments:**

    - `deep`: of which to copy the containers in the value too. See `is_copied`.
    """
    return [_copy(s, copied(s._value) if d else s._value) for s, d in zip(statics, deep, strict=True)]


def own_statics(args: Sequence[Tree]) -> Sequence[Tree]:
    """Return positional arguments with copies of their statics, if there are any, so that what is set in them stays
    inside."""
    found = [x for x in jtu.tree_leaves(args, is_leaf=_is_static) if isinstance(x, StaticParam)]
    if not found:
        return args
    new = {id(static): _copy(static, copied(static._value)) for static in found}
    return jtu.tree_map(lambda x: new.get(id(x), x), args, is_leaf=_is_static)


def _is_static(x: Tree) -> bool:
    return isinstance(x, StaticParam)


def is_copied(x: Constant) -> bool:
    """Return whether there are containers in a constant that `copied` copies."""
    if type(x) in PLAIN:
        return False
    kind, inside = contents(x)
    if kind is Kind.TUPLE:
        return type(x) is tuple and any(is_copied(v) for _, v in inside)
    return kind in (Kind.LIST, Kind.RECORD) or isinstance(x, (dict, set, bytearray))


def copied(x: Constant) -> Any:
    """Return a copy of the containers in a constant: so that what is done to them stays inside."""
    kind, inside = contents(x)
    if kind is Kind.TUPLE:
        return tuple([copied(v) for _, v in inside]) if type(x) is tuple else x
    if not (kind in (Kind.LIST, Kind.RECORD) or isinstance(x, (dict, set, bytearray))):
        return x
    new: Any = copy.copy(x)
    if kind is Kind.LIST:
        new[:] = [copied(v) for _, v in inside]
    elif kind is Kind.DICT:
        for k, v in inside:
            new[k] = copied(v)
    elif kind is Kind.RECORD:
        vars(new).update({k: copied(v) for k, v in inside})
    return new


def _by_name(x: Constant) -> Any:
    # JAX's functions with a gradient of their own, such as jax.nn.relu, are constants of many models, and pickle looks
    # for the function inside of them under their name.
    module, name = getattr(x, "__module__", None), getattr(x, "__qualname__", None)
    if getattr(sys.modules.get(str(module)), str(name), None) is x:
        return name
    return object.__reduce_ex__(x, 4)


for _function_kind in (jax.custom_jvp, jax.custom_vjp):
    if _function_kind not in copyreg.dispatch_table:
        copyreg.pickle(_function_kind, _by_name)
