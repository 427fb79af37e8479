"""Warn of weights that learn nothing because no error comes to them in so few inference steps."""

from __future__ import annotations

import bisect
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import jax

from ..core import see, warn
from ..energy import Problem
from ..inference import AllNodes, Descents, Schedule, Segment, never_moving
from ._idle import from_errors


class _Moving(NamedTuple):
    """The part of a landscape that a schedule looks at, see `pcx.inference.Schedule`."""

    free: tuple[str, ...]
    order: tuple[str, ...]
    arrival: Mapping[str, int]


def warn_of_layers_out_of_reach(
    call: str,
    problem: Problem,
    schedule: Schedule,
    descent: Descents,
    steps: int,
    *,
    late: int = 0,
    follows: bool = True,
) -> None:
    """Warn of layers that can learn nothing, with the number of steps that it takes.

    **Arguments:**

    - `call`: the rule's name.
    - `schedule`, `descent`, `steps`: of the settling, from a forward pass; no gradient, no move.
    - `late`: steps at the end from whose outcome no weight learns.
    - `follows`: whether a prediction follows the values that it is made from.
    """
    if problem.has_own_energy or not steps:
        return
    # What learns in no time is said elsewhere.
    learn = from_errors(problem, follows)
    # As many steps as nodes reach all that can be reached, if each moves as soon as it feels an error.
    most = set(_unlearned(problem, schedule, None, steps + len(problem.nodes), follows))

    def still(t: int) -> list[str]:
        return [w for w in _unlearned(problem, schedule, descent, t - late, follows) if w not in most and w in learn]

    now = still(steps)
    if not now:
        return
    layers = list(dict.fromkeys([w.split(".nn.")[0] for w in now]))
    limit = _LONGEST * (steps + late + len(problem.nodes))
    needed = _least(lambda t: not still(t), steps, limit)
    why = f"that takes T={needed}"
    if needed is None:
        why = f"nor does it with T={limit}: the values' transformation moves nothing in their first steps"
    warn(
        f"{call}: T={steps} is too small: {', '.join(layers)} will learn nothing, because no error comes so far; {why}"
        f"{see('learns')}",
    )


_LONGEST = 16  # times as many steps as there would be if nodes moved as soon as they can; after that none are named


def _least(true: Callable[[int], bool], below: int, most: int) -> int | None:
    """Return the least number for which something is true that is not for `below`, and is for all above it once it is;
    None if there is none up to `most`."""
    above = below + 1
    while not true(above):
        if above >= most:
            return None
        below, above = above, min(2 * above - below + 1, most)
    return below + 1 + bisect.bisect_left(range(below + 1, above), True, key=true)


def check_moves(call: str, problem: Problem, descent: Descents | None, steps: int, settles_outputs: bool) -> None:
    """Refuse a descent that has an entry for a node that can't move; warn of nodes that it never moves.

    **Arguments:**

    - `call`: the rule's name.
    - `descent`: how values move; None if that isn't known.
    - `steps`: the number of steps.
    - `settles_outputs`: whether an output may be free, where a sample has no target or in `predict`.

    **Raises:** `ValueError`, with the nodes.
    """
    if descent is None:
        return
    free = tuple(problem.free)
    may = {*free, *[n for n in problem.clamped if settles_outputs and problem.graph.children[n]]}
    held = [n for n in descent.named if n not in may]
    if held:
        raise ValueError(
            f"{call}: the values' transformations have an entry for {held[0]!r}, which is clamped and never moves; the "
            f"nodes that move are {', '.join(free)}"
        )
    still, why = never_moving(descent, _forms(problem), steps)
    if still:
        warn(f"{call}: the values of {', '.join(still)} never settle: {why}")


def _forms(problem: Problem) -> dict[str, Any]:
    """Return the shapes and dtypes of the values that move."""
    nodes = problem.nodes
    return {n: jax.ShapeDtypeStruct((problem.size, *nodes[n].shape), nodes[n].dtype) for n in problem.free}


def moves_by_gradient_alone(descent: Descents | None, problem: Problem) -> bool:
    """Return whether a descent leaves values where they are while their gradient is zero."""
    if descent is None:
        return False  # a flow of many stages, of which steps are only the most that it may take
    return not descent.random and all(descent.at(n).idle(v, 1) is not None for n, v in _forms(problem).items())


def _unlearned(problem: Problem, schedule: Schedule, descent: Descents | None, steps: int, follows: bool) -> list[str]:
    """Return the weights without a gradient after so many steps; without a descent, if nodes move as soon as they feel
    an error."""
    graph, free = problem.graph, problem.free
    sources = (*problem.clamped, *problem.with_error)
    arrival = problem.arrivals(free, sources)
    moving = _Moving(tuple(free), graph.order, arrival)
    if schedule.together:
        schedule = AllNodes()  # those that wait have taken part, as far as their descent is concerned
    forms = _forms(problem)

    def first_move(name: str, felt: int) -> int:
        return felt if descent is None else descent.at(name).first_move(forms[name], felt, steps)

    segments = schedule.segments(moving, steps) if steps > 0 else ()
    wrong = _wrong(problem, sources, _moved(problem, segments, sources, follows, first_move), follows)
    owners: dict[str, list[str]] = {}
    for name in problem.nodes:
        for path in problem.weights_of(name):
            owners.setdefault(path, []).append(name)
    return [path for path, names in owners.items() if not wrong & set(names)]


def _moved(
    problem: Problem,
    segments: Sequence[Segment],
    sources: Iterable[str],
    follows: bool,
    first_move: Callable[[str, int], int],
) -> set[str]:
    """Return the nodes that have moved after all steps."""
    graph = problem.graph
    taken = dict.fromkeys(problem.free, 0)  # steps that each has taken part in before the segment
    due: dict[str, int] = {}  # of these the one in which it moves
    moved: set[str] = set()
    wrong: set[str] = set()
    waiting: set[str] = set()  # those that feel an error and haven't moved

    def spread(names: Iterable[str]) -> None:
        new = [n for n in names if n not in wrong and not problem.nodes[n].silent]
        wrong.update(new)
        waiting.update([m for n in new for m in (n, *graph.parents[n]) if m in taken and m not in moved])

    spread(sources)
    for segment in segments:
        times = Counter[str]()  # that a node takes part in a step
        groups: list[dict[str, int]] = []
        for group in segment.groups:
            groups.append({n: times[n] for n in group})
            times.update(group)
        for i in range(segment.repeats):
            if waiting.isdisjoint(times):
                break
            for group in groups:
                now: set[str] = set()
                for n in waiting & group.keys():
                    part = taken[n] + i * times[n] + group[n]
                    if n not in due:
                        due[n] = first_move(n, part)
                    if due[n] <= part:
                        now.add(n)
                waiting -= now
                moved |= now
                spread([*now, *[c for n in now if follows for c in graph.children[n]]])
        for n, count in times.items():
            taken[n] += count * segment.repeats
    return moved


def _wrong(problem: Problem, sources: Iterable[str], moved: set[str], follows: bool) -> set[str]:
    """Return the nodes that have an error."""
    wrong = {*sources, *moved}
    if follows:
        wrong |= {c for n in moved for c in problem.graph.children[n]}
    return {n for n in wrong if not problem.nodes[n].silent}
