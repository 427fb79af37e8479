"""The way from what a prediction is made of to the prediction: the weights in between, and whether there is a skip."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from ..energy import Op, Program

# What leaves a value the same, but for its shape, a factor, or what is added to it.
_SAME = frozenset(
    [
        "add",
        "add_any",
        "sub",
        "neg",
        "reshape",
        "squeeze",
        "expand_dims",
        "broadcast_in_dim",
        "convert_element_type",
        "copy",
        "transpose",
    ]
)
_SCALED = frozenset(("mul", "div"))


class Between(NamedTuple):
    """The way from one source of a prediction to the prediction.

    **Attributes:**

    - `arrays`: the paths of the model's arrays that meet what comes from there.
    - `skip`: whether it comes through as it is, too: scaled, reshaped or added to at most.
    """

    arrays: tuple[str, ...]
    skip: bool


def ways_between(
    program: Program, wanted: int, sources: Mapping[str, int], paths: Mapping[int, str]
) -> dict[str, Between]:
    """Return the way from each source of a prediction.

    **Arguments:**

    - `program`: the program that computes it.
    - `wanted`: the number of the prediction.
    - `sources`: numbers of the values that it is made of, by name.
    - `paths`: of numbers, the path of the model's array that each is.
    """
    ops = [program.ops[i] for i in program.needed([wanted], ())[0]]
    reached = {name: _reached(ops, number) for name, number in sources.items()}
    moving = set().union(*reached.values()) if reached else set()
    made_of: dict[int, frozenset[str]] = {i: frozenset([path]) for i, path in paths.items()}
    found: dict[str, dict[str, None]] = {name: {} for name in sources}
    same: dict[str, set[int]] = {name: {number} for name, number in sources.items()}
    for op in ops:
        of_inputs: frozenset[str] = frozenset().union(*[made_of.get(i, frozenset()) for i in op.inputs])
        if moving.isdisjoint(op.inputs):
            made_of.update(dict.fromkeys(op.outputs, of_inputs))
            continue
        still = [i for i in op.inputs if i not in moving]
        met = sorted(set().union(*[made_of.get(i, frozenset()) for i in still])) if still else []
        name = op.eqn.primitive.name
        keeps = name in _SAME or (name in _SCALED and not met and len(still) == 1)
        for source in sources:
            if not reached[source].isdisjoint(op.inputs):
                found[source].update(dict.fromkeys(met))
            if keeps and not same[source].isdisjoint(op.inputs):
                same[source].update(op.outputs)
    return {name: Between(tuple(found[name]), wanted in same[name]) for name in sources}


def _reached(ops: Iterable[Op], number: int) -> set[int]:
    """Return the values that depend on one, itself included."""
    found = {number}
    for op in ops:
        if not found.isdisjoint(op.inputs):
            found.update(op.outputs)
    return found
