"""Python's operators for a class that holds a value, each defined once for its plain, reflected and augmented form."""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

_BINARY = ["add", "sub", "mul", "truediv", "floordiv", "mod", "matmul", "and", "or", "xor", "lshift", "rshift"]
_COMPARISONS = ["lt", "le", "eq", "ne", "gt", "ge"]
_UNARY = ["neg", "pos", "abs", "invert"]


def install_operators(cls: type, value_of: Callable[[Any], Any], augmented: bool) -> None:
    """Give `cls` the operators of the value that it holds.

    **Arguments:**

    - `value_of`: the value that an instance holds; any other object as it is.
    - `augmented`: whether `x += y` sets a new value in x (with its `set`); if not, it is as `x = x + y`.
    """

    def plain(op: Callable[[Any, Any], Any]) -> Any:
        return lambda self, other: op(value_of(self), value_of(other))

    def reflected(op: Callable[[Any, Any], Any]) -> Any:
        return lambda self, other: op(value_of(other), value_of(self))

    def in_place(op: Callable[[Any, Any], Any]) -> Any:
        return lambda self, other: self.set(op(value_of(self), value_of(other)))

    def unary(op: Callable[[Any], Any]) -> Any:
        return lambda self: op(value_of(self))

    table: dict[str, Any] = {}
    for name in _BINARY:
        op = getattr(operator, f"__{name}__")
        table[f"__{name}__"] = plain(op)
        table[f"__r{name}__"] = reflected(op)
        if augmented:
            table[f"__i{name}__"] = in_place(op)
    for name in _COMPARISONS:
        table[f"__{name}__"] = plain(getattr(operator, f"__{name}__"))
    for name in _UNARY:
        table[f"__{name}__"] = unary(getattr(operator, f"__{name}__"))
    for name, fn in table.items():
        fn.__name__ = name
        fn.__qualname__ = f"{cls.__name__}.{name}"
        setattr(cls, name, fn)
