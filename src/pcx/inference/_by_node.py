"""Descents from what users write: one for all nodes, or one for each."""

from __future__ import annotations

import functools
import inspect
import types
from collections.abc import Callable, Hashable, Iterable, Mapping
from typing import Any, TypeAlias, TypeGuard, overload

import optax

from ..core import static_key
from ._descent import Descent, Descents
from ._optax import Optax, is_transformation

OneDescent: TypeAlias = Descent | optax.GradientTransformation
"""How a node moves."""
DescentLike: TypeAlias = OneDescent | Mapping[str, OneDescent] | Callable[[str], OneDescent]
"""How all move: alike, by a dict from names, or by a function of the name."""


class ByNode(Descents):
    """A descent of its own for each node.

    **Arguments:**

    - `choose`: a dict from the names of all nodes that move to descents or Optax transformations, or a function that
        gives one for a name.
    - `call`: what to name in errors.

    **Raises:** `ValueError` for an empty dict, `TypeError` for what is no descent.
    """

    def __init__(self, choose: Mapping[str, OneDescent] | Callable[[str], OneDescent], call: str = "ByNode") -> None:
        self.call = call
        self.choose: dict[str, Descent] | Callable[[str], OneDescent]
        if isinstance(choose, Mapping):
            if not choose:
                raise ValueError(f"{call}: the dict of transformations by node is empty")
            self.choose = {n: _of_node(call, n, x) for n, x in choose.items()}
        else:
            self.choose = choose
        self._made: dict[str, Descent] = {}

    def __static_key__(self) -> Hashable:
        return (type(self), static_key(self.choose))

    def at(self, node: str) -> Descent:
        if isinstance(self.choose, dict):
            return self.choose[node]
        if node not in self._made:
            made = _of_node(self.call, node, self.choose(node))
            if made.random:  # whether a step needs a key is asked before the nodes are known
                raise ValueError(f"{self.call}: the values of {node!r} draw random numbers: give a dict by node")
            self._made[node] = made
        return self._made[node]

    @property
    def named(self) -> tuple[str, ...]:
        return tuple(self.choose) if isinstance(self.choose, dict) else ()

    def check(self, call: str, free: Iterable[str], nodes: Iterable[str]) -> None:
        free, nodes = tuple(free), tuple(nodes)
        if isinstance(self.choose, dict):
            unknown = [n for n in self.choose if n not in nodes]
            if unknown:
                raise ValueError(
                    f"{call}: the values' transformations name {unknown[0]!r}; the nodes are {', '.join(nodes)}"
                )
            missing = [n for n in free if n not in self.choose]
            if missing:
                raise ValueError(
                    f"{call}: the values' transformations, given by node, lack {', '.join(missing)}; the nodes that "
                    f"move are {', '.join(free)}"
                )
        for name in free:
            self.at(name)

    @property
    def random(self) -> bool:
        return isinstance(self.choose, dict) and any(d.random for d in self.choose.values())


def _of_node(call: str, node: str, x: object) -> Descent:
    if not (isinstance(x, Descent) or is_transformation(x)):
        raise TypeError(
            f"{call}: the values of {node!r} need an optax transformation or a pcx.inference.Descent, got "
            f"{type(x).__name__}"
        )
    return x if isinstance(x, Descent) else Optax(x)


def _takes_a_name(x: object) -> TypeGuard[Callable[[str], OneDescent]]:
    """Return whether `x` is a function of one argument, and none of those that make a transformation of a rate."""
    if not isinstance(x, (types.FunctionType, types.MethodType, functools.partial)):
        return False
    made: Any = x.func if isinstance(x, functools.partial) else x
    if (getattr(made, "__module__", None) or "").split(".")[0] == "optax":
        return False
    try:
        inspect.signature(x).bind("name")
    except (TypeError, ValueError):
        return False
    return True


@overload
def as_descent(call: str, x: OneDescent) -> Descent: ...
@overload
def as_descent(call: str, x: object) -> Descents: ...
def as_descent(call: str, x: object) -> Descents:
    """Return the descents of all nodes.

    **Arguments:**

    - `call`: what to name in errors.
    - `x`: a descent, an Optax transformation, or one of these for each node (a dict by name, or a function of the
        name).

    **Raises:** `TypeError` for anything else.
    """
    if isinstance(x, Descents):
        return x
    if is_transformation(x):
        return Optax(x)
    if isinstance(x, Mapping) or _takes_a_name(x):
        return ByNode(x, call)
    raise TypeError(
        f"{call}: expected an optax transformation or a pcx.inference.Descent, got {type(x).__name__}. For each node "
        "its own: a dict of these by node, or a function that gives one for a node's name"
    )
