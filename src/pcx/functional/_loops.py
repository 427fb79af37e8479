"""Loops, with tracking."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Any

import jax
import jax.numpy as jnp
import jax.tree_util as jtu
import numpy as np

from ..core import (
    BaseParam,
    Plan,
    Trace,
    Tree,
    commit,
    entry_values,
    filled,
    function_key,
    marks_for,
    plan_for,
    static_key,
    trace,
)
from ._args import Transform
from ._probe import Probe, check_carry, check_params

_Values = dict[int, Any]


class Scan(Transform):
    """A loop of fixed length with tracking; made by `scan`."""

    def __init__(self, fn: Callable[..., Any], xs: Tree, length: int | None, reverse: bool, unroll: int | bool) -> None:
        super().__init__("scan", fn)
        self.xs, self.length, self.reverse, self.unroll = xs, length, reverse, unroll
        if length is not None and (not isinstance(length, (int, np.integer)) or length < 0):
            raise ValueError(f"{self.named}: length must be an integer of at least 0, got {length!r}")
        lengths = {np.shape(x)[:1] for x in jtu.tree_leaves(xs)}
        if () in lengths or len(lengths) > 1:
            raise ValueError(
                f"{self.named}: the arrays in xs must share their first axis, got shapes "
                f"{[np.shape(x) for x in jtu.tree_leaves(xs)]}"
            )
        if not lengths and length is None:
            raise ValueError(f"{self.named}: give xs or length")
        self._steps = next(iter(lengths))[0] if lengths else length
        if length is not None and self._steps != length:
            raise ValueError(f"{self.named}: length={length}, but xs has {self._steps} steps")

    def __static_key__(self) -> tuple[Hashable, ...]:
        leaves, treedef = jtu.tree_flatten(self.xs)
        data = static_key((leaves, treedef, self.length, self.reverse, self.unroll))
        return (self._call, function_key(self.fn), data)

    def __call__(self, /, *carry: Tree, **kwargs: Tree) -> Any:
        plan = plan_for(kwargs)
        params = plan.params
        values = entry_values(plan)
        x0 = jtu.tree_map(lambda x: jax.ShapeDtypeStruct(np.shape(x)[1:], jnp.result_type(x)), self.xs)
        moving, changed_shapes = self._what_moves(plan, x0, carry, values)
        start: _Values = {}
        for i, (live, shape) in changed_shapes.items():
            if live:
                start[i] = BaseParam.get(params[i])
            else:  # set before it is read, in every step: what it held before has no part in the loop
                start[i] = jtu.tree_map(lambda s: jnp.zeros(s.shape, s.dtype), shape)
        self._check_start(plan, start, changed_shapes)

        def body(state: tuple[tuple[Any, ...], _Values], x: Tree) -> Any:
            carry, tracked = state
            # A changing param's value at entry is the loop's, not the caller's: it has no mark outside.
            marks = marks_for([plan.skeleton.params[i] if i in moving else p for i, p in enumerate(params)])
            out = trace(
                plan.skeleton, self._one_step, (x, *carry), filled(values, tracked), plan.raws, plan.statics, marks
            )
            new_carry, y = out.result
            return (new_carry, {i: out.changed.get(i, tracked[i]) for i in tracked}), y

        try:
            (carry, tracked), ys = jax.lax.scan(
                body, (carry, start), self.xs, length=self.length, reverse=self.reverse, unroll=self.unroll
            )
        except TypeError as e:
            if "carry" not in str(e):
                raise
            raise self._explained(e) from e
        if self._steps:
            commit(params, tracked)
        return carry, ys

    def _one_step(self, x: Tree, /, *carry: Tree, **objects: Tree) -> Any:
        out = self.fn(x, *carry, **objects)
        if not isinstance(out, tuple) or len(out) != 2:
            raise TypeError(f"{self.named}: the function must return (carry, y), got {type(out).__name__}")
        new, y = out
        if new is None and not carry:
            new = ()
        return (new if isinstance(new, tuple) else (new,)), y

    def _what_moves(
        self, plan: Plan, x0: Tree, carry: tuple[Any, ...], values: list[Any]
    ) -> tuple[set[int], dict[int, tuple[bool, Any]]]:
        """Return the params that change in the loop; and for each whether its value at entry is needed, and its shapes
        after."""
        probe = Probe(plan, self._one_step, (x0, *carry), values)
        check_carry(self.named, "carry", carry, probe.result[0])
        shapes = {i: (i in probe.live, shape) for i, shape in probe.changed.items()}
        return set(shapes), shapes

    def _check_start(self, plan: Plan, start: _Values, shapes: dict[int, tuple[bool, Any]]) -> None:
        if self._steps:
            check_params(self.named, plan, start, {i: shape for i, (_, shape) in shapes.items()})

    def _explained(self, e: TypeError) -> TypeError:
        return TypeError(
            f"{self.named}: the carry, or a param that the function changes, doesn't keep its structure or type "
            f"from step to step.\n{e}"
        )


def scan(
    f: Callable[..., Any], xs: Tree = None, length: int | None = None, reverse: bool = False, unroll: int | bool = 1
) -> Scan:
    """Loop a fixed number of times, with tracking: `pxf.scan(f, xs)(*carry, **objects) -> (carry tuple, ys)`.

    `f(x, *carry, **objects)` returns `(new carry, y)`. Params that it changes are carried from step to step and changed
    in the caller's objects at the end; all others are constants of the loop. Compile time doesn't grow with the length.

    **Arguments:**

    - `f`: the body; it may return a single carry without a tuple around it.
    - `xs`: pytree of arrays, sliced along their first axis, of size `length`; or None, and then `length` is needed.
    - `length`, `reverse`, `unroll`: as in `jax.lax.scan`.

    **Returns:** a function of the carry and the tracked objects, which returns the last carry, a tuple, and the y of
    all steps, stacked along a first axis of size `length`.

    **Raises:** `ValueError` if a param that is read at entry changes its structure, shape or dtype in a step, naming
    it; `TypeError` if the carry does.
    """
    return Scan(f, xs, length, reverse, unroll)


class WhileLoop(Transform):
    """A loop until a condition fails, with tracking; made by `while_loop`."""

    def __init__(self, fn: Callable[..., Any], cond_fun: Callable[..., Any]) -> None:
        super().__init__("while_loop", fn, cond_fun)
        if not callable(cond_fun):
            raise TypeError(f"{self.named}: cond_fun must be a function, got {type(cond_fun).__name__}")
        self.cond_fun = cond_fun

    def __call__(self, /, *args: Tree, **kwargs: Tree) -> tuple[Any, ...]:
        plan = plan_for(kwargs)
        params = plan.params
        values = entry_values(plan)
        probe = Probe(plan, self._one_step, args, values)
        check_carry(self.named, "argument", args, probe.result)
        start = {i: BaseParam.get(params[i]) for i in probe.changed}  # needed: there may be no step at all
        check_params(self.named, plan, start, probe.changed)

        def traced(fn: Callable[..., Any], state: tuple[tuple[Any, ...], _Values]) -> Trace:
            marks = marks_for([plan.skeleton.params[i] if i in start else p for i, p in enumerate(params)])
            return trace(plan.skeleton, fn, state[0], filled(values, state[1]), plan.raws, plan.statics, marks)

        def cond(state: Tree) -> Any:
            going = traced(self.cond_fun, state).result
            if np.shape(going) != ():
                raise ValueError(f"{self.named}: cond_fun must return a scalar, got shape {np.shape(going)}")
            if going is None or jnp.result_type(going) != jnp.bool_:
                got = "None" if going is None else jnp.result_type(going)
                raise TypeError(f"{self.named}: cond_fun must return a boolean, got {got}")
            return going

        def body(state: Tree) -> Any:
            out = traced(self._one_step, state)
            return out.result, {i: out.changed.get(i, v) for i, v in state[1].items()}

        args, tracked = jax.lax.while_loop(cond, body, (args, start))
        commit(params, tracked)
        return args

    def _one_step(self, /, *args: Tree, **objects: Tree) -> tuple[Any, ...]:
        out = self.fn(*args, **objects)
        if out is None and not args:
            return ()
        return out if isinstance(out, tuple) else (out,)


def while_loop(f: Callable[..., Any], cond_fun: Callable[..., Any]) -> WhileLoop:
    """Loop until a condition fails, with tracking: `pxf.while_loop(f, cond_fun)(*args, **objects) -> args tuple`.

    Params that `f` changes are carried from step to step and changed in the caller's objects at the end.

    **Arguments:**

    - `f`: the body, `f(*args, **objects)`; it returns the next args.
    - `cond_fun`: `cond_fun(*args, **objects)` returns a boolean scalar: whether to go on.

    **Returns:** a function of the args and the tracked objects, which returns the last args, a tuple.

    **Raises:** `ValueError` if a param changes its structure, shape or dtype in a step (None to an array included),
    naming it; `TypeError` if an argument does, or if `cond_fun` returns no boolean.
    """
    return WhileLoop(f, cond_fun)
