"""Choosing params by type, union of types or predicate."""

from __future__ import annotations

import types
from collections.abc import Callable
from typing import Any, TypeAlias

from ._parameter import BaseParam
from ._types import Tree
from ._walk import plan_of

Choice: TypeAlias = type | types.UnionType | tuple[type, ...] | Callable[[Any], bool] | None
"""Which params are meant: those of a type, of a union of types, those that a predicate is true of, or None for all."""


def predicate(call: str, choice: Choice) -> Callable[[Any], bool]:
    """Return the predicate that a type, a union of types, a predicate or None (all) stands for."""
    if choice is None:
        return lambda leaf: True
    if isinstance(choice, (type, types.UnionType)):
        return lambda leaf: isinstance(leaf, choice)
    if isinstance(choice, tuple) and choice and all(isinstance(c, type) for c in choice):
        return lambda leaf: isinstance(leaf, choice)
    matches = getattr(choice, "matches", None)
    if callable(matches):  # a mask: pcx.utils.M
        return lambda leaf: bool(matches(leaf))
    if callable(choice):
        return lambda leaf: bool(choice(leaf))
    raise TypeError(f"{call}: expected a type, a union of types, a predicate or None, got {choice!r}")


def clear_params(call: str, tree: Tree, choice: Choice) -> None:
    """Set every param in `tree` that `choice` picks to None."""
    chosen = predicate(call, choice)
    for param in [p for p in plan_of(tree).params[1:] if chosen(p)]:  # all are chosen before the first is cleared
        param.set(None)


def params_by_path(tree: Tree) -> dict[str, BaseParam]:
    """Return the params of `tree`, each once, by attribute path as in `.layers[0].nn.weight`."""
    plan = plan_of(tree)
    return dict(zip(plan.skeleton.param_paths[1:], plan.params[1:], strict=True))
