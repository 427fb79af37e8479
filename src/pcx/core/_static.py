"""Compile-time constants inside modules."""

from __future__ import annotations

import copyreg
import sys
from collections.abc import Hashable, Iterator
from typing import Any

import jax

from ._key import static_key
from ._operators import install_operators


class Static:
    """A value that is part of the program, not of its data: it has no leaves. Made by `static`."""

    __slots__ = ("__weakref__", "_wrapped")
    # NumPy arrays on the left of an operator hand over to our reflected operators.
    __array_priority__ = 1000

    _wrapped: Any

    def __init__(self, wrapped: Any) -> None:
        object.__setattr__(self, "_wrapped", wrapped)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self._wrapped(*args, **kwargs)

    def __getitem__(self, index: Any) -> Any:
        return self._wrapped[index]

    def __iter__(self) -> Iterator[Any]:
        return iter(self._wrapped)

    def __len__(self) -> int:
        return len(self._wrapped)

    def __setitem__(self, index: Any, value: Any) -> None:
        self._wrapped[index] = value

    def __pow__(self, other: Any) -> Any:
        return self._wrapped ** unwrap(other)

    def __rpow__(self, other: Any) -> Any:
        return unwrap(other) ** self._wrapped

    def __contains__(self, item: Any) -> bool:
        return item in self._wrapped

    def __hash__(self) -> int:
        return hash(self._wrapped)

    def __bool__(self) -> bool:
        return bool(self._wrapped)

    def __index__(self) -> int:
        return self._wrapped.__index__()

    def __float__(self) -> float:
        return float(self._wrapped)

    def __int__(self) -> int:
        return int(self._wrapped)

    def __getattr__(self, name: str) -> Any:
        if name == "_wrapped" or (name.startswith("__") and name.endswith("__")):
            raise AttributeError(name)
        return getattr(self._wrapped, name)

    def __setattr__(self, name: str, value: Any) -> None:
        raise AttributeError(
            f"a static value can't be changed in place (attribute {name!r}); assign a new one: "
            "`module.attribute = pcx.static(new_value)`"
        )

    def __reduce__(self) -> Any:
        return Static, (self._wrapped,)

    def __static_key__(self) -> Hashable:
        return static_key(self._wrapped)

    def __repr__(self) -> str:
        return f"static({self._wrapped!r})"


def static(x: Any) -> Static:
    """A compile-time constant for a module's attribute: it has no leaves and is never traced.

    It forwards calls, indexing, iteration, `len`, operators and attributes to `x`. Two constants are the same
    program if they would compute the same (see `docs/equal-things.md`). What a transform changes stays inside it.

    **Arguments:**

    - `x`: any value; a static is returned as it is.
    """
    return x if isinstance(x, Static) else Static(x)


def unwrap(x: Any) -> Any:
    """The wrapped value of a static, or `x` itself."""
    return x._wrapped if isinstance(x, Static) else x


install_operators(Static, unwrap, augmented=False)


def _by_name(x: Any) -> Any:
    # JAX's functions with a gradient of their own, such as jax.nn.relu, are constants of many models, and pickle looks
    # for the function inside of them under their name.
    module, name = getattr(x, "__module__", None), getattr(x, "__qualname__", None)
    if getattr(sys.modules.get(str(module)), str(name), None) is x:
        return name
    return object.__reduce_ex__(x, 4)


for _kind in (jax.custom_jvp, jax.custom_vjp):
    if _kind not in copyreg.dispatch_table:
        copyreg.pickle(_kind, _by_name)
