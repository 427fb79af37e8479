"""A proof from the operations of an Optax transformation that samples don't meet in it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import jax
import jax.extend.core as jex
import jax.tree_util as jtu
from jax import Array
from jaxtyping import PyTree

Shaped: TypeAlias = Array | jax.ShapeDtypeStruct
"""An array, of which only shape and dtype count."""

# Operations that give each element of their result from the same element of what they take.
_ELEMENTWISE = frozenset(
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
_CALLS = ("jaxpr", "call_jaxpr", "fun_jaxpr")
_CALLED = frozenset(
    ["pjit", "jit", "closed_call", "core_call", "custom_jvp_call", "custom_vjp_call", "custom_vjp_call_jaxpr", "remat"]
)


def apart(init: Callable[..., PyTree], update: Callable[..., PyTree], value: Shaped) -> bool:
    """Return whether each element of a node's update depends on that element's gradients and values alone, and on what
    has nothing to do with either (counts, rates, noise).

    **Arguments:**

    - `init`, `update`: of the transformation.
    - `value`: the shape and dtype of the node's value.
    """
    value = jax.ShapeDtypeStruct(value.shape, value.dtype)
    try:
        first, state = jax.make_jaxpr(init, return_shape=True)(value)
        step = jax.make_jaxpr(update)(value, state, value)
    except jax.errors.ConcretizationTypeError:
        return False
    leaves = jtu.tree_leaves(state)
    own = [leaf.shape == value.shape for leaf in leaves]
    made = _alignment(first.jaxpr, [True], value.shape)
    marks = [True, *own, True]
    after = _alignment(step.jaxpr, marks, value.shape)
    if made is None or after is None or len(after) != len(leaves) + 1:
        return False
    # What is of another shape than the values must never come to depend on them.
    return all(mine or not depends for mine, depends in zip(own + own, made + after[1:], strict=True))


def _alignment(jaxpr: jex.Jaxpr, marks: Sequence[bool], shape: tuple[int, ...]) -> list[bool] | None:
    """Return which results depend on the marked inputs, element by element; None if any does otherwise."""
    env: dict[jex.Var, bool] = dict(zip(jaxpr.invars, marks, strict=True))
    for eqn in jaxpr.eqns:
        depends = [not isinstance(v, jex.Literal) and env.get(v, False) for v in eqn.invars]
        if not any(depends):
            continue
        name, out = eqn.primitive.name, [True] * len(eqn.outvars)
        inner = called(eqn)
        if inner is not None:
            found = _alignment(inner[0], depends, shape)
            if found is None:
                return None
            out = found
        elif name == "cond" and not depends[0]:
            found = [_alignment(branch.jaxpr, depends[1:], shape) for branch in eqn.params["branches"]]
            if any(f is None for f in found):
                return None
            out = [any(f[i] for f in found if f is not None) for i in range(len(out))]
        elif name in ("broadcast_in_dim", "reshape"):
            if any(aval_of(v).shape != shape for v in (eqn.invars[0], *eqn.outvars)):
                return None
        elif name not in _ELEMENTWISE or any(aval_of(v).shape != shape for v in eqn.outvars):
            return None
        env.update(zip(eqn.outvars, out, strict=True))
    return [not isinstance(v, jex.Literal) and env.get(v, False) for v in jaxpr.outvars]


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
