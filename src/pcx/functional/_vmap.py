"""Mapping over a batch axis, with tracking."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from typing import Any

import jax

from ..core import (
    ABSENT,
    BaseParam,
    Mark,
    Mask,
    Mismatched,
    NeedsInput,
    Plan,
    RKGState,
    Tree,
    commit,
    entry_values,
    filled,
    marks_for,
    one_more_vmap,
    plan_for,
    trace,
    vmap_depth,
)
from ._args import Transform, broadcast_mask
from ._axes import (
    Axes,
    batch_size,
    check_changed,
    check_mask,
    check_raws,
    misfit,
    positional_axes,
    reworded_after,
    reworded_before,
    unread,
)


class Vmap(Transform):
    """A mapped function with tracking; made by `vmap`."""

    def __init__(
        self, fn: Callable[..., Any], mask: Mask, in_axes: Axes, out_axes: Axes, axis_name: Hashable | None
    ) -> None:
        super().__init__("vmap", fn, mask, in_axes, out_axes, axis_name)
        self.mask = mask
        self.in_axes = in_axes
        # By default everything returned is mapped along its first axis, as in jax.vmap.
        self.out_axes = 0 if isinstance(out_axes, tuple) and not out_axes else out_axes
        self.axis_name = axis_name
        # Structures of the tracked objects under which the function was seen to use no random key.
        self._keyless: set[Hashable] = set()

    def __call__(self, /, *args: Tree, **kwargs: Tree) -> Any:
        plan = plan_for(kwargs)
        structure = plan.skeleton.key
        if structure in self._keyless:
            # Keys for each lane cost as much as a small layer when nothing is compiled: not made until they are needed.
            try:
                return self._map(plan, args, kwargs, with_keys=False)
            except NeedsInput:
                self._keyless.discard(structure)
        return self._map(plan, args, kwargs, with_keys=True)

    def _map(self, plan: Plan, args: tuple[Tree, ...], kwargs: dict[str, Tree], with_keys: bool) -> Any:
        axes, raw_axes = broadcast_mask("vmap", self.mask, kwargs, plan, None)
        axes[0] = None
        check_mask(self.named, plan, axes, raw_axes)
        in_axes = positional_axes(self.named, self.in_axes, len(args))
        size = batch_size(self.named, args, in_axes)
        check_raws(self.named, plan, raw_axes, size)
        values, marks = self._entry(plan, axes, size)
        # Each lane has random keys of its own, made from the keys of the generators that are not mapped.
        keys = [i for i, p in enumerate(plan.skeleton.params) if isinstance(p, RKGState) and axes[i] is None]
        keys = [i for i in keys if values[i] is not None and values[i] is not ABSENT]
        if not with_keys:
            values, keys = filled(values, dict.fromkeys(keys, ABSENT)), []
        is_mapped = [a is not None and v is not None and v is not ABSENT for a, v in zip(axes, values, strict=True)]
        mapped = {i: values[i] for i, yes in enumerate(is_mapped) if yes}
        mapped_raws = {i: plan.raws[i] for i, axis in enumerate(raw_axes) if axis is not None}
        groups = [*sorted({a for a in axes if a is not None}), None]
        # A name that tells nested maps apart, and is the same at every call: it is part of what JAX caches by.
        axis_name = self.axis_name if self.axis_name is not None else f"pcx.vmap.{vmap_depth()}"
        ran: list[list[str]] | None = None  # for errors: what JAX says before or after the function runs is about axes

        def body(args: tuple[Tree, ...], mapped: dict[int, Any], mapped_raws: dict[int, Any]) -> Any:
            nonlocal ran
            ran = []
            lane = {i: _of_this_lane(values[i], axis_name) for i in keys}
            inner, raws = filled(values, {**mapped, **lane}), filled(plan.raws, mapped_raws)
            with one_more_vmap():
                out = trace(plan.skeleton, self.fn, args, inner, raws, plan.statics, marks)
            used = [i for i in keys if marks[i].live or i in out.changed]
            ends = {i: out.changed.pop(i, lane[i]) for i in used}
            check_changed(self.named, plan, axes, out.changed)
            ran.append([plan.skeleton.param_paths[i] for i in out.changed if axes[i] is None])
            return out.result, [{i: v for i, v in out.changed.items() if axes[i] == a} for a in groups], ends

        specs = (in_axes, {i: axes[i] for i in mapped}, {i: raw_axes[i] for i in mapped_raws})
        try:
            call = jax.vmap(body, in_axes=specs, out_axes=(self.out_axes, groups, 0), axis_name=axis_name)
            result, by_axis, ends = call(args, mapped, mapped_raws)
        except (ValueError, TypeError) as e:
            if ran is None:
                raise reworded_before(self.named, e, self.in_axes, self.out_axes, size) from e
            if not ran:
                raise
            raise reworded_after(self.named, e, self.out_axes, ran[0]) from e
        if with_keys and not ends:
            self._keyless.add(plan.skeleton.key)
        for i, keys_of_lanes in ends.items():
            # The first lane's goes on: it was given to no other, and is the seed's where the lanes were seeded.
            if len(keys_of_lanes):
                BaseParam.set(plan.params[i], keys_of_lanes[0])
        for changed in by_axis:
            commit(plan.params, changed)
        return result

    def _entry(self, plan: Plan, axes: Sequence[Any], size: int | None) -> tuple[list[Any], list[Mark]]:
        """Return what the params hold, and their marks. What can't be mapped, perhaps left by a batch of another size,
        is not passed in: an error only if it is read."""
        values, marks = entry_values(plan), marks_for(plan.params)
        for i, (param, axis) in enumerate(zip(plan.params, axes, strict=True)):
            if axis is None or values[i] is None:
                continue
            if size is None:  # the mapped params tell the size: their values are needed, whatever the function does
                BaseParam.get(param)
            wrong = None if values[i] is ABSENT else misfit(values[i], axis, size)
            if wrong is not None:
                path = plan.skeleton.param_paths[i]
                marks[i] = Mismatched(param._mark, unread(self.named, path, wrong, axis, size))
                values[i] = ABSENT
        return values, marks


def _of_this_lane(key: jax.Array, axis_name: Hashable) -> jax.Array:
    """Return the key of the lane that asks: as if `RandomKeyGenerator` had given one to each."""
    n = jax.lax.psum(1, axis_name)
    return jax.random.split(key, n + 1)[jax.lax.axis_index(axis_name) + 1]


def vmap(
    kwargs_mask: Mask = {},  # noqa: B006 (never changed; the default shows in help)
    in_axes: int | Sequence[Any] | None = (),
    out_axes: Axes = (),
    axis_name: Hashable = None,
) -> Callable[[Callable[..., Any]], Vmap]:
    """Map a function over a batch axis, with tracking: `pxf.vmap(mask, in_axes, out_axes)(fn)(*args, **objects)`.

    Positional arguments and results are as in `jax.vmap`; None stays None under any axis. Params that the function
    changes are changed in the caller's objects, along the axis that the mask gives them. A random key that is not
    mapped, as the global one, is split over the lanes if the function uses it, and is one key again afterwards: that of
    the first lane, so that what the function seeds stays seeded.

    **Arguments:**

    - `kwargs_mask`: each param's axis, in and out: a mask such as `pxu.M(pxc.VodeParam).to((None, 0))`, a callable
      over the dict of tracked objects, or a dict from keyword (or tuple of keywords) to an axis, None, or a mask.
    - `in_axes`: axis or axes of the positional arguments; may be left out if only keywords are mapped.
    - `out_axes`: axis or axes of the result; the first axis, if left out.
    - `axis_name`: a name for collectives such as `jax.lax.psum`.

    **Returns:** a function that takes the function to map and returns it mapped.

    **Raises:** `ValueError` if axes don't fit, if a mask doesn't fit its object, or if a param that is not mapped is
    set to a value that differs over the batch.
    """
    return lambda fn: Vmap(fn, kwargs_mask, in_axes, out_axes, axis_name)
