"""Convolutions inside loops on CPUs.

XLA brings convolutions into the layout that its fast CPU kernels take (batch, space, features; kernels space, in, out)
only outside of loops. Inside `scan` and `while_loop` any other layout, and every gradient of a convolution, falls back
to a kernel 30 to 50 times slower. So loop bodies are rewritten here with the layout spelled out.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import jax.tree_util as jtu

from ._dataflow import Program, bind_as_it_stands

_CONVOLUTION = "conv_general_dilated"


def convolves(program: Program) -> bool:
    """Whether the program has a convolution."""
    return any(op.eqn.primitive.name == _CONVOLUTION for op in program.ops)


def for_loops(fn: Callable[..., Any], needed: bool) -> Callable[..., Any]:
    """`fn` with its convolutions laid out for loops on a CPU.

    **Arguments:**

    - `fn`: a pure function of trees of arrays.
    - `needed`: whether it has convolutions at all; if not, `fn` is given back.
    """
    if not needed or jax.default_backend() != "cpu":
        return fn

    def laid_out(*args: Any) -> Any:
        args = jtu.tree_map(jnp.asarray, args)
        program = Program(fn, *args)
        known = dict(zip(jtu.tree_leaves(program.inputs), jtu.tree_leaves(args), strict=True))
        ids, treedef = jtu.tree_flatten(program.outputs)
        return jtu.tree_unflatten(treedef, program.evaluate(ids, known, _bind))

    return laid_out


def _bind(eqn: Any, args: list[Any]) -> Any:
    if eqn.primitive.name != _CONVOLUTION:
        return bind_as_it_stands(eqn, args)
    lhs, rhs = args
    return _convolution(lhs, rhs, eqn.params)


def _convolution(lhs: jax.Array, rhs: jax.Array, params: Any) -> jax.Array:
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
