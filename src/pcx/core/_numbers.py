"""Checks of numbers that a user gives."""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any, TypeVar, cast

import numpy as np
from jax.core import Tracer

LARGEST = 2**31 - 1  # steps are counted in int32
N = TypeVar("N")


def whole(call: str, name: str, x: object, least: int, most: int = LARGEST) -> int:
    """Return a whole number from `least` to `most`, from one of Python, NumPy or JAX.

    **Raises:** `ValueError` naming `call` and `name` for anything else.
    """
    try:
        if isinstance(x, (bool, np.bool_, Tracer)):
            raise TypeError
        number = operator.index(cast(Any, x))
    except TypeError:
        raise ValueError(f"{call}: {name} must be a whole number, {least} or more, got {x!r}") from None
    if number < least:
        bound = f"at least {least}" if least else "0 or more"
        raise ValueError(f"{call}: {name} must be {bound}, a whole number, got {number}")
    if number > most:
        raise ValueError(f"{call}: {name} must be a whole number of at most {most}, got {number}")
    return number


def real(call: str, name: str, x: N, ok: Callable[[np.ndarray], np.ndarray | np.bool_], wanted: str) -> N:
    """Return a number, as it was given, all of whose values are `ok`. What is traced or mapped can't be looked at.

    **Arguments:**

    - `call`, `name`: what to name in errors: the call and its argument.
    - `x`: the number, or an array of them.
    - `ok`: whether values, a NumPy array, are as they should be; `wanted`: the same in words.

    **Raises:** `TypeError` for what is no real number or array of them, `ValueError` for a number that is not `ok`.
    """
    if isinstance(x, Tracer):
        return x
    try:
        values = np.asarray(x)
        if isinstance(x, (str, bytes)) or (values.dtype.kind not in "iuf" and "float" not in values.dtype.name):
            raise TypeError
    except Exception:
        raise TypeError(f"{call}: {name} must be a number, {wanted}, got {x!r}") from None
    if not np.all(ok(values)):
        raise ValueError(f"{call}: {name} must be {wanted}, got {x}")
    return x


def positive(call: str, name: str, x: N) -> N:
    """Return a finite number above 0, or an array of them; see `real`."""
    return real(call, name, x, lambda v: np.isfinite(v) & (v > 0), "above 0")


def not_negative(call: str, name: str, x: N) -> N:
    """Return a number of 0 or more, or an array of them; see `real`."""
    return real(call, name, x, lambda v: v >= 0, "0 or more")
