"""Checks of `jit`, in the words of the user's call."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import jax
import jax.tree_util as jtu
import numpy as np

from ..core import Value

Argnums: TypeAlias = int | Sequence[int] | None

# How JAX says that a value it was given is no array.
_NOT_AN_ARGUMENT = re.compile(r"value is of type <class '([^']*)'> and was passed to the function at path args\[")


def check_options(static_argnums: Argnums, donate_argnums: Argnums, options: Mapping[str, Any]) -> None:
    """Refuse options that `jit` or `jax.jit` doesn't take.

    **Raises:** `TypeError`, naming the option.
    """
    if callable(static_argnums):
        raise TypeError("pxf.jit takes its options first: write pxf.jit()(fn), or @pxf.jit() above the function")
    refused = {"in_shardings", "out_shardings"} & options.keys()
    if refused:
        raise TypeError(f"pxf.jit: {', '.join(sorted(refused))} not supported: keyword arguments are tracked objects")
    for name, given in (("static_argnums", static_argnums), ("donate_argnums", donate_argnums)):
        if not all(isinstance(i, int) for i in as_tuple(given)):
            raise TypeError(f"pxf.jit: {name} must be an integer or a sequence of integers, got {given!r}")
    try:
        jax.jit(_nothing, **options)
    except TypeError as e:
        raise TypeError(f"pxf.jit: an option that jax.jit doesn't take: {e}") from None


def as_tuple(x: int | Sequence[int] | str | Sequence[str] | None) -> tuple[Any, ...]:
    """Return one thing, several or none as a tuple."""
    if x is None:
        return ()
    return (x,) if isinstance(x, (int, str)) else tuple(x)


def _nothing() -> None:
    pass


def check_static_argnums(name: str, static_argnums: Sequence[int], n: int) -> None:
    """Refuse static arguments that a call of `n` positional arguments doesn't give.

    **Raises:** `ValueError`.
    """
    if any(not -n <= i < n for i in static_argnums):
        raise ValueError(
            f"pxf.jit: static_argnums={static_argnums} names an argument that the call of {name} didn't give: it got "
            f"{n} positional arguments"
        )


def check_arrays(call: str, what: str, value: Value) -> None:
    """Refuse to give out of a compiled function what is no array.

    **Raises:** `TypeError`, with the type.
    """
    for leaf in jtu.tree_leaves(value):
        is_number = isinstance(leaf, (jax.Array, np.ndarray, bool, int, float, complex, np.generic))
        if not is_number and not hasattr(leaf, "__jax_array__"):
            raise TypeError(f"{call}: {what} a value of type {type(leaf).__name__}, which is no array and no number")


def reworded(call: str, e: TypeError) -> TypeError | None:
    """Return JAX's error about a value that is no array in terms of the user's call; None for any other."""
    given = _NOT_AN_ARGUMENT.search(str(e))
    if given is None:
        return None
    return TypeError(
        f"{call}: a positional argument is of type {given[1]}, which is no array and no number: give its place in "
        "static_argnums, or pass an object by keyword"
    )
