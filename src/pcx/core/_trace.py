"""The trace: from a function that changes objects to a pure function on arrays. Every transform stands on `trace`.

The function that a transform wraps runs on copies of the tracked objects, whose params hold the values (tracers, as a
rule) of that run. So nothing that happens inside, an exception included, reaches the caller's objects; what
changed comes back as values, and the transform sets those in the caller's params when all went well.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax.tree_util as jtu

from ._mark import Mark
from ._module import modules
from ._parameter import BaseParam, like
from ._plan import Plan, copies
from ._random import RKG, end_own_key, own_key
from ._skeleton import Skeleton
from ._static import Setting, StaticParam, copies_of, own_statics, set_mark
from ._types import Tree, Value


class Trace:
    """One run of a function on copies of its objects.

    **Attributes:**

    - `result`: what the function returned.
    - `changed`: the new values of the params that it changed, by index.
    - `live`, `live_statics`: indices of the params and of the statics whose value at entry was needed.
    """

    __slots__ = ("changed", "live", "live_statics", "result")

    def __init__(self, result: Value, changed: dict[int, Any], marks: Sequence[Mark], statics: Sequence[Mark]) -> None:
        self.result, self.changed = result, changed
        self.live = [i for i, mark in enumerate(marks) if mark.live]
        self.live_statics = [i for i, mark in enumerate(statics) if mark.live]


def trace(
    skeleton: Skeleton,
    fn: Callable[..., Any],
    args: Sequence[Any],
    values: Sequence[Any],
    raws: Sequence[Any],
    statics: Sequence[StaticParam],
    marks: Sequence[Mark],
) -> Trace:
    """Run `fn(*args, **tracked)` on copies of the tracked objects.

    The global key is no copy but the one object itself (functions reach it by name); this thread holds a value of its
    own for it while the function runs.

    **Arguments:**

    - `skeleton`: of the tracked objects.
    - `values`: what the params of the copies hold; `ABSENT` where nothing is passed in.
    - `raws`: what stands in the places of arrays and numbers.
    - `statics`: the statics of the objects; the copies hold copies of them.
    - `marks`: one for each param, see `marks_for`.
    """
    # A dict can be changed in place by a user who holds it: each run has its own, and remembers what it held.
    own = [jtu.tree_map(_itself, v) if isinstance(v, _CONTAINERS) else v for v in values]
    held = {i: jtu.tree_leaves(v) for i, v in enumerate(own) if isinstance(v, _CONTAINERS)}
    params: list[Any] = [RKG.key]
    for empty, value, mark in zip(skeleton.params[1:], own[1:], marks[1:], strict=True):
        param = like(empty, value)
        param._mark = mark
        params.append(param)
    constants = copies_of(statics, skeleton.deep)
    static_marks = [Mark(s._mark) for s in statics]
    for constant, mark in zip(constants, static_marks, strict=True):
        set_mark(constant, mark)
    before = own_key(own[0], marks[0])
    try:
        result = fn(*own_statics(args), **copies(skeleton, params, raws, constants))
        _read_all(result)
        changed = {}
        for i, (param, value) in enumerate(zip(params, own, strict=True)):
            new = param._value
            if new is not value or (i in held and not _same(held[i], new)):
                changed[i] = new
        return Trace(result, changed, marks, static_marks)
    except TypeError as e:
        _say_what_is_unset(e, skeleton, params)
        raise
    finally:
        end_own_key(before)
        for param in params[1:]:
            param._mark = None
        for constant in constants:
            set_mark(constant, None)


def entry_values(plan: Plan) -> list[Any]:
    """Return what the params of a plan hold at entry of a call, the global key made if it wasn't yet."""
    if RKG.key._value is None:
        RKG.key.get()
    return [p._value for p in plan.params]


def filled(values: Sequence[Any], some: Mapping[int, Any]) -> list[Any]:
    """Return `values` with `some` in their places."""
    new = list(values)
    for i, value in some.items():
        new[i] = value
    return new


def commit(params: Sequence[BaseParam], changed: Mapping[int, Any]) -> None:
    """Set what changed in the caller's params."""
    for i, value in changed.items():
        BaseParam.set(params[i], value)


def _say_what_is_unset(e: TypeError, skeleton: Skeleton, params: list[Any]) -> None:
    """Name the params that held nothing: what is computed with None fails without a word of where that came from."""
    if "NoneType" not in str(e) or any(note.startswith(_UNSET) for note in getattr(e, "__notes__", ())):
        return
    read = [i for i, p in enumerate(params) if p._value is None and p._mark is not None and p._mark.live]
    if read:
        paths = ", ".join(skeleton.param_paths[i] for i in read)
        e.add_note(
            f"{_UNSET} {paths}. A value node has its value from pxu.step(model, pxc.STATUS.INIT), under which it is "
            "set to its prediction, or from vode.set('h', value)"
        )


_UNSET = "Read before it was set, and so None:"
_CONTAINERS = (dict, list, tuple)


def _itself(x: Tree) -> Any:
    return x


def _read_all(result: Value) -> None:
    """Read the tracked objects that are returned: their values, modes and statuses are part of the result."""
    settings = [x for module in modules(result) for x in vars(module).values() if isinstance(x, Setting)]
    for box in [*settings, *jtu.tree_leaves(result, is_leaf=_is_box)]:
        if isinstance(box, StaticParam):
            box.get()
        elif isinstance(box, BaseParam):
            BaseParam.get(box)


def _is_box(x: Tree) -> bool:
    return isinstance(x, BaseParam)


def _same(before: list[Any], value: Value) -> bool:
    after = jtu.tree_leaves(value)
    return len(before) == len(after) and all(a is b for a, b in zip(before, after, strict=True))
