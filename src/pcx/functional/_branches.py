"""Choices, with tracking."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike

from ..core import BaseParam, Tree, commit, entry_values, marks_for, plan_for, trace
from ._args import Transform
from ._probe import Probe, differs


class _Branches(Transform):
    def _select(self, index: ArrayLike, fns: Sequence[Callable[..., Any]], args: Tree, kwargs: dict[str, Any]) -> Any:
        plan = plan_for(kwargs)
        params = plan.params
        values = entry_values(plan)
        probes = [Probe(plan, fn, args, values) for fn in fns]
        moving: dict[int, Any] = {}
        for probe in probes:
            moving.update(probe.changed)
        for probe in probes:
            for i, shape in moving.items():
                # A branch that doesn't set a param passes on what it holds.
                other = probe.changed[i] if i in probe.changed else BaseParam.get(params[i])
                different = differs(other, shape)
                if different:
                    raise ValueError(
                        f"{self.named}: the branches leave {plan.skeleton.param_paths[i]} with different structures, "
                        f"shapes or dtypes: {different}. Set it before, or in every branch"
                    )
            different = differs(probes[0].result, probe.result)
            if different:
                raise TypeError(
                    f"{self.named}: the branches return different structures, shapes or dtypes: {different}"
                )
        for probe in probes:
            for i in probe.live:
                BaseParam.get(params[i])

        def branch(fn: Callable[..., Any]) -> Callable[..., Any]:
            def chosen(args: tuple[Any, ...]) -> Any:
                out = trace(plan.skeleton, fn, args, values, plan.raws, plan.statics, marks_for(params))
                return out.result, {i: out.changed[i] if i in out.changed else values[i] for i in moving}

            return chosen

        result, changed = jax.lax.switch(index, [branch(fn) for fn in fns], tuple(args))
        commit(params, changed)
        return result


class Cond(_Branches):
    """A choice between two functions, with tracking; made by `cond`."""

    def __init__(self, true_fun: Callable[..., Any], false_fun: Callable[..., Any]) -> None:
        super().__init__("cond", true_fun, false_fun)
        if not callable(false_fun):
            raise TypeError(f"{self.named}: false_fun must be a function, got {type(false_fun).__name__}")
        self.false_fun = false_fun

    def __call__(self, pred: ArrayLike, /, *args: Tree, **kwargs: Tree) -> Any:
        if np.shape(pred) != ():
            raise ValueError(f"{self.named}: the predicate must be a scalar, got shape {np.shape(pred)}")
        index = jnp.asarray(pred, bool).astype(jnp.int32)
        return self._select(index, [self.false_fun, self.fn], args, kwargs)


class Switch(_Branches):
    """A choice between functions by index, with tracking; made by `switch`."""

    def __init__(self, branches: Sequence[Any]) -> None:
        if not branches or not all(callable(b) for b in branches):
            raise TypeError("pxf.switch: expected at least one branch, each a function")
        super().__init__("switch", branches[0], *branches[1:])
        self.branches = list(branches)

    def __call__(self, i: ArrayLike, /, *args: Tree, **kwargs: Tree) -> Any:
        if np.shape(i) != () or not jnp.issubdtype(jnp.result_type(i), jnp.integer):
            raise TypeError(f"{self.named}: the index must be an integer scalar, got {i!r}")
        return self._select(i, self.branches, args, kwargs)


def cond(true_fun: Callable[..., Any], false_fun: Callable[..., Any]) -> Cond:
    """Choose between two functions, with tracking: `pxf.cond(true_fun, false_fun)(pred, *args, **objects)`.

    Params that either branch changes are changed in the caller's objects; a branch that doesn't set one leaves it.

    **Arguments:**

    - `true_fun`, `false_fun`: called with `*args, **objects`, as in `jax.lax.cond`.

    **Returns:** a function of a boolean scalar, the positional arguments and the tracked objects, which returns what
    the chosen function does.

    **Raises:** `ValueError` if the branches leave a param with different structures, shapes or dtypes, naming it;
    `TypeError` if their results differ so.
    """
    return Cond(true_fun, false_fun)


def switch(branches: Sequence[Callable[..., Any]]) -> Switch:
    """Choose between functions by index, with tracking: `pxf.switch(branches)(i, *args, **objects)`.

    **Arguments:**

    - `branches`: functions, called with `*args, **objects`, as in `jax.lax.switch`.

    **Returns:** a function of an integer scalar, the positional arguments and the tracked objects, which returns what
    the chosen function does. An index out of range is taken for the nearest.

    **Raises:** `ValueError` if the branches leave a param with different structures, shapes or dtypes, naming it;
    `TypeError` if their results differ so.
    """
    return Switch(branches)
