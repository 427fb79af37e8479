"""Mapping over a batch axis, with tracking."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.tree_util as jtu
import numpy as np

from ..core._lift import ABSENT, Mark, Mismatched, commit, marks_for, one_more_vmap, run, vmap_depth
from ..core._param import BaseParam
from ..core._plan import Plan, plan_for
from ..core._random import RKG
from ._args import Transform, spread

class _LaneKey(Mark):
    """The mark of the global key inside a vmap: the first to read it gets a key of its lane's own."""

    __slots__ = ("axis_name", "outside")

    def __init__(self, outside: Any, axis_name: Any) -> None:
        super().__init__(outside._mark)
        self.outside = outside
        self.axis_name = axis_name

    def read(self, param: BaseParam) -> None:
        if not (self.written or self.live):
            super().read(param)
            lanes = jax.random.split(param._value)[1]
            param._value = jax.random.fold_in(lanes, jax.lax.axis_index(self.axis_name))


class Vmap(Transform):
    """A mapped function with tracking; made by `vmap`."""

    def __init__(self, fn: Any, mask: Any, in_axes: Any, out_axes: Any, axis_name: Any) -> None:
        super().__init__("vmap", fn, mask, in_axes, out_axes, axis_name)
        self.mask = mask
        self.in_axes = in_axes
        # By default everything returned is mapped along its first axis, as in jax.vmap.
        self.out_axes = 0 if isinstance(out_axes, tuple) and not out_axes else out_axes
        self.axis_name = axis_name

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        plan = plan_for(kwargs)
        params = plan.params
        axes, raw_axes = spread("vmap", self.mask, kwargs, plan, None)
        axes[0] = None
        self._check_axes(plan, axes, raw_axes)
        in_axes = self._positional_axes(args)
        size = self._size(args, in_axes)
        # A name that tells nested maps apart, and is the same at every call: it is part of what JAX caches by.
        axis_name = self.axis_name if self.axis_name is not None else f"pcx.vmap.{vmap_depth()}"
        key = RKG.key
        if key._value is None:
            key.get()
        marks = marks_for(params)
        marks[0] = _LaneKey(key, axis_name)
        values = [p._value for p in params]
        mapped: dict[int, Any] = {}
        for i, axis in enumerate(axes):
            if axis is None or values[i] is None or values[i] is ABSENT:
                continue
            wrong = _misfit(values[i], axis, size)
            if wrong is None:
                mapped[i] = values[i]
            else:  # perhaps left by a batch of another size: an error only if it is read
                message = (
                    f"{self.named}: {plan.template.param_paths[i]} was read before it was set, and its value of shape "
                    f"{wrong} can't be mapped along axis {axis} over a batch of {size}. Clear it first, or set it"
                )
                marks[i] = Mismatched(params[i]._mark, message)
                values[i] = ABSENT
        mapped_raws = {i: plan.raws[i] for i, axis in enumerate(raw_axes) if axis is not None}
        groups = sorted({a for a in axes if a is not None})

        def body(args: Any, mapped: dict[int, Any], mapped_raws: dict[int, Any]) -> Any:
            inner = list(values)
            for i, value in mapped.items():
                inner[i] = value
            raws = [mapped_raws.get(i, raw) for i, raw in enumerate(plan.raws)]
            with one_more_vmap():
                out = run(plan.template, self.fn, args, inner, raws, plan.facts, marks)
            out.changed.pop(0, None)  # the lanes' keys end with the lanes
            by_axis = [{i: v for i, v in out.changed.items() if axes[i] == a} for a in (*groups, None)]
            return out.result, by_axis

        specs = (in_axes, {i: axes[i] for i in mapped}, {i: raw_axes[i] for i in mapped_raws})
        call = jax.vmap(body, in_axes=specs, out_axes=(self.out_axes, [*groups, None]), axis_name=axis_name)
        outside = key._value
        try:
            result, by_axis = call(tuple(args), mapped, mapped_raws)
        except ValueError as e:
            raise self._explained(e, plan, axes, size) from e
        if marks[0].live:
            key.set(jax.random.split(outside)[0])
        for changed in by_axis:
            commit(params, changed)
        return result

    def _check_axes(self, plan: Plan, axes: list[Any], raw_axes: list[Any]) -> None:
        paths = plan.template.param_paths + plan.template.raw_paths
        for path, axis in zip(paths, axes + raw_axes, strict=True):
            if axis is not None and (isinstance(axis, bool) or not isinstance(axis, int)):
                raise ValueError(
                    f"{self.named}: the mask gives {axis!r} for {path}, expected an axis (an int) or None; "
                    "use pxu.M(...).to((None, 0))"
                )

    def _positional_axes(self, args: Sequence[Any]) -> Any:
        in_axes = self.in_axes
        if in_axes is None or isinstance(in_axes, int):
            return (in_axes,) * len(args)
        if not isinstance(in_axes, (tuple, list)):
            raise TypeError(f"{self.named}: in_axes must be an int, None or a sequence, got {type(in_axes).__name__}")
        if len(in_axes) != len(args):
            raise ValueError(
                f"{self.named}: in_axes={tuple(in_axes)} has {len(in_axes)} entries for {len(args)} positional arguments"
            )
        return tuple(in_axes)

    def _size(self, args: Sequence[Any], in_axes: Sequence[Any]) -> int | None:
        """The size of the mapped axis, if the positional arguments tell; a clear error if they disagree."""
        sizes: dict[int, str] = {}
        for n, (arg, axis) in enumerate(zip(args, in_axes, strict=True)):
            if not (axis is None or isinstance(axis, int)):
                continue  # a tree of axes: left to JAX
            for leaf in jtu.tree_leaves(arg) if axis is not None else ():
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

    def _explained(self, e: ValueError, plan: Plan, axes: list[Any], size: int | None) -> ValueError:
        text = str(e)
        paths = plan.template.param_paths
        if "out_axes" in text and "None" in text:
            unmapped = ", ".join(p for p, a in zip(paths[1:], axes[1:], strict=True) if a is None) or "none"
            return ValueError(
                f"{self.named}: a value that differs over the batch was returned under out_axes None, or set in a param "
                f"that the mask doesn't map (not mapped: {unmapped}). Give it an axis in the mask, as in "
                "pxu.M(pxc.VodeParam).to((None, 0)), or reduce it over the batch first"
            )
        if "at least one non-None value in in_axes" in text or "wasn't mapped" in text:
            return ValueError(f"{self.named}: nothing is mapped: give in_axes, or a mask that maps a param with a value")
        if size is None and "inconsistent sizes" in text:
            return ValueError(f"{self.named}: the tracked params that the mask maps differ in size.\n{text}")
        return e


def _misfit(value: Any, axis: int, size: int | None) -> tuple[int, ...] | None:
    """The shape of the leaf that can't be mapped, or None if all can."""
    for leaf in jtu.tree_leaves(value):
        shape = np.shape(leaf)
        if not -len(shape) <= axis < len(shape) or (size is not None and shape[axis] != size):
            return shape
    return None


def vmap(
    kwargs_mask: Any = {},  # noqa: B006 (never changed; the default shows in help)
    in_axes: int | None | Sequence[Any] = (),
    out_axes: Any = (),
    axis_name: Any = None,
) -> Callable[[Callable[..., Any]], Vmap]:
    """Map a function over a batch axis, with tracking: `pxf.vmap(mask, in_axes, out_axes)(fn)(*args, **objects)`.

    Positional arguments and results are as in `jax.vmap`; None stays None under any axis. Params that the function
    changes are changed in the caller's objects, along the axis that the mask gives them. The global random key is
    split over the lanes if the function uses it, and is one key again afterwards.

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
