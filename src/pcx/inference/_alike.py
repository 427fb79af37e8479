"""A proof that a program does to each of a batch of values what another does to one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

import jax
import jax.extend.core as jex
import numpy as np
from jax.core import Tracer
from jax.typing import ArrayLike

from ._operations import ELEMENTWISE, aval_of, called

_Inner: TypeAlias = tuple[jex.Jaxpr, Sequence[Any]]


def alike(one: jex.ClosedJaxpr, every: jex.ClosedJaxpr, shape: tuple[int, ...]) -> bool:
    """Return whether a program does to each of a batch of values what another does to one: operation by operation the
    same, element by element, with the same numbers. A program may read its shapes (a mean over the batch, say).

    **Arguments:**

    - `one`, `every`: the programs.
    - `shape`: of one value; those of the batch have one more axis before it.
    """
    return _alike((one.jaxpr, one.consts), (every.jaxpr, every.consts), shape)


def _alike(one: _Inner, every: _Inner, shape: tuple[int, ...]) -> bool:
    (a, a_consts), (b, b_consts) = one, every
    if (len(a.invars), len(a.constvars), len(a.eqns)) != (len(b.invars), len(b.constvars), len(b.eqns)):
        return False
    if any(x is not y and not _equal(x, y) for x, y in zip(a_consts, b_consts, strict=True)):
        return False
    env: dict[jex.Var, jex.Var] = {}

    def made(x: Sequence[jex.Var], y: Sequence[jex.Var]) -> bool:
        env.update(zip(x, y, strict=True))
        return all(_matches(aval_of(v), aval_of(w), shape) for v, w in zip(x, y, strict=True))

    def read(x: Sequence[jex.Var | jex.Literal], y: Sequence[jex.Var | jex.Literal]) -> bool:
        pairs = zip(x, y, strict=True)
        return len(x) == len(y) and all(
            isinstance(w, jex.Literal) and _equal(v.val, w.val) if isinstance(v, jex.Literal) else env.get(v) is w
            for v, w in pairs
        )

    if not (made(a.invars, b.invars) and made(a.constvars, b.constvars)):
        return False
    for v, w in zip(a.eqns, b.eqns, strict=True):
        if v.primitive is not w.primitive or not read(v.invars, w.invars) or not made(v.outvars, w.outvars):
            return False
        if not _same_operation(v, w, shape):
            return False
    return read(a.outvars, b.outvars)


def _same_operation(v: jex.JaxprEqn, w: jex.JaxprEqn, shape: tuple[int, ...]) -> bool:
    """Return whether two operations of one name do the same to each element."""
    name, inner, other = v.primitive.name, called(v), called(w)
    if inner is not None and other is not None:
        return _alike(inner, other, shape)
    if name == "cond":
        branches = zip(v.params["branches"], w.params["branches"], strict=True)
        return all(alike(x, y, shape) for x, y in branches)
    both = zip([*v.invars, *v.outvars], [*w.invars, *w.outvars], strict=True)
    pairs = [(aval_of(x).shape, aval_of(y).shape) for x, y in both]
    if all(x == y for x, y in pairs):
        return str(v.params) == str(w.params)
    if name == "broadcast_in_dim":
        return pairs[0] == ((), ())
    return name in ELEMENTWISE and str(v.params) == str(w.params)


def _matches(one: jax.ShapeDtypeStruct, every: jax.ShapeDtypeStruct, shape: tuple[int, ...]) -> bool:
    whole = one.shape == shape and every.shape[1:] == shape and len(every.shape) == len(shape) + 1
    return one.dtype == every.dtype and (one.shape == every.shape or whole)


def _equal(x: ArrayLike, y: ArrayLike) -> bool:
    if isinstance(x, Tracer) or isinstance(y, Tracer):
        return x is y
    return np.shape(x) == np.shape(y) and bool(np.array_equal(np.asarray(x), np.asarray(y), equal_nan=True))
