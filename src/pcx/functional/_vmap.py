"""Mapping over a batch axis, with tracking."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from typing import Any, TypeAlias

import jax
import jax.tree_util as jtu
import numpy as np

from ..core import (
    ABSENT,
    BaseParam,
    Mask,
    Mismatched,
    NeedsInput,
    Plan,
    RKGState,
    Tree,
    Value,
    commit,
    entry_values,
    filled,
    marks_for,
    one_more_vmap,
    plan_for,
    trace,
    vmap_depth,
)
from ._args import Transform, spread

Axes: TypeAlias = Tree
"""An axis, None, or a sequence or tree of these."""


class Vmap(Transform):
    """A mapped function with tracking; made by `vmap`."""

    def __init__(self, fn: Callable[..., Any], mask: Mask, in_axes: Axes, out_axes: Axes, axis_name: Hashable) -> None:
        super().__init__("vmap", fn, mask, in_axes, out_axes, axis_name)
        self.mask = mask
        self.in_axes = in_axes
        # By default everything returned is mapped along its first axis, as in jax.vmap.
        self.out_axes = 0 if isinstance(out_axes, tuple) and not out_axes else out_axes
        self.axis_name = axis_name
        # Structures of the tracked objects under which the function was seen to use no random key.
        self._keyless: set[Hashable] = set()

    def __call__(self, *args: Tree, **kwargs: Tree) -> Any:
        plan = plan_for(kwargs)
        structure = plan.skeleton.key
        if structure in self._keyless:
            # Keys for each lane cost as much as a small layer when nothing is compiled: not made until they are needed.
            try:
                return self._map(plan, args, kwargs, with_keys=False)
            except NeedsInput:
                self._keyless.discard(structure)
        return self._map(plan, args, kwargs, with_keys=True)

    def _map(self, plan: Plan, args: Tree, kwargs: Tree, with_keys: bool) -> Any:
        params = plan.params
        axes, raw_axes = spread("vmap", self.mask, kwargs, plan, None)
        axes[0] = None
        self._check_axes(plan, axes, raw_axes)
        in_axes = self._positional_axes(args)
        size = self._size(args, in_axes)
        # A name that tells nested maps apart, and is the same at every call: it is part of what JAX caches by.
        axis_name = self.axis_name if self.axis_name is not None else f"pcx.vmap.{vmap_depth()}"
        values = entry_values(plan)
        marks = marks_for(params)
        if size is None:  # the mapped params tell the size: their values are needed, whatever the function does
            for param, axis in zip(params, axes, strict=True):
                if axis is not None and param._value is not None:
                    BaseParam.get(param)
        # Each lane has random keys of its own, made from the keys of the generators that are not mapped.
        keys = [i for i, p in enumerate(plan.skeleton.params) if isinstance(p, RKGState) and axes[i] is None]
        keys = [i for i in keys if values[i] is not None and values[i] is not ABSENT]
        if not with_keys:
            for i in keys:
                values[i] = ABSENT
            keys = []
        mapped: dict[int, Any] = {}
        for i, axis in enumerate(axes):
            if axis is None or values[i] is None or values[i] is ABSENT:
                continue
            wrong = _misfit(values[i], axis, size)
            if wrong is None:
                mapped[i] = values[i]
            else:  # perhaps left by a batch of another size: an error only if it is read
                message = (
                    f"{self.named}: {plan.skeleton.param_paths[i]} was read before it was set, and its value of shape "
                    f"{wrong} can't be mapped along axis {axis} over a batch of {size}. Clear it first, or set it"
                )
                marks[i] = Mismatched(params[i]._mark, message)
                values[i] = ABSENT
        for i, axis in enumerate(raw_axes):
            wrong = None if axis is None else _misfit(plan.raws[i], axis, size)
            if wrong is not None:
                over = "" if size is None else f" over a batch of {size}"
                raise ValueError(
                    f"{self.named}: {plan.skeleton.raw_paths[i]} has shape {wrong}, which can't be mapped along axis "
                    f"{raw_axes[i]}{over}"
                )
        mapped_raws = {i: plan.raws[i] for i, axis in enumerate(raw_axes) if axis is not None}
        groups = sorted({a for a in axes if a is not None})

        # How far the call has come, for errors: what JAX says before or after the function's own run is about axes.
        progress: dict[str, Any] = {"at": "before", "unmapped": []}

        def body(args: Tree, mapped: dict[int, Any], mapped_raws: dict[int, Any]) -> Any:
            inner = filled(values, mapped)
            for i in keys:
                inner[i] = jax.random.fold_in(jax.random.split(values[i])[1], jax.lax.axis_index(axis_name))
            raws = [mapped_raws.get(i, raw) for i, raw in enumerate(plan.raws)]
            progress["at"] = "inside"
            with one_more_vmap():
                out = trace(plan.skeleton, self.fn, args, inner, raws, plan.statics, marks)
            for i in keys:
                if marks[i].live:
                    out.changed.pop(i, None)  # the lanes' keys end with the lanes
            self._check_changed(plan, axes, out.changed)
            progress["at"], progress["unmapped"] = "after", [i for i in out.changed if axes[i] is None]
            by_axis = [{i: v for i, v in out.changed.items() if axes[i] == a} for a in (*groups, None)]
            return out.result, by_axis

        specs = (in_axes, {i: axes[i] for i in mapped}, {i: raw_axes[i] for i in mapped_raws})
        try:
            call = jax.vmap(body, in_axes=specs, out_axes=(self.out_axes, [*groups, None]), axis_name=axis_name)
            result, by_axis = call(tuple(args), mapped, mapped_raws)
        except (ValueError, TypeError) as e:
            if progress["at"] == "inside":
                raise
            raise self._explained(e, plan, progress, size) from e
        for i in keys:
            if marks[i].live:
                BaseParam.set(params[i], jax.random.split(values[i])[0])
        if with_keys and not any(marks[i].live for i in keys):
            self._keyless.add(plan.skeleton.key)
        for changed in by_axis:
            commit(params, changed)
        return result

    def _check_axes(self, plan: Plan, axes: list[Any], raw_axes: list[Any]) -> None:
        paths = plan.skeleton.param_paths + plan.skeleton.raw_paths
        for path, axis in zip(paths, axes + raw_axes, strict=True):
            if axis is not None and (isinstance(axis, bool) or not isinstance(axis, int)):
                raise ValueError(
                    f"{self.named}: the mask gives {axis!r} for {path}, expected an axis (an int) or None; "
                    "use pxu.M(...).to((None, 0))"
                )

    def _check_changed(self, plan: Plan, axes: list[Any], changed: dict[int, Any]) -> None:
        for i, value in changed.items():
            if axes[i] in (None, 0, -1):
                continue  # fits a value of any shape
            for leaf in jtu.tree_leaves(value):
                ndim = np.ndim(leaf)
                if not -ndim - 1 <= axes[i] <= ndim:
                    raise ValueError(
                        f"{self.named}: the mask maps {plan.skeleton.param_paths[i]} along axis {axes[i]}, but a "
                        f"value of shape {np.shape(leaf)} for each sample was set"
                    )

    def _positional_axes(self, args: Sequence[Any]) -> Any:
        in_axes = self.in_axes
        if in_axes is None or isinstance(in_axes, int):
            return (in_axes,) * len(args)
        if not isinstance(in_axes, (tuple, list)):
            raise TypeError(f"{self.named}: in_axes must be an int, None or a sequence, got {type(in_axes).__name__}")
        if len(in_axes) != len(args):
            raise ValueError(
                f"{self.named}: in_axes={tuple(in_axes)} has {len(in_axes)} entries for {len(args)} positional "
                "arguments"
            )
        return tuple(in_axes)

    def _size(self, args: Sequence[Any], in_axes: Sequence[Any]) -> int | None:
        """The size of the mapped axis, if the positional arguments tell; a clear error if they disagree."""
        sizes: dict[int, str] = {}
        for n, (arg, axis) in enumerate(zip(args, in_axes, strict=True)):
            if not isinstance(axis, int):
                continue  # None; or a tree of axes, which is left to JAX
            for leaf in jtu.tree_leaves(arg):
                shape = np.shape(leaf)
                if not -len(shape) <= axis < len(shape):
                    raise ValueError(
                        f"{self.named}: in_axes maps axis {axis} of positional argument {n}, which has shape {shape}"
                    )
                sizes.setdefault(shape[axis], f"argument {n} of shape {shape} along axis {axis}")
        if len(sizes) > 1:
            got = "; ".join(f"{size} in {where}" for size, where in sizes.items())
            raise ValueError(f"{self.named}: the mapped axes differ in size: {got}")
        return next(iter(sizes), None)

    def _explained(self, e: Exception, plan: Plan, progress: dict[str, Any], size: int | None) -> Exception:
        """What JAX says of the axes, in terms of the user's call."""
        text, kind = str(e), ValueError if isinstance(e, ValueError) else TypeError
        if progress["at"] == "before":
            if "at least one" in text or "wasn't mapped" in text:
                return ValueError(
                    f"{self.named}: nothing is mapped: give in_axes, or a mask that maps a param with a value"
                )
            if size is None and "inconsistent sizes" in text:
                return ValueError(f"{self.named}: the tracked params that the mask maps differ in size.\n{text}")
            axes = f"out_axes={self.out_axes!r}" if "out_axes" in text else f"in_axes={self.in_axes!r}"
            return kind(f"{self.named}: {axes} can't be used with these arguments.\n{text}")
        if "out_axes" in text and "has axis" not in text and "None" in text and "specification" not in text:
            where = []
            if None in jtu.tree_leaves(self.out_axes, is_leaf=lambda x: x is None):
                where.append(f"returned under out_axes={self.out_axes}")
            if progress["unmapped"]:
                paths = ", ".join(plan.skeleton.param_paths[i] for i in progress["unmapped"])
                where.append(f"set in a param that the mask doesn't map ({paths})")
            return ValueError(
                f"{self.named}: a value that differs over the batch was {' or '.join(where)}. Give it an axis, as in "
                "pxu.M(pxc.VodeParam).to((None, 0)), or reduce it over the batch first"
            )
        return kind(f"{self.named}: out_axes={self.out_axes!r} doesn't fit what the function returned.\n{text}")


def _misfit(value: Value, axis: int, size: int | None) -> tuple[int, ...] | None:
    """The shape of the leaf that can't be mapped, or None if all can."""
    for leaf in jtu.tree_leaves(value):
        shape = np.shape(leaf)
        if not -len(shape) <= axis < len(shape) or (size is not None and shape[axis] != size):
            return shape
    return None


def vmap(
    kwargs_mask: Mask = {},  # noqa: B006 (never changed; the default shows in help)
    in_axes: int | Sequence[Any] | None = (),
    out_axes: Axes = (),
    axis_name: Hashable = None,
) -> Callable[[Callable[..., Any]], Vmap]:
    """Map a function over a batch axis, with tracking: `pxf.vmap(mask, in_axes, out_axes)(fn)(*args, **objects)`.

    Positional arguments and results are as in `jax.vmap`; None stays None under any axis. Params that the function
    changes are changed in the caller's objects, along the axis that the mask gives them. A random key that is not
    mapped, as the global one, is split over the lanes if the function uses it, and is one key again afterwards.

    **Arguments:**

    - `kwargs_mask`: each param's axis, in and out: a mask such as `pxu.M(pxc.VodeParam).to((None, 0))`, a callable
      over the dict of tracked objects, or a dict from keyword (or tuple of keywords) to an axis, None, or a mask.
    - `in_axes`: axis or axes of the positional arguments; may be left out if only keywords are mapped.
    - `out_axes`: axis or axes of the result; the first axis, if left out.
    - `axis_name`: a name for collectives such as `jax.lax.psum`.

    **Raises:** `ValueError` if axes don't fit, if a mask doesn't fit its object, or if a param that is not mapped is
    set to a value that differs over the batch.
    """
    return lambda fn: Vmap(fn, kwargs_mask, in_axes, out_axes, axis_name)
