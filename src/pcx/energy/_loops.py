"""Convolutions inside loops on CPUs.

XLA brings convolutions into the layout that its fast CPU kernels take (batch, space, features; kernels space, in, out)
only outside of loops. Inside `scan` and `while_loop` any other layout, and every gradient of a convolution, falls back
to a kernel 30 to 50 times slower. So loop bodies are rewritten here with the layout spelled out.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.extend.core as jex
import jax.numpy as jnp
import jax.tree_util as jtu
import numpy as np
from jax.typing import ArrayLike
from jaxtyping import PyTree

from ._dataflow import CONVOLUTION, Program, bind_as_it_stands


def scan(
    body: Callable[..., Any], init: PyTree, xs: PyTree, reverse: bool = False, length: int | None = None
) -> tuple[PyTree, PyTree]:
    """Return what `jax.lax.scan` returns, with the convolutions of the body laid out for a CPU.

    **Arguments:** see `jax.lax.scan`.
    """
    one = jtu.tree_map(lambda a: jax.ShapeDtypeStruct(np.shape(a)[1:], jnp.result_type(a)), xs)
    return jax.lax.scan(laid_out(body, init, one), init, xs, length, reverse)


def while_loop(going: Callable[..., Any], body: Callable[..., Any], init: PyTree) -> PyTree:
    """Return what `jax.lax.while_loop` returns, with the convolutions of the body laid out for a CPU.

    **Arguments:** see `jax.lax.while_loop`.
    """
    return jax.lax.while_loop(going, laid_out(body, init), init)


def laid_out(fn: Callable[..., Any], *args: PyTree) -> Callable[..., Any]:
    """Return a function with its convolutions laid out for loops on a CPU; as it is if it has none.

    **Arguments:**

    - `fn`: a pure function of trees of arrays.
    - `args`: what it will be called with, or shapes of that.
    """
    # Where no model that was traced in this process has a convolution, there is no need to trace the function for that.
    if not Program.convolved or jax.default_backend() != "cpu":
        return fn
    traced = Program(fn, *jtu.tree_map(_aval, args))
    if not traced.convolves:
        return fn
    avals = jtu.tree_map(_aval, args)

    def rewritten(*args: PyTree) -> PyTree:
        args = jtu.tree_map(jnp.asarray, args)
        program = traced if jtu.tree_map(_aval, args) == avals else Program(fn, *args)
        known = dict(zip(jtu.tree_leaves(program.inputs), jtu.tree_leaves(args), strict=True))
        ids, treedef = jtu.tree_flatten(program.outputs)
        return jtu.tree_unflatten(treedef, program.evaluate(ids, known, _bind))

    return rewritten


def _aval(a: ArrayLike | jax.ShapeDtypeStruct) -> jax.ShapeDtypeStruct:
    return jax.ShapeDtypeStruct(np.shape(a), jnp.result_type(a))


def _bind(eqn: jex.JaxprEqn, args: list[Any]) -> Any:
    if eqn.primitive.name != CONVOLUTION:
        return bind_as_it_stands(eqn, args)
    lhs, rhs = args
    return _convolution(lhs, rhs, eqn.params)


def _convolution(lhs: jax.Array, rhs: jax.Array, params: dict[str, Any]) -> jax.Array:
    params = {k: v for k, v in params.items() if k not in ("lhs_shape", "rhs_shape")}
    spec = params.pop("dimension_numbers")
    n = lhs.ndim
    lhs = lhs.transpose(spec.lhs_spec[0], *spec.lhs_spec[2:], spec.lhs_spec[1])
    rhs = rhs.transpose(*spec.rhs_spec[2:], spec.rhs_spec[1], spec.rhs_spec[0])
    space = tuple(range(1, n - 1))
    plain = jax.lax.ConvDimensionNumbers((0, n - 1, *space), (n - 1, n - 2, *range(n - 2)), (0, n - 1, *space))
    allowed = (
        "window_strides",
        "padding",
        "lhs_dilation",
        "rhs_dilation",
        "feature_group_count",
        "batch_group_count",
        "precision",
        "preferred_element_type",
    )
    out = jax.lax.conv_general_dilated(
        lhs, rhs, dimension_numbers=plain, **{k: params[k] for k in allowed if k in params}
    )
    placed = (spec.out_spec[0], *spec.out_spec[2:], spec.out_spec[1])
    return out.transpose([placed.index(i) for i in range(n)])
