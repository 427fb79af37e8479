"""Operations of programs, as the proofs about transformations see them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

import jax
import jax.extend.core as jex
import jax.tree_util as jtu
from jax import Array

Shaped: TypeAlias = Array | jax.ShapeDtypeStruct
"""An array, of which only shape and dtype count."""

# Operations that give each element of their result from the same element of what they take.
ELEMENTWISE = frozenset(
    [
        "abs",
        "acos",
        "acosh",
        "add",
        "add_any",
        "and",
        "asin",
        "asinh",
        "atan",
        "atan2",
        "atanh",
        "bessel_i0e",
        "bessel_i1e",
        "cbrt",
        "ceil",
        "clamp",
        "convert_element_type",
        "copy",
        "copy_p",
        "cos",
        "cosh",
        "digamma",
        "div",
        "eq",
        "erf",
        "erf_inv",
        "erfc",
        "exp",
        "exp2",
        "expm1",
        "floor",
        "ge",
        "gt",
        "imag",
        "integer_pow",
        "is_finite",
        "le",
        "lgamma",
        "log",
        "log1p",
        "logistic",
        "lt",
        "max",
        "min",
        "mul",
        "ne",
        "neg",
        "nextafter",
        "not",
        "or",
        "pow",
        "real",
        "reduce_precision",
        "rem",
        "round",
        "rsqrt",
        "select_n",
        "sign",
        "sin",
        "sinh",
        "sqrt",
        "square",
        "stop_gradient",
        "sub",
        "tan",
        "tanh",
        "xor",
    ]
)
# What begins the names of operations that draw random numbers, or make the keys for that.
_RANDOM = ("random_", "threefry2x32", "rng_")
_CALLS = ("jaxpr", "call_jaxpr", "fun_jaxpr")
_CALLED = frozenset(
    ["pjit", "jit", "closed_call", "core_call", "custom_jvp_call", "custom_vjp_call", "custom_vjp_call_jaxpr", "remat"]
)


def draws(jaxpr: jex.Jaxpr) -> bool:
    """Return whether an operation of a program draws random numbers."""
    return any(draws_numbers(eqn) for eqn in jaxpr.eqns)


def draws_numbers(eqn: jex.JaxprEqn) -> bool:
    """Return whether an operation, or one of a program that it calls, draws random numbers."""
    if eqn.primitive.name.startswith(_RANDOM):
        return True
    inner = [x.jaxpr if isinstance(x, jex.ClosedJaxpr) else x for x in jtu.tree_leaves(eqn.params)]
    return any(draws(x) for x in inner if isinstance(x, jex.Jaxpr))


def called(eqn: jex.JaxprEqn) -> tuple[jex.Jaxpr, Sequence[Any]] | None:
    """Return the program that an operation calls, with its constants; None if it calls none."""
    if eqn.primitive.name not in _CALLED:
        return None
    inner = next((eqn.params[k] for k in _CALLS if k in eqn.params), None)
    if inner is None:
        return None
    return (inner.jaxpr, inner.consts) if isinstance(inner, jex.ClosedJaxpr) else (inner, ())


def aval_of(v: jex.Var | jex.Literal) -> jax.ShapeDtypeStruct:
    """Return the shape and dtype of a value of a program."""
    aval: Any = v.aval
    return jax.ShapeDtypeStruct(aval.shape, aval.dtype)
