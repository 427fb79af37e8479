"""The axes of `vmap`: which they are, and what is said when they don't fit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import jax.tree_util as jtu
import numpy as np

from ..core import Plan, Tree, Value

Axes: TypeAlias = Tree
"""An axis, None, or a sequence or tree of these."""


def positional_axes(call: str, in_axes: Axes, n: int) -> tuple[Any, ...]:
    """Return the axes of `n` positional arguments, one entry each.

    **Raises:** `TypeError` or `ValueError` for `in_axes` that don't fit their number.
    """
    if in_axes is None or isinstance(in_axes, int):
        return (in_axes,) * n
    if not isinstance(in_axes, (tuple, list)):
        raise TypeError(f"{call}: in_axes must be an int, None or a sequence, got {type(in_axes).__name__}")
    if len(in_axes) != n:
        raise ValueError(f"{call}: in_axes={tuple(in_axes)} has {len(in_axes)} entries for {n} positional arguments")
    return tuple(in_axes)


def batch_size(call: str, args: Sequence[Tree], in_axes: Sequence[Axes]) -> int | None:
    """Return the size of the mapped axis, if the positional arguments tell.

    **Raises:** `ValueError` if they disagree, or lack their axis.
    """
    sizes: dict[int, str] = {}
    for n, (arg, axis) in enumerate(zip(args, in_axes, strict=True)):
        if not isinstance(axis, int):
            continue  # None; or a tree of axes, which is left to JAX
        for leaf in jtu.tree_leaves(arg):
            shape = np.shape(leaf)
            if not -len(shape) <= axis < len(shape):
                raise ValueError(
                    f"{call}: in_axes maps axis {axis} of positional argument {n}, which has shape {shape}"
                )
            sizes.setdefault(shape[axis], f"argument {n} of shape {shape} along axis {axis}")
    if len(sizes) > 1:
        got = "; ".join(f"{size} in {where}" for size, where in sizes.items())
        raise ValueError(f"{call}: the mapped axes differ in size: {got}")
    return next(iter(sizes), None)


def misfit(value: Value, axis: int, size: int | None) -> tuple[int, ...] | None:
    """Return the shape of an array in `value` that can't be mapped along `axis`, or None if all can."""
    for leaf in jtu.tree_leaves(value):
        shape = np.shape(leaf)
        if not -len(shape) <= axis < len(shape) or (size is not None and shape[axis] != size):
            return shape
    return None


def check_mask(call: str, plan: Plan, axes: Sequence[Axes], raw_axes: Sequence[Axes]) -> None:
    """Refuse a mask that gives something else than axes.

    **Raises:** `ValueError`, naming the param.
    """
    paths = plan.skeleton.param_paths + plan.skeleton.raw_paths
    for path, axis in zip(paths, [*axes, *raw_axes], strict=True):
        if axis is not None and (isinstance(axis, bool) or not isinstance(axis, int)):
            raise ValueError(
                f"{call}: the mask gives {axis!r} for {path}, expected an axis (an int) or None; "
                "use pxu.M(...).to((None, 0))"
            )


def check_raws(call: str, plan: Plan, raw_axes: Sequence[Any], size: int | None) -> None:
    """Refuse arrays of the tracked objects that can't be mapped.

    **Raises:** `ValueError`, naming the array.
    """
    for path, raw, axis in zip(plan.skeleton.raw_paths, plan.raws, raw_axes, strict=True):
        wrong = None if axis is None else misfit(raw, axis, size)
        if wrong is not None:
            over = "" if size is None else f" over a batch of {size}"
            raise ValueError(f"{call}: {path} has shape {wrong}, which can't be mapped along axis {axis}{over}")


def check_changed(call: str, plan: Plan, axes: Sequence[Any], changed: Mapping[int, Value]) -> None:
    """Refuse values for one sample that have no place for the axis along which their param is mapped.

    **Raises:** `ValueError`, naming the param.
    """
    for i, value in changed.items():
        axis = axes[i]
        if axis in (None, 0, -1):
            continue  # fits a value of any shape
        for leaf in jtu.tree_leaves(value):
            if not -np.ndim(leaf) - 1 <= axis <= np.ndim(leaf):
                raise ValueError(
                    f"{call}: the mask maps {plan.skeleton.param_paths[i]} along axis {axis}, but a value of shape "
                    f"{np.shape(leaf)} for each sample was set"
                )


def unread(call: str, path: str, shape: tuple[int, ...], axis: int, size: int | None) -> str:
    """Return what is said where a value that can't be mapped is read after all."""
    return (
        f"{call}: {path} was read before it was set, and its value of shape {shape} can't be mapped along axis {axis} "
        f"over a batch of {size}. Clear it first, or set it"
    )


def reworded_before(call: str, e: Exception, in_axes: Axes, out_axes: Axes, size: int | None) -> Exception:
    """Return what JAX says of the axes before the function runs, in terms of the user's call."""
    text = str(e)
    if "at least one" in text or "wasn't mapped" in text:
        return ValueError(f"{call}: nothing is mapped: give in_axes, or a mask that maps a param with a value")
    if size is None and "inconsistent sizes" in text:
        return ValueError(f"{call}: the tracked params that the mask maps differ in size.\n{text}")
    axes = f"out_axes={out_axes!r}" if "out_axes" in text else f"in_axes={in_axes!r}"
    return _like(e)(f"{call}: {axes} can't be used with these arguments.\n{text}")


def reworded_after(call: str, e: Exception, out_axes: Axes, unmapped: Sequence[str]) -> Exception:
    """Return what JAX says of the axes after the function ran, in terms of the user's call.

    **Arguments:**

    - `unmapped`: paths of the params that the function set and the mask doesn't map.
    """
    text = str(e)
    if "out_axes" in text and "has axis" not in text and "None" in text and "specification" not in text:
        where = []
        if None in jtu.tree_leaves(out_axes, is_leaf=lambda x: x is None):
            where.append(f"returned under out_axes={out_axes}")
        if unmapped:
            where.append(f"set in a param that the mask doesn't map ({', '.join(unmapped)})")
        return ValueError(
            f"{call}: a value that differs over the batch was {' or '.join(where)}. Give it an axis, as in "
            "pxu.M(pxc.VodeParam).to((None, 0)), or reduce it over the batch first"
        )
    return _like(e)(f"{call}: out_axes={out_axes!r} doesn't fit what the function returned.\n{text}")


def _like(e: Exception) -> type[Exception]:
    return ValueError if isinstance(e, ValueError) else TypeError
