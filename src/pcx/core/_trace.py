"""The lift: from a function that changes objects to a pure function on arrays. Every transform stands on `run`.

The function that a transform wraps runs on copies of the tracked objects, whose params hold the values (tracers, as a
rule) of that run. So nothing that happens inside, an exception included, reaches the caller's objects; what
changed comes back as values, and the transform sets those in the caller's params when all went well.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import jax.tree_util as jtu

from ._module import FACTS, known, modules
from ._parameter import BaseParam, like
from ._plan import copies
from ._random import RKG, hold, let_go
from ._skeleton import Skeleton


class _Absent:
    """Stands for the value of a param that was not passed in."""

    def __repr__(self) -> str:
        return "<not passed in>"


ABSENT: Any = _Absent()


class NeedsInput(BaseException):
    """A param was read whose value was not passed in, as no earlier trace had needed it. Never leaves a transform."""


class Mark:
    """What a run learns of one param: was its value at entry needed, and was it written?"""

    __slots__ = ("live", "parent", "written")

    def __init__(self, parent: Mark | None) -> None:
        self.parent = parent
        self.live = False  # read before it was written: the value at entry is part of what is computed
        self.written = False

    def read(self, param: BaseParam) -> None:
        if self.written or self.live:
            return
        if self.parent is not None:
            # The value came from a param of the function outside, which so reads it as well.
            self.parent.read_through()
        if param._value is ABSENT:
            self.absent(param)
        self.live = True

    def read_through(self) -> None:
        if not (self.written or self.live):
            if self.parent is not None:
                self.parent.read_through()
            self.live = True

    def absent(self, param: BaseParam) -> None:
        raise NeedsInput


class Mismatched(Mark):
    """The mark of a param whose value could not be mapped; reading it before it is set is the user's error."""

    __slots__ = ("message",)

    def __init__(self, parent: Mark | None, message: str) -> None:
        super().__init__(parent)
        self.message = message

    def absent(self, param: BaseParam) -> None:
        raise ValueError(self.message)


class Trace:
    """What came of one run: the function's result, the params that changed, and the marks."""

    __slots__ = ("changed", "marks", "result")

    def __init__(self, result: Any, changed: dict[int, Any], marks: list[Mark]) -> None:
        self.result, self.changed, self.marks = result, changed, marks

    @property
    def live(self) -> list[int]:
        """Indices of the params whose value at entry was needed."""
        return [i for i, mark in enumerate(self.marks) if mark.live]


def trace(
    skeleton: Skeleton,
    fn: Callable[..., Any],
    args: Sequence[Any],
    values: Sequence[Any],
    raws: Sequence[Any],
    facts: Sequence[Any],
    marks: list[Mark],
) -> Trace:
    """Trace `fn(*args, **tracked)` on copies of the tracked objects that hold `values`.

    The global key is no copy but the one object itself (functions reach it by name); this thread holds a value of its
    own for it while the function runs.
    """
    # A dict can be changed in place by a user who holds it: each run has its own, and remembers what it held.
    own = [jtu.tree_map(_itself, v) if isinstance(v, _CONTAINERS) else v for v in values]
    held = {i: jtu.tree_leaves(v) for i, v in enumerate(own) if isinstance(v, _CONTAINERS)}
    key = RKG.key
    params: list[Any] = [key]
    before = hold(own[0], marks[0])
    for empty, value, mark in zip(skeleton.params[1:], own[1:], marks[1:], strict=True):
        param = like(empty, value)
        param._mark = mark
        params.append(param)
    try:
        result = fn(*args, **copies(skeleton, params, raws, facts))
        _settle(result)
        changed = {}
        for i, (param, value) in enumerate(zip(params, own, strict=True)):
            new = param._value
            if new is not value or (i in held and not _same(held[i], new)):
                changed[i] = new
        return Trace(result, changed, marks)
    except TypeError as e:
        _say_what_is_unset(e, skeleton, params)
        raise
    finally:
        let_go(before)
        for param in params[1:]:
            param._mark = None


def _say_what_is_unset(e: TypeError, skeleton: Skeleton, params: list[Any]) -> None:
    """A param that holds nothing gives None, and what is computed with it fails without a word of where that came
    from: say so."""
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


def _itself(x: Any) -> Any:
    return x


def _settle(result: Any) -> None:
    """A tracked object that is returned is read: its values, modes and statuses are part of the result."""
    for module in modules(result):
        attributes = vars(module)
        for name in FACTS & attributes.keys():
            attributes[name] = known(attributes[name])
    for leaf in jtu.tree_leaves(result, is_leaf=_is_param):
        if _is_param(leaf):
            BaseParam.get(leaf)


def _is_param(x: Any) -> bool:
    return isinstance(x, BaseParam)


def _same(before: list[Any], value: Any) -> bool:
    after = jtu.tree_leaves(value)
    return len(before) == len(after) and all(a is b for a, b in zip(before, after, strict=True))


def marks_for(params: Sequence[BaseParam]) -> list[Mark]:
    """Fresh marks for the copies of `params`, each pointing to the mark of the run outside, if there is one."""
    return [Mark(p._mark) for p in params]


def commit(params: Sequence[BaseParam], changed: dict[int, Any]) -> None:
    """Set what changed in the caller's params."""
    for i, value in changed.items():
        BaseParam.set(params[i], value)
