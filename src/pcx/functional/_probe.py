"""A trace of a loop's or a branch's body that is thrown away: what it changes, and whether that fits."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import jax.tree_util as jtu
import numpy as np

from ..core import Plan, Trace, Tree, Value, marks_for, trace


class Probe:
    """The findings of a trace of a body, thrown away: which params change, to what shapes, and which are needed."""

    def __init__(self, plan: Plan, fn: Callable[..., Any], args: Sequence[Any], values: Sequence[Any]) -> None:
        self.live: set[int] = set()

        def traced(args: Tree) -> Any:
            # The marks have no parents: what this trace reads, the real one will read again.
            marks = marks_for(plan.skeleton.params)
            out: Trace = trace(plan.skeleton, fn, args, values, plan.raws, plan.statics, marks)
            self.live.update(out.live)
            return out.result, out.changed

        self.result, self.changed = jax.eval_shape(traced, tuple(args))


def differs(before: Value, after: Value, promote: bool = False) -> str | None:
    """Return how two values differ in structure, shape or dtype, in words; None if they don't. With `promote`, a weakly
    typed number may be followed by one of a dtype that it can take on, as in JAX's loops."""
    if jtu.tree_structure(before) != jtu.tree_structure(after):
        return f"{described(before)} and {described(after)}"
    for one, two in zip(jtu.tree_leaves(before), jtu.tree_leaves(after), strict=True):
        dtype = _dtype(two)
        same = _dtype(one) == dtype or (promote and _is_weak(one) and jnp.result_type(one, two) == dtype)
        if np.shape(one) != np.shape(two) or not same:
            return f"{described(before)} and {described(after)}"
    return None


def _dtype(x: Tree) -> Any:
    try:
        return jnp.result_type(x)
    except TypeError:  # no array: the transforms of JAX say so
        return type(x).__name__


def _is_weak(x: Tree) -> bool:
    return type(x) in (int, float, complex) or bool(getattr(x, "weak_type", False))


def described(x: Tree) -> str:
    """Return the structure of a value, with dtypes and shapes, for errors."""
    shapes = jtu.tree_map(lambda v: _Shown(f"{_dtype(v)}{list(np.shape(v))}"), x)
    return repr(shapes)


class _Shown(str):
    """A text that shows without quotes."""

    __slots__ = ()
    __repr__ = str.__str__


def check_params(call: str, plan: Plan, before: Mapping[int, Value], after: Mapping[int, Value]) -> None:
    """Refuse params that a step of a loop changes in structure, shape or dtype.

    **Arguments:**

    - `before`, `after`: by place in the plan, what they hold at entry, and the shapes of what they hold after a step.

    **Raises:** `ValueError`, naming the param.
    """
    for i, value in before.items():
        if differs(value, after[i], promote=True):
            raise ValueError(
                f"{call}: {plan.skeleton.param_paths[i]} holds {described(value)} before the loop and "
                f"{described(after[i])} after a step; a value that the loop carries must keep its structure, shape and "
                "dtype. Set or clear it before the loop"
            )


def check_carry(call: str, name: str, before: Sequence[Any], after: Sequence[Any]) -> None:
    """Refuse a carry that a step changes in number, structure, shape or dtype.

    **Arguments:**

    - `name`: what the values are called, for errors.

    **Raises:** `TypeError`, naming the value by its number.
    """
    if len(before) != len(after):
        raise TypeError(
            f"{call}: the function was given {len(before)} values as {name} and returned {len(after)}; it must return "
            "as many"
        )
    for n, (old, new) in enumerate(zip(before, after, strict=True)):
        different = differs(old, new, promote=True)
        if different:
            raise TypeError(
                f"{call}: {name} {n} doesn't keep its structure, shape and dtype: before and after a step it is "
                f"{different}"
            )
