"""Params: boxes that hold the values a program may change."""

from __future__ import annotations

import math
import operator
from collections.abc import Hashable, Iterator
from typing import Any, ClassVar

import jax
import jax.tree_util as jtu
import numpy as np

from ._anatomy import Kind
from ._key import Keyed, by_identity
from ._operators import install_operators
from ._shown import short
from ._types import Value

_SLOTS = ("_value", "_facts", "_mark", "__weakref__")
_NO_FACTS: dict[str, Any] = {}
# Told of every read and write of a param that is no part of a traced function's objects. See `_foreign`.
watchers: list[Any] = []


class BaseParam:
    """A box that holds one dynamic value: an array, a pytree of arrays, or None.

    The transforms of `pcx.functional` know a param by its type: its value is an input of the compiled
    program, and a new value set inside a tracked transform is set in the caller's param too. Operators and
    attributes reach through to the value; plain operators return arrays, augmented ones change the box.

    Attributes that the user adds (`p.frozen = True`) are static facts about the param: they are part of the
    program's structure, can be selected with `pcx.utils.M_has`, and never reach the value.

    **Arguments:**

    - `value`: the value to hold, of any shape; None means that nothing is held yet.

    **Raises:** `TypeError` for `bool(param)`; compare with None through `param.get() is None`.
    """

    # `_mark` says what the transform being traced needs to know: read before written? written? See `_mark`.
    __slots__ = _SLOTS
    # NumPy arrays on the left of an operator hand over to our reflected operators.
    __array_priority__: ClassVar[int] = 1000
    _kind: ClassVar[Kind] = Kind.PARAM

    _value: Any
    _facts: dict[str, Any]
    _mark: Any

    def __init__(self, value: Value = None) -> None:
        self._facts = _NO_FACTS
        self._mark = None
        self._value = get(value)

    def __init_subclass__(cls, **kwargs: object) -> None:
        super().__init_subclass__(**kwargs)
        cls._register()

    @classmethod
    def _register(cls) -> None:
        """Make params of this class a pytree: the value is data, the static facts are structure."""

        def facts_of(param: BaseParam) -> Any:
            return tuple([(name, Keyed(value)) for name, value in sorted(param._facts.items())])

        def flatten(param: BaseParam) -> Any:
            return (BaseParam.get(param),), facts_of(param)

        def flatten_with_keys(param: BaseParam) -> Any:
            return ((jtu.GetAttrKey("value"), BaseParam.get(param)),), facts_of(param)

        def unflatten(facts: Any, children: Any) -> Any:
            param = object.__new__(cls)
            param._facts = {name: fact.value for name, fact in facts}
            param._mark = None
            (param._value,) = children
            return param

        jtu.register_pytree_with_keys(cls, flatten_with_keys, unflatten, flatten)

    # -- the value ------------------------------------------------------------------------------------
    def get(self) -> Any:
        """Return the value held: an array, a pytree of arrays, or None."""
        mark = self._mark
        if mark is not None:
            mark.read(self)
        elif watchers:
            for watcher in watchers:
                watcher.read(self)
        return self._value

    def set(self, value: Value) -> Any:
        """Hold another value from now on.

        **Arguments:**

        - `value`: an array, a pytree of arrays, or None; of a param, what that holds.

        **Returns:** the param.
        """
        value = get(value)
        mark = self._mark
        if mark is not None:
            mark.written = True
        elif watchers:
            for watcher in watchers:
                watcher.written(self)
        self._value = value
        return self

    # -- static facts ---------------------------------------------------------------------------------
    def __setattr__(self, name: str, value: Value) -> None:
        if name in _SLOTS:
            object.__setattr__(self, name, value)
        elif isinstance(getattr(type(self), name, None), property):
            object.__setattr__(self, name, value)  # the property's own setter, or its error
        else:
            object.__setattr__(self, "_facts", {**self._facts, name: value})

    def __delattr__(self, name: str) -> None:
        if name not in self._facts:
            raise AttributeError(f"{type(self).__name__} has no static attribute {name!r} to delete")
        object.__setattr__(self, "_facts", {k: v for k, v in self._facts.items() if k != name})

    def __getattr__(self, name: str) -> Any:
        # Only called when the class has no such attribute.
        if name in _SLOTS or (name.startswith("__") and name.endswith("__")):
            raise AttributeError(name)
        facts = self._facts
        if name in facts:
            return facts[name]
        value = BaseParam.get(self)
        try:
            return getattr(value, name)
        except AttributeError:
            raise AttributeError(
                f"{type(self).__name__} has no static attribute {name!r}, and neither has its value ({short(value)})"
            ) from None

    def __getstate__(self) -> Any:
        # A copy holds what was read, as any other reader does, and is no part of a trace.
        return None, {"_value": BaseParam.get(self), "_facts": self._facts, "_mark": None}

    def __static_key__(self) -> Hashable:
        return by_identity(self, self._value, self._facts)

    def __dir__(self) -> list[str]:
        return sorted({*super().__dir__(), *self._facts, *dir(self._value)})

    # -- conversions ----------------------------------------------------------------------------------
    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the value."""
        return np.shape(self._some())

    @property
    def dtype(self) -> Any:
        """Data type of the value."""
        value = self._some()
        return value.dtype if hasattr(value, "dtype") else jax.dtypes.result_type(value)

    @property
    def ndim(self) -> int:
        """Number of axes of the value."""
        return np.ndim(self._some())

    def _some(self) -> Any:
        value = BaseParam.get(self)
        if value is None:
            raise AttributeError("None has none")  # `__getattr__` is asked next, and says it in words
        return value

    def __array__(self, dtype: np.typing.DTypeLike | None = None, copy: bool | None = None) -> np.ndarray:
        return np.asarray(self.get(), dtype=dtype) if not copy else np.array(self.get(), dtype=dtype)

    def __jax_array__(self) -> Any:
        return jax.numpy.asarray(self.get())

    def __bool__(self) -> bool:
        raise TypeError(
            f"a {type(self).__name__} has no truth value: it is a box. Write `param.get() is None` to ask whether it "
            "holds anything, or `bool(param.get())` for the value's own truth"
        )

    def __repr__(self) -> str:
        return f"{type(self).__name__}({short(self._value)})"

    __hash__ = object.__hash__

    def __len__(self) -> int:
        return len(self.get())

    def __iter__(self) -> Iterator[Any]:
        return iter(self.get())

    def __getitem__(self, index: Value) -> Any:
        return self.get()[get(index)]

    def __float__(self) -> float:
        return float(self.get())

    def __int__(self) -> int:
        return int(self.get())

    def __complex__(self) -> complex:
        return complex(self.get())

    def __index__(self) -> int:
        return operator.index(self.get())

    def __round__(self, ndigits: int | None = None) -> Any:
        return round(self.get(), ndigits) if ndigits is not None else round(self.get())

    def __divmod__(self, other: Value) -> Any:
        return divmod(self.get(), get(other))

    def __rdivmod__(self, other: Value) -> Any:
        return divmod(get(other), self.get())

    def __pow__(self, other: Value, mod: Value = None) -> Any:
        return pow(self.get(), get(other), mod) if mod is not None else self.get() ** get(other)

    def __rpow__(self, other: Value) -> Any:
        return get(other) ** self.get()

    def __ipow__(self, other: Value) -> Any:
        return self.set(self.get() ** get(other))

    def __trunc__(self) -> Any:
        return math.trunc(self.get())

    def __floor__(self) -> Any:
        return math.floor(self.get())

    def __ceil__(self) -> Any:
        return math.ceil(self.get())


BaseParam._register()


class Param(BaseParam):
    """A param that holds an array (or any pytree of arrays). See `BaseParam`.

    **Arguments:**

    - `value`: the value to hold, see `BaseParam`.
    """

    __slots__ = ()


class ParamDict(BaseParam):
    """A param whose value is a dict from names to arrays.

    One that was cleared (`set(None)`) reads as empty and is created again by a write. A write makes a new
    dict, so that a dict handed out earlier never changes.

    **Arguments:**

    - `value`: the first contents; None is the same as empty.
    """

    __slots__ = ()

    def get(self, key: Hashable = None, default: Value = None) -> Any:
        """Return the whole dict, or the value under one key.

        **Arguments:**

        - `key`: the name; None for the whole dict.
        - `default`: what is returned if there is nothing under the key.

        **Returns:** the value, or `default`; of the whole dict None when it was cleared.
        """
        value = BaseParam.get(self)
        if key is None:
            return value
        return default if value is None else value.get(key, default)

    def __getitem__(self, index: Value) -> Any:
        return (BaseParam.get(self) or {})[index]

    def __setitem__(self, key: Hashable, value: Value) -> None:
        self.set({**(BaseParam.get(self) or {}), key: get(value)})

    def __delitem__(self, key: Hashable) -> None:
        value = dict(BaseParam.get(self) or {})
        del value[key]
        self.set(value)

    def __contains__(self, key: object) -> bool:
        return key in (BaseParam.get(self) or {})

    def __iter__(self) -> Iterator[Any]:
        return iter(BaseParam.get(self) or {})

    def __len__(self) -> int:
        return len(BaseParam.get(self) or {})


class ParamCache(ParamDict):
    """A `ParamDict` of values that can be computed again, and so may be cleared at any time.

    **Arguments:**

    - `value`: the first contents; None is the same as empty.
    """

    __slots__ = ()


def get(x: Value) -> Any:
    """Read a param.

    **Arguments:**

    - `x`: a param; or anything else.

    **Returns:** the value of the param; anything else as it is.
    """
    return x.get() if isinstance(x, BaseParam) else x


def set(obj: Value, x: Value) -> Any:
    """Store a value in a param, if there is one to store it in.

    **Arguments:**

    - `obj`: a param, or anything else.
    - `x`: the value, or a param that holds it.

    **Returns:** `obj` if it is a param, else `x`.
    """
    return obj.set(x) if isinstance(obj, BaseParam) else x


install_operators(BaseParam, get, augmented=True)


def like(param: BaseParam, value: Value) -> Any:
    """Return a new param of the same type and with the same static facts that holds another value."""
    new = object.__new__(type(param))
    object.__setattr__(new, "_facts", param._facts)
    object.__setattr__(new, "_mark", None)
    object.__setattr__(new, "_value", value)
    return new
