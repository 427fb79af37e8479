"""Derivatives, with tracking."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import jax.tree_util as jtu
import numpy as np

from ..core import (
    BaseParam,
    Copy,
    Mask,
    Plan,
    Tree,
    Value,
    commit,
    entry_values,
    filled,
    like,
    marks_for,
    plan_for,
    trace,
)
from ._args import Transform, broadcast_mask


class ValueAndGrad(Transform):
    """A differentiated function with tracking; made by `value_and_grad`."""

    def __init__(
        self, fn: Callable[..., Any], mask: Mask, argnums: int | Sequence[int], has_aux: bool, reduce_axes: Hashable
    ) -> None:
        super().__init__("value_and_grad", fn, mask, argnums, has_aux, reduce_axes)
        self.mask = mask
        self.argnums = argnums
        self.has_aux = has_aux
        self.reduce_axes = tuple(reduce_axes) if isinstance(reduce_axes, (tuple, list)) else (reduce_axes,)

    def __call__(self, /, *args: Tree, **kwargs: Tree) -> Any:
        plan = plan_for(kwargs)
        params, paths = plan.params, plan.skeleton.param_paths
        chosen, chosen_raws = broadcast_mask("value_and_grad", self.mask, kwargs, plan, False)
        values = entry_values(plan)
        selected: dict[int, Any] = {}
        for i in range(1, plan.n):
            if chosen[i]:
                value = BaseParam.get(params[i])
                if value is not None:
                    self._check_inexact(value, paths[i])
                    selected[i] = value
        # Arrays and numbers beside the params are inputs of the same kind, where a mask selects them.
        raws = {j: x for j, x in enumerate(plan.raws) if chosen_raws[j] and _is_inexact(x)}
        argnums = (self.argnums,) if isinstance(self.argnums, int) else tuple(self.argnums)
        for n in argnums:
            if not -len(args) <= n < len(args):
                raise ValueError(f"{self.named}: argnums names argument {n}, but the call gave {len(args)}")
            self._check_inexact(args[n], f"positional argument {n}")
        argnums = tuple([n % len(args) for n in argnums])
        # The function gets copies of the positional arguments, as under the other transforms: what it sets in them, a
        # tracer perhaps, stays inside.
        args = jtu.tree_map(lambda x: x, args)

        def body(selected: dict[int, Any], chosen_args: tuple[Any, ...], raws: dict[int, Any]) -> Any:
            call_args = filled(args, dict(zip(argnums, chosen_args, strict=True)))
            inner = filled(values, selected)
            out = trace(
                plan.skeleton, self.fn, call_args, inner, filled(plan.raws, raws), plan.statics, marks_for(params)
            )
            value, aux = self._split(out.result)
            # A selected param that the function sets holds the new value afterwards, outside of the derivative.
            return value, (value, aux, out.changed)

        grad = jax.grad(body, argnums=(0, 1, 2), has_aux=True)
        gradients, (value, aux, changed) = grad(selected, tuple(args[n] for n in argnums), raws)
        if self.reduce_axes:
            gradients = jax.lax.psum(gradients, self.reduce_axes)
        grads, arg_grads, raw_grads = gradients
        commit(params, changed)
        boxes = {id(params[i]): like(plan.skeleton.params[i], grads.get(i)) for i in range(1, plan.n) if chosen[i]}
        by_keyword = {name: kwargs[name] for name in sorted(kwargs)}
        if raw_grads:
            by_keyword, places = _one_array_a_place(by_keyword, plan, boxes)
            boxes |= {id(places[plan.skeleton.raw_paths[j]]): g for j, g in raw_grads.items()}
        by_keyword = Copy(lambda x: boxes.get(id(x))).visit(by_keyword)
        if argnums:
            positional = arg_grads[0] if isinstance(self.argnums, int) else arg_grads
            found: Any = positional, by_keyword
        else:
            found = by_keyword
        return ((value, aux), found) if self.has_aux else (value, found)

    def _split(self, result: Value) -> tuple[Any, tuple[Any, ...]]:
        aux: tuple[Any, ...] = ()
        if self.has_aux and isinstance(result, tuple):
            if not result:
                raise TypeError(f"{self.named}: the function returned an empty tuple, expected a scalar first")
            result, aux = result[0], result[1:]
        if result is None or not jtu.all_leaves([result]) or np.shape(result) != ():
            got = f"shape {result.shape}" if result is not None and hasattr(result, "shape") else type(result).__name__
            hint = "" if self.has_aux or not isinstance(result, tuple) else "; pass has_aux=True to return more with it"
            raise TypeError(
                f"{self.named}: the function must return a scalar, got {got}{hint}. Sum or average over the batch first"
            )
        if not jnp.issubdtype(jnp.result_type(result), jnp.floating):
            raise TypeError(f"{self.named}: the scalar must be real floating point, got {jnp.result_type(result)}")
        return result, aux

    def _check_inexact(self, value: Value, path: str) -> None:
        for leaf in jtu.tree_leaves(value):
            try:
                dtype = jnp.result_type(leaf)
            except TypeError:
                raise TypeError(f"{self.named}: {path} is no array and no number: {leaf!r}") from None
            if not jnp.issubdtype(dtype, jnp.inexact):
                raise TypeError(f"{self.named}: {path} has dtype {dtype}, which has no gradient; don't select it")


def _one_array_a_place(
    objects: dict[str, Tree], plan: Plan, boxes: dict[int, BaseParam]
) -> tuple[dict[str, Tree], dict[str, Value]]:
    """Return a copy of tracked objects with an array of its own in each place of one, and these by path: the same array
    may stand in several places, where each has its own gradient. The copy's params are those of `boxes`, which get
    themselves as their boxes."""
    raws = {id(x) for x in plan.raws}
    copy = Copy(lambda x: boxes.get(id(x), np.empty(0) if id(x) in raws else None)).visit(objects)
    boxes |= {id(box): box for box in boxes.values()}
    found = plan_for(copy)
    return copy, dict(zip(found.skeleton.raw_paths, found.raws, strict=True))


def _is_inexact(x: Value) -> bool:
    return isinstance(x, (jax.Array, np.ndarray, np.generic)) and jnp.issubdtype(x.dtype, jnp.inexact)


def value_and_grad(
    kwargs_mask: Mask = {},  # noqa: B006 (never changed; the default shows in help)
    argnums: int | Sequence[int] = (),
    has_aux: bool = False,
    reduce_axes: Hashable | Sequence[Hashable] = (),
) -> Callable[[Callable[..., Any]], ValueAndGrad]:
    """Differentiate a function that returns a scalar, with tracking.

    The transformed function returns `(value, gradients)`, or `((value, aux), gradients)` with `has_aux`, where `aux` is
    the tuple of everything returned after the scalar. `gradients` is a dict by keyword: a copy of the tracked object
    with params that hold the gradients of those selected, and the gradients of selected arrays beside params. None is
    in the place of everything else, and of a second reference to a shared param: its gradient is the sum, at its first
    place. With `argnums` it is `(positional, by_keyword)`.

    **Arguments:**

    - `kwargs_mask`: which params: a mask such as `pxu.M(pxnn.LayerParam).to((False, True))`, or a dict from keyword to
      True, False, a mask, or a tree of True and False like the object (edit it by hand: `mask.vodes[i].h = True`).
    - `argnums`: positional arguments to differentiate for too.
    - `has_aux`: whether the function returns more than the scalar.
    - `reduce_axes`: names of mapped axes over which the gradients are summed.

    **Returns:** a function that takes the function to differentiate and returns it transformed.

    **Raises:** `TypeError` if the function returns no real scalar or a selected value isn't floating point, as in JAX;
    `ValueError` if a mask doesn't fit its object.
    """
    return lambda fn: ValueAndGrad(fn, kwargs_mask, argnums, has_aux, reduce_axes)
