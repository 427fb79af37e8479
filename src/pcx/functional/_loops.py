"""Loops, with tracking."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
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
    Value,
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

_Values = dict[int, Any]


class Probe:
    """What a trace of a body, thrown away, tells: which params change, to what shapes, and which are needed."""

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

    def __call__(self, *carry: Tree, **kwargs: Tree) -> Any:
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

    def _one_step(self, x: Tree, *carry: Tree, **objects: Tree) -> Any:
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
        _check_carry(self.named, "carry", carry, probe.result[0])
        shapes = {i: (i in probe.live, shape) for i, shape in probe.changed.items()}
        return set(shapes), shapes

    def _check_start(self, plan: Plan, start: _Values, shapes: dict[int, tuple[bool, Any]]) -> None:
        for i, value in start.items():
            if self._steps and differs(value, shapes[i][1], promote=True):
                raise _changes_shape(self.named, plan.skeleton.param_paths[i], value, shapes[i][1])

    def _explained(self, e: TypeError) -> TypeError:
        return TypeError(
            f"{self.named}: the carry, or a param that the function changes, doesn't keep its structure or type "
            f"from step to step.\n{e}"
        )


def _changes_shape(call: str, path: str, before: Value, after: Value) -> ValueError:
    return ValueError(
        f"{call}: {path} holds {described(before)} before the loop and {described(after)} after a step; a value that "
        "the loop carries must keep its structure, shape and dtype. Set or clear it before the loop"
    )


def _check_carry(call: str, name: str, before: Sequence[Any], after: Sequence[Any]) -> None:
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

    def __call__(self, *args: Tree, **kwargs: Tree) -> tuple[Any, ...]:
        plan = plan_for(kwargs)
        params = plan.params
        values = entry_values(plan)
        probe = Probe(plan, self._one_step, args, values)
        _check_carry(self.named, "argument", args, probe.result)
        start = {i: BaseParam.get(params[i]) for i in probe.changed}  # needed: there may be no step at all
        for i, value in start.items():
            if differs(value, probe.changed[i], promote=True):
                raise _changes_shape(self.named, plan.skeleton.param_paths[i], value, probe.changed[i])

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

    def _one_step(self, *args: Tree, **objects: Tree) -> tuple[Any, ...]:
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
