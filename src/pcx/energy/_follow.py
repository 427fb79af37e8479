"""Values of a run of equal layers, one after the other: each from those before it, in one loop."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import jax.numpy as jnp
from jax import Array
from jaxtyping import PyTree

from ._by_layer import goes_evenly, one_after_the_other
from ._loops import scan
from ._runs import Run
from ._stacks import Stacks, gathered, updated
from ._together import Part, Together

Emit = Callable[[Part, Sequence[Any]], tuple[Array, PyTree]]
"""What is made of a node's arguments, slot by slot: its prediction, and anything else."""


class Followed(NamedTuple):
    """The values of a run's nodes.

    **Attributes:**

    - `h`, `u`: values and predictions, in blocks of the groups.
    - `more`: what else was made of each node; by group, stacked.
    - `last`: the values of the last nodes, as far as the loop hands them on, `{node: [batch, *shape]}`. Who reads these
        in the place of `h` needs no stack of all of them, nor one of their gradients.
    """

    h: Stacks
    u: Stacks
    more: list[PyTree]
    last: dict[str, Array]


def follow(
    together: Together,
    run: Run,
    value_of: Callable[[str], Array],
    errors: Mapping[str, Array] | None = None,
    emit: Emit | None = None,
) -> Followed:
    """Return the values of a run's nodes: each at its prediction, or at that and its error.

    **Arguments:**

    - `together`: the groups.
    - `run`: the run.
    - `value_of`: gives the value of a node before the run.
    - `errors`: value minus prediction, `{node: [batch, *shape]}`; by default zero.
    - `emit`: what is made of each node's arguments; by default its prediction alone.
    """
    order, period = together.problem.graph.order, len(run.groups)
    parts = [Part(group, 0, run.repeats) for group in run.groups]
    reads = [[run.place_read(order, slot) for slot in part.group.slots] for part in parts]
    first = {k: _before(run.before(order, k, back), value_of) for k, back in run.depths(order).items() if back}
    fixed: list[list[Any]] = []
    moving: list[list[int]] = []
    for part, at in zip(parts, reads, strict=True):
        outside = {
            s.names[0]: value_of(s.names[0])
            for s, a in zip(part.group.slots, at, strict=True)
            if s.kind == "value" and a is None
        }
        given = [None if a is not None else together.argument(part, i, outside) for i, a in enumerate(at)]
        moving.append([i for i, a in enumerate(given) if a is not None and a[1] == 0])
        fixed.append([None if a is None else a[0] for a in given])

    xs = [[fixed[k][i] for i in moving[k]] for k in range(period)]
    own = None if errors is None else [gathered(part.names, errors) for part in parts]
    # Over devices values alone go from layer to layer: the rest is made of them by all layers at once.
    by_layer = goes_evenly((xs, own))

    def cell(fixed: list[list[Any]], before: dict[int, list[Array]], xs: Any) -> tuple[PyTree, Any]:
        stacked, own = xs
        now: list[Array] = []
        made: list[Any] = []
        for k, part in enumerate(parts):
            arguments = list(fixed[k])
            for i, a in zip(moving[k], stacked[k], strict=True):
                arguments[i] = a
            for i, at in enumerate(reads[k]):
                if at is not None and at != (k, 0):  # its own value is no part of its prediction
                    arguments[i] = before[at[0]][at[1] - 1] if at[1] else now[at[0]]
            if emit is None or by_layer:
                u, more = together.evaluated(part.group, part.group.wanted[:1], arguments)[0], None
            else:
                u, more = emit(part, arguments)
            now.append(u if own is None else u + own[k])
            made.append((now[k], u, more) if own is not None else (u, more))
        return {k: [now[k], *values][: len(values)] for k, values in before.items()}, made

    shared = [[None if i in moving[k] else a for i, a in enumerate(fixed[k])] for k in range(period)]
    if by_layer:
        end, made = {}, one_after_the_other(cell, shared, first, (xs, own))
    else:
        # Of layers that all have the same weight there may be no stack at all.
        end, made = scan(functools.partial(cell, shared), first, (xs, own), length=run.repeats)
    names = [part.names for part in parts]
    last = {n: v for k, values in end.items() for n, v in zip(reversed(names[k]), values, strict=False)}
    h, u = (Stacks(names, [m[i] for m in made]) for i in (0, -2))
    if emit is None or not by_layer:
        return Followed(h, u, [m[-1] for m in made], last)
    read = [n for part in parts for slot in part.group.slots if slot.kind == "value" for n in slot.names]
    values = updated(h, {n: value_of(n) for n in dict.fromkeys(read) if n not in h})
    return Followed(h, u, [_emitted(together, part, values, emit) for part in parts], last)


def _before(names: Sequence[str | None], value_of: Callable[[str], Array]) -> list[Array]:
    """Return the values of the nodes before a run, the nearest first; zeros in the place of those that it doesn't read,
    which go from cell to cell with the others."""
    values = [None if n is None else value_of(n) for n in names]
    like = next(v for v in values if v is not None)
    return [jnp.zeros_like(like) if v is None else v for v in values]


def _emitted(together: Together, part: Part, values: Mapping[str, Any], emit: Emit) -> PyTree:
    """Return what else is made of each node's arguments, stacked, where all values are known."""
    arguments, axes = together.arguments(part, values)
    return together.over(lambda *a: emit(part, a)[1], axes)(*arguments)
