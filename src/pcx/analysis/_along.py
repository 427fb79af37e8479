"""The derivative of a gradient along a vector."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
from jaxtyping import PyTree


def along(grad: Callable[[PyTree], PyTree], at: PyTree) -> Callable[[PyTree], PyTree]:
    """Return the products of the Hessian with vectors, from the gradient.

    It is the derivative of the gradient along the vector. Where some operation of the gradient can be differentiated in
    reverse alone, it is the gradient's vector-Jacobian product: of a symmetric matrix, the same.

    **Arguments:**

    - `grad`: the gradient.
    - `at`: the place.
    """
    if reverse_alone(grad, at):
        pullback = jax.vjp(grad, at)[1]
        return lambda v: pullback(v)[0]
    return jax.linearize(grad, at)[1]


def reverse_alone(fn: Callable[..., PyTree], *at: PyTree) -> bool:
    """Return whether a function has operations that say their derivative in reverse alone (`jax.custom_vjp`).

    **Arguments:**

    - `fn`: a pure function.
    - `at`: what to call it with.
    """
    return _has(jax.make_jaxpr(fn)(*at), "custom_vjp")


def _has(x: Any, name: str) -> bool:
    """Return whether there is a primitive of such a name in a jaxpr, or in what is inside of one."""
    if isinstance(x, tuple | list):
        return any(_has(each, name) for each in x)
    inner = getattr(x, "jaxpr", x)
    if not hasattr(inner, "eqns"):
        return False
    return any(e.primitive.name.startswith(name) or any(_has(p, name) for p in e.params.values()) for e in inner.eqns)
