"""A proof from the operations of an Optax transformation that samples don't meet in it, nor count."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import jax
import jax.extend.core as jex
import jax.tree_util as jtu
from jaxtyping import PyTree

from ..core import warn
from ._alike import alike
from ._operations import ELEMENTWISE, Shaped, aval_of, called, draws


def apart(init: Callable[..., PyTree], update: Callable[..., PyTree], value: Shaped) -> bool:
    """Return whether a batch of values may be given to a transformation as one array: each element of the update
    depends on that element's gradients and values alone, and on what has nothing to do with either (counts, rates); and
    the operations are those for one sample. Where numbers are drawn the first is enough: samples have numbers of their
    own then.

    **Arguments:**

    - `init`, `update`: of the transformation.
    - `value`: the shape and dtype of the node's value, `[batch, *shape]`.

    **Warns** of a transformation that draws random numbers.
    """
    every = jax.ShapeDtypeStruct(value.shape, value.dtype)
    one = jax.ShapeDtypeStruct(value.shape[1:], value.dtype)
    try:
        first, state, step = _programs(init, update, every)
        random = draws(first.jaxpr) or draws(step.jaxpr)
        if random:
            _warn_of_random()
        if not _elements_apart(first, state, step, every):
            return False
        if random:
            return True
        first_of_one, _, step_of_one = _programs(init, update, one)
    except jax.errors.ConcretizationTypeError:
        return False
    return alike(first_of_one, first, one.shape) and alike(step_of_one, step, one.shape)


def _programs(
    init: Callable[..., PyTree], update: Callable[..., PyTree], value: jax.ShapeDtypeStruct
) -> tuple[jex.ClosedJaxpr, PyTree, jex.ClosedJaxpr]:
    """Return the program that makes a state, the form of the state, and the program of a step."""
    first, state = jax.make_jaxpr(init, return_shape=True)(value)
    return first, state, jax.make_jaxpr(update)(value, state, value)


def _elements_apart(first: jex.ClosedJaxpr, state: PyTree, step: jex.ClosedJaxpr, value: jax.ShapeDtypeStruct) -> bool:
    leaves = jtu.tree_leaves(state)
    own = [leaf.shape == value.shape for leaf in leaves]
    made = _alignment(first.jaxpr, [True], value.shape)
    marks = [True, *own, True]
    after = _alignment(step.jaxpr, marks, value.shape)
    if made is None or after is None or len(after) != len(leaves) + 1:
        return False
    # What is of another shape than the values must never come to depend on them.
    return all(mine or not depends for mine, depends in zip(own + own, made + after[1:], strict=True))


def _warn_of_random() -> None:
    warn(
        "the transformation of the values draws random numbers from a seed of its own: every batch and every node gets "
        "the same. For numbers of their own give pxi.Langevin(step), as pxl.mcpc does, or a pxi.Descent with `random`, "
        "whose steps get a key",
    )


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
        elif name not in ELEMENTWISE or any(aval_of(v).shape != shape for v in eqn.outvars):
            return None
        env.update(zip(eqn.outvars, out, strict=True))
    return [not isinstance(v, jex.Literal) and env.get(v, False) for v in jaxpr.outvars]
