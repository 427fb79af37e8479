"""A function with its products of arrays in 16 bits and everything else, their sums too, in 32.

Predictive coding lives on small differences: an error is a value less its prediction. Rounded to 16 bits, either would
swallow it. The operands of a product may be rounded: what is lost is a part of each term, and what is summed keeps its
digits. So the function is traced in float32, and its matrix products and convolutions are replaced, those of its
gradient too.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.extend.core as jex
import jax.numpy as jnp
import jax.tree_util as jtu
from jax import Array
from jaxtyping import PyTree

from ._dataflow import CONVOLUTION, Program, bind_as_it_stands
from ._shapes import avals_of

_PRODUCTS = frozenset({"dot_general", CONVOLUTION})
# Operations with functions of their own inside, which have the same arguments when their products are replaced.
_LOOPS = frozenset({"scan", "while", "cond", "remat", "remat2", "checkpoint"})


def in_fewer_bits(fn: Callable[..., PyTree], dtype: str) -> Callable[..., PyTree]:
    """Return a function with its products of float32 arrays taken from copies in `dtype`.

    Functions with a derivative of their own (`jax.custom_jvp`, `jax.custom_vjp`) stay as they are.

    **Arguments:**

    - `fn`: a pure function of trees of arrays.
    - `dtype`: of 16 bits.
    """

    def low(*args: PyTree) -> PyTree:
        program = Program(fn, *avals_of(args))
        known = dict(zip(jtu.tree_leaves(program.inputs), jtu.tree_leaves(args), strict=True))
        numbers, treedef = jtu.tree_flatten(program.outputs)
        found = program.evaluate(numbers, known, functools.partial(_bind, dtype), effects=True)
        return jtu.tree_unflatten(treedef, found)

    return low


def _bind(dtype: str, eqn: jex.JaxprEqn, args: list[Any]) -> Any:
    name = eqn.primitive.name
    if name in _PRODUCTS and all(_is_float32(v) for v in (*eqn.invars, *eqn.outvars)):
        product = _product(dtype, eqn.primitive, tuple(eqn.params.items()))
        # The copies come from outside, so that those of weights are made once, before a loop over values.
        return product.of(*args, *[jax.lax.stop_gradient(jnp.asarray(a, dtype)) for a in args])
    if name in _LOOPS:
        return bind_as_it_stands(eqn.replace(params=_inside(dtype, eqn.params)), args)
    return bind_as_it_stands(eqn, args)


def _inside(dtype: str, params: Mapping[str, Any]) -> dict[str, Any]:
    """Return an operation's params with the products in its functions replaced."""

    def replaced(x: Any) -> Any:
        if isinstance(x, tuple) and any(isinstance(part, jex.ClosedJaxpr) for part in x):
            return tuple([replaced(part) for part in x])
        if not isinstance(x, (jex.ClosedJaxpr, jex.Jaxpr)):
            return x
        closed = x if isinstance(x, jex.ClosedJaxpr) else jex.ClosedJaxpr(x, ())
        run = in_fewer_bits(jex.jaxpr_as_fun(closed), dtype)
        made = jax.make_jaxpr(run)(*[jax.ShapeDtypeStruct(v.aval.shape, v.aval.dtype) for v in closed.jaxpr.invars])
        return made if isinstance(x, jex.ClosedJaxpr) else made.jaxpr

    return {name: replaced(x) for name, x in params.items()}


class _Product:
    """A product of two float32 arrays from copies in 16 bits, summed in float32. So is its gradient, from a copy of
    what comes back to it.

    **Arguments:**

    - `dtype`: of the copies.
    - `primitive`, `params`: the product.
    """

    def __init__(self, dtype: str, primitive: jex.Primitive, params: Mapping[str, Any]) -> None:
        self.dtype, self.primitive = dtype, primitive
        self.params = {**params, "precision": None}
        self.of: Any = jax.custom_vjp(self._low)
        self.of.defvjp(self._forth, self._back)

    def _plain(self, a: Array, b: Array) -> Array:
        return self.primitive.bind(a, b, **self.params)

    def _low(self, a: Array, b: Array, low_a: Array, low_b: Array) -> Array:
        if jax.default_backend() == "cpu":
            # CPUs multiply float32 alone, and XLA lacks some of the others there. The terms are the same numbers.
            return self._plain(low_a.astype(jnp.float32), low_b.astype(jnp.float32))
        return self.primitive.bind(low_a, low_b, **{**self.params, "preferred_element_type": jnp.dtype(jnp.float32)})

    def _forth(self, a: Array, b: Array, low_a: Array, low_b: Array) -> tuple[Array, tuple[Array, Array]]:
        return self._low(a, b, low_a, low_b), (low_a, low_b)

    def _back(self, kept: tuple[Array, Array], grad: Array) -> tuple[Array | None, ...]:
        def pulled(a: Array, b: Array, grad: Array) -> tuple[Array, Array]:
            return jax.vjp(self._plain, a, b)[1](grad)

        scale = _scale(grad) if self.dtype == "float16" else None
        scaled = grad if scale is None else grad * scale
        found = in_fewer_bits(pulled, self.dtype)(*[a.astype(jnp.float32) for a in kept], scaled)
        return (*(found if scale is None else [g / scale for g in found]), None, None)


@functools.lru_cache(maxsize=1024)
def _product(dtype: str, primitive: jex.Primitive, params: tuple[tuple[str, Any], ...]) -> _Product:
    """Return a product, the very one for equal params: what is equal is traced once."""
    return _Product(dtype, primitive, dict(params))


def _scale(grad: Array) -> Array:
    """Return a power of two that brings the largest of the numbers near 1: float16 has no room below 6e-8."""
    largest = jnp.max(jnp.abs(grad), initial=0.0)
    usual = jnp.isfinite(largest) & (largest > 0)
    return jnp.where(usual, jnp.exp2(-jnp.floor(jnp.log2(jnp.where(usual, largest, 1)))), 1)


def _is_float32(var: jex.Var | jex.Literal) -> bool:
    aval: Any = var.aval
    return aval.dtype == jnp.float32
