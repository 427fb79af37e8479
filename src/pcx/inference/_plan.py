"""A plan: the steps that a schedule takes from one start."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import jax
from jaxtyping import PyTree

from ..energy import Landscape, NodesIn, Stacks, forms_of
from ._stop import Stop
from ._waiting import Waiting
from ._wave import Step, Wave, starts_forward


@dataclasses.dataclass(frozen=True)
class Segment:
    """Equal steps, one after the other.

    **Arguments:**

    - `repeats`: their number.
    - `groups`: the names of the nodes that move. In each step the groups move one after the other, the nodes of a group
        together.
    """

    repeats: int
    groups: tuple[tuple[str, ...], ...]


class Plan(NamedTuple):
    """The steps that a schedule takes from one start, by one descent. The loops take them as they are.

    **Attributes:**

    - `segments`: the steps in order, fewer than there are if nothing moves at the end. Under a stop that may come early
        one segment, whose step is taken again and again.
    - `waiting`: for nodes that don't move at first, the descent's states after 0, 1, ... steps; a node that begins to
        move at step t takes up the t-th. Others begin with a fresh one.
    - `wave`: when errors come to nodes; before that a node's gradient is exactly zero. None if that isn't known.
    - `idle`: for nodes in stacks, what each node's state is after 0, 1, ... steps with zero gradient; None unless it is
        known, and such a step moves no node. A loop over equal layers leaves out those that no error has reached then.
    - `reached`: the step at which an error may come to the last node, before which many a stop is not asked; a number,
        or one for each sample, `[batch]`.
    """

    segments: tuple[Segment, ...]
    waiting: Mapping[str, Sequence[PyTree]]
    wave: Wave | None
    reached: Step
    idle: Mapping[str, Sequence[PyTree]] | None = None


def plan_of(
    segments: tuple[Segment, ...],
    landscape: Landscape,
    start: NodesIn,
    stop: Stop,
    waiting: Waiting,
    states: Mapping[str, Sequence[PyTree]] | None = None,
) -> Plan:
    """Return the plan of some segments: it is found out where errors are at the start, and when they come to others.

    **Arguments:**

    - `segments`: the steps in order.
    - `landscape`, `start`, `stop`: see `Schedule.prepare`.
    - `waiting`: what is known of nodes with zero gradient.
    - `states`: those of nodes that don't move at first, see `Plan`.
    """
    states = {} if states is None else states
    nothing = Plan(segments, states, None, 0)
    if not segments or not stop.steps:
        return nothing
    # Where a step with zero gradient moves nodes, all have errors of their own after it.
    stays = waiting.states(start, 1) is not None
    if not stays and not stop.early and not starts_forward(landscape, start):
        return nothing
    groups = next((s.groups for s in segments if len(s.groups) > 1), None)
    wave = Wave.of(landscape, start, groups, waiting.moves(start, stop.steps) if stays else None)
    if wave is None:
        return nothing
    idle = None
    if stays and isinstance(start, Stacks) and not stop.early:
        # All samples wait alike; of one the numbers can be looked at.
        one = {n: jax.ShapeDtypeStruct((1, *v.shape[1:]), v.dtype) for n, v in forms_of(start).items()}
        idle = waiting.states(one, stop.steps)
    return Plan(segments, states, wave if stays else wave.at_once(), wave.last() if stop.early else 0, idle)


def check_segments(name: str, free: Sequence[str], segments: Iterable[Segment], stop: Stop) -> None:
    """Refuse steps that move nodes that don't move, or that don't go with the stop.

    **Arguments:**

    - `name`: the schedule's.
    - `free`: the names of the nodes that move.
    - `segments`: the schedule's steps, in order.
    - `stop`: when to stop.

    **Raises:** `ValueError`, naming the schedule.
    """
    segments = tuple(segments)
    most = max(stop.steps, 1) if stop.early else stop.steps
    unknown = [n for s in segments for group in s.groups for n in group if n not in free]
    if unknown:
        raise ValueError(f"{name}: it moves {unknown[0]!r}, but the nodes that move are {', '.join(free)}")
    taken = sum(s.repeats for s in segments)
    if taken > most:
        raise ValueError(f"{name}: its segments are longer than the {most} steps that there are")
    if stop.early and (len({s.groups for s in segments}) != 1 or taken < stop.steps):
        raise ValueError(
            f"relax: with a stop that may come early every step must be the same, but those of {name} are not; use "
            "Steps(...)"
        )


def cut(segments: Iterable[Segment], at: int) -> tuple[Segment, ...]:
    """Return the same steps, in segments of which none goes on across step `at`."""
    found: list[Segment] = []
    done = 0
    for segment in segments:
        first = min(max(at - done, 0), segment.repeats)
        parts = [n for n in (first, segment.repeats - first) if n]
        found += [Segment(n, segment.groups) for n in parts]
        done += segment.repeats
    return tuple(found)
