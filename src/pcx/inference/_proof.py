"""What can be proved of an Optax transformation from its operations: that samples don't meet in it, and that a zero
gradient moves nothing."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.extend.core as jex
import jax.numpy as jnp
import jax.tree_util as jtu
import numpy as np
from jax.core import Tracer

from ..energy._dataflow import bind_as_it_stands

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


def apart(init: Callable[..., Any], update: Callable[..., Any], value: Any) -> bool:
    """Whether each element of a node's update depends on that element's gradients and values alone, and on what has
    nothing to do with either (counts, rates, noise).

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


def _alignment(jaxpr: Any, marks: Sequence[bool], shape: tuple[int, ...]) -> list[bool] | None:
    """Which results depend on the marked inputs, element by element; None if any does otherwise."""
    env: dict[Any, bool] = dict(zip(jaxpr.invars, marks, strict=True))
    for eqn in jaxpr.eqns:
        depends = [not isinstance(v, jex.Literal) and env.get(v, False) for v in eqn.invars]
        if not any(depends):
            continue
        name, out = eqn.primitive.name, [True] * len(eqn.outvars)
        inner = _called(eqn)
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
            if any(v.aval.shape != shape for v in (eqn.invars[0], *eqn.outvars)):
                return None
        elif name not in _ELEMENTWISE or any(v.aval.shape != shape for v in eqn.outvars):
            return None
        env.update(zip(eqn.outvars, out, strict=True))
    return [not isinstance(v, jex.Literal) and env.get(v, False) for v in jaxpr.outvars]


class _Unknown:
    """A value that is not known while the program is made."""


UNKNOWN = _Unknown()


def idle_states(init: Callable[..., Any], update: Callable[..., Any], value: Any, steps: int) -> list[Any] | None:
    """The states after 0, 1, ..., `steps` steps with zero gradient; None unless it is proved that whatever the value,
    no such step moves it and the state is the same.

    **Arguments:**

    - `init`, `update`: of the transformation.
    - `value`: the shape and dtype of a value.
    """
    value = jax.ShapeDtypeStruct(value.shape, value.dtype)
    try:
        first, like = jax.make_jaxpr(init, return_shape=True)(value)
        treedef = jtu.tree_structure(like)

        def still(state: Any, at: Any) -> Any:
            return update(jnp.zeros(value.shape, value.dtype), state, at)

        step = jax.make_jaxpr(still)(like, value)
        with jax.ensure_compile_time_eval():
            state = _known(first.jaxpr, first.consts, [UNKNOWN])
            states = []
            for t in range(steps + 1):
                if any(leaf is UNKNOWN for leaf in state):
                    return None
                states.append(jtu.tree_unflatten(treedef, state))
                if t < steps:
                    move, *state = _known(step.jaxpr, step.consts, [*state, UNKNOWN])
                    if len(state) != treedef.num_leaves or not _zero(move):
                        return None
            return states
    except (jax.errors.ConcretizationTypeError, ValueError, TypeError):
        return None


def stands_still(update: Callable[..., Any], params: Any, state: Any) -> bool:
    """Whether it is proved that a step with zero gradient moves nothing, whatever the params and the state.

    **Arguments:**

    - `params`, `state`: trees of arrays or of their shapes.
    """
    params, state = jtu.tree_map(lambda a: jax.ShapeDtypeStruct(jnp.shape(a), jnp.result_type(a)), (params, state))

    def move(state: Any, params: Any) -> Any:
        return update(jtu.tree_map(lambda a: jnp.zeros(a.shape, a.dtype), params), state, params)[0]

    try:
        made = jax.make_jaxpr(move)(state, params)
        with jax.ensure_compile_time_eval():
            return all(_zero(m) for m in _known(made.jaxpr, made.consts, [UNKNOWN] * len(made.jaxpr.invars)))
    except (jax.errors.ConcretizationTypeError, ValueError, TypeError):
        return False


def _known(jaxpr: Any, consts: Sequence[Any], args: Sequence[Any]) -> list[Any]:
    """A program's results, as far as they are known from the arguments that are."""
    env: dict[Any, Any] = dict(zip(jaxpr.invars, args, strict=True))
    env |= {v: UNKNOWN if isinstance(c, Tracer) else c for v, c in zip(jaxpr.constvars, consts, strict=True)}

    def read(v: Any) -> Any:
        return v.val if isinstance(v, jex.Literal) else env[v]

    for eqn in jaxpr.eqns:
        made = _performed(eqn, [read(v) for v in eqn.invars])
        env.update(zip(eqn.outvars, made, strict=True))
    return [read(v) for v in jaxpr.outvars]


def _performed(eqn: Any, args: list[Any]) -> list[Any]:
    name = eqn.primitive.name
    inner = _called(eqn)
    if inner is not None:
        return _known(*inner, args)
    if all(a is not UNKNOWN for a in args):
        made = bind_as_it_stands(eqn, args)
        return list(made) if eqn.primitive.multiple_results else [made]
    if name == "mul" and any(_zero(a) for a in args):
        aval = eqn.outvars[0].aval
        return [jnp.zeros(aval.shape, aval.dtype)]
    if name == "select_n" and args[0] is not UNKNOWN:
        which = np.asarray(args[0])
        if which.size and (which == which.flat[0]).all():
            case, aval = args[1 + int(which.flat[0])], eqn.outvars[0].aval
            return [case if case is UNKNOWN else jnp.broadcast_to(case, aval.shape)]
    if name == "cond" and args[0] is not UNKNOWN:
        branch = eqn.params["branches"][int(args[0])]
        return _known(branch.jaxpr, branch.consts, args[1:])
    return [UNKNOWN] * len(eqn.outvars)


def _zero(x: Any) -> bool:
    return x is not UNKNOWN and not np.any(np.asarray(x))


def _called(eqn: Any) -> tuple[Any, Any] | None:
    """The program that an operation calls, with its constants; None if it calls none."""
    if eqn.primitive.name not in _CALLED:
        return None
    inner = next((eqn.params[k] for k in _CALLS if k in eqn.params), None)
    if inner is None:
        return None
    return (inner.jaxpr, inner.consts) if isinstance(inner, jex.ClosedJaxpr) else (inner, ())
