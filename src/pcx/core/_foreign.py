"""Params that a traced function reaches by another way than through its objects: a global, a closure, a bound method.

Their values are constants of what is traced, so they would not learn; and what is set in them is a tracer that is left
behind. Both are noticed while the function is traced.
"""

from __future__ import annotations

import contextlib
import threading
import weakref
from collections.abc import Callable, Iterator
from typing import Any

import jax.tree_util as jtu
from jax.core import Tracer

from ._parameter import BaseParam, watchers
from ._types import Value


class _Watcher:
    """The uses of params that are no copies of this trace's objects, in the thread that traces."""

    def __init__(self) -> None:
        self.thread = threading.get_ident()
        self.reads: dict[int, weakref.ref[BaseParam]] = {}
        self.writes: dict[int, tuple[weakref.ref[BaseParam], Any]] = {}

    def read(self, param: BaseParam) -> None:
        """Note that a param is read."""
        if self.thread == threading.get_ident() and not _is_traced(param._value) and id(param) not in self.writes:
            self.reads[id(param)] = weakref.ref(param)

    def written(self, param: BaseParam) -> None:
        """Note that a param is about to be set."""
        if self.thread == threading.get_ident() and id(param) not in self.writes:
            self.writes[id(param)] = weakref.ref(param), param._value


@contextlib.contextmanager
def no_foreign_params(learns: Callable[[BaseParam], bool]) -> Iterator[None]:
    """Refuse what is traced in here if it reads a param that learns, or sets any, which is not among its objects.

    Params that were made in there and are gone afterwards are its own. What was set is set back.

    **Arguments:**

    - `learns`: whether a param is one that learns.

    **Raises:** `TypeError` with the kind of the param and its shape.
    """
    watcher = _Watcher()
    watchers.append(watcher)
    error: Exception | None = None
    try:
        yield
    except TypeError as e:  # what is set elsewhere may be missed here: that is told first
        error = e
    finally:
        watchers.remove(watcher)
        left = [(p, old) for ref, old in watcher.writes.values() if (p := ref()) is not None and _is_traced(p._value)]
        for param, old in left:
            param._value = old
    if left:
        raise TypeError(
            f"the model's call sets a {type(left[0][0]).__qualname__} that is no part of the model as rules see it: "
            f"one that the call reaches through {_WAYS}. {_REMEDY}"
        ) from error
    if error is not None:
        raise error
    for ref in watcher.reads.values():
        param = ref()
        if param is not None and param._value is not None and not param._facts.get("frozen") and learns(param):
            raise TypeError(
                f"the model's call reads a {_described(param)} that would not learn, because rules don't see it as a "
                f"part of the model: the call reaches it through {_WAYS}. {_REMEDY}. If it is a constant, mark it "
                "`frozen = True`"
            )


def watching() -> bool:
    """Return whether this thread traces a model for a rule, so that a param without a mark is none of the model's."""
    return any(watcher.thread == threading.get_ident() for watcher in watchers)


_WAYS = "a global variable, or through a function that holds it or holds the model (a lambda, a bound method)"
_REMEDY = "Make its module an attribute of the model, and use it as `self.name` in the model's methods"


def _described(param: BaseParam) -> str:
    facts = "".join(f", {k}={v}" for k, v in param._facts.items())
    leaves = [leaf for leaf in jtu.tree_leaves(param._value) if hasattr(leaf, "shape")]
    shapes = ", ".join([f"{leaf.dtype}{list(leaf.shape)}" for leaf in leaves])
    return f"{type(param).__name__} ({shapes or 'empty'}{facts})"


def _is_traced(value: Value) -> bool:
    return any(isinstance(leaf, Tracer) for leaf in jtu.tree_leaves(value))
