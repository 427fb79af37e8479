"""The forward pass that an array came from, known by the array itself."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterable, Mapping
from typing import Any


class Origin:
    """One forward pass: of which problem, from which arrays, and the values that it gave."""

    __slots__ = ("inputs", "made", "problem")

    def __init__(self, problem: object, inputs: Iterable[Any], made: Mapping[Any, Any]) -> None:
        self.problem = weakref.ref(problem)
        self.inputs = tuple([_ref(a) for a in inputs])
        self.made = {n: id(v) for n, v in made.items()}

    def is_of(self, problem: object, inputs: Iterable[Any]) -> bool:
        """Return whether that problem at those very arrays would give it."""
        inputs = tuple(inputs)
        return (
            self.problem() is problem
            and len(inputs) == len(self.inputs)
            and all(a is ref() for a, ref in zip(inputs, self.inputs, strict=True))
        )


# By the number of each array, as long as it lives: arrays are neither hashed nor kept alive.
_origins: dict[int, tuple[Any, Origin]] = {}


def remember(problem: object, inputs: Iterable[Any], made: Mapping[Any, Any]) -> None:
    """Remember that a forward pass of `problem` at the arrays `inputs` gave the values `made`."""
    origin = Origin(problem, inputs, made)
    for value in made.values():
        number = id(value)

        def forget(ref: object, number: int = number) -> None:
            if _origins.get(number, (None, None))[0] is ref:
                del _origins[number]

        _origins[number] = (weakref.ref(value, forget), origin)


def is_forward(problem: object, inputs: Iterable[Any], nodes: Mapping[Any, Any]) -> bool:
    """Return whether `nodes` are the very arrays that a forward pass of `problem` at `inputs` gave."""
    inputs = tuple(inputs)
    seen: set[int] = set()
    for name, value in nodes.items():
        ref, origin = _origins.get(id(value), (None, None))
        if ref is None or origin is None or ref() is not value or origin.made.get(name) != id(value):
            return False
        if id(origin) not in seen:
            if not origin.is_of(problem, inputs):
                return False
            seen.add(id(origin))
    return True


def of_another(problem: object, inputs: Iterable[Any], nodes: Mapping[Any, Any]) -> bool:
    """Return whether `nodes` hold an array that a forward pass of another problem, or at other inputs, gave."""
    inputs = tuple(inputs)
    found = {id(v): _origins.get(id(v), (None, None)) for v in nodes.values()}
    made = {id(origin): origin for v in nodes.values() for ref, origin in [found[id(v)]] if ref and ref() is v}
    return any(origin is not None and not origin.is_of(problem, inputs) for origin in made.values())


def _ref(x: object) -> Callable[[], object]:
    try:
        return weakref.ref(x)
    except TypeError:  # a number
        return lambda: x
