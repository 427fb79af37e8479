"""The schedule that leaves nodes alone until an error comes to them."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import ClassVar

from ..energy import Landscape, NodesIn, Stacks, forms_of
from ._descent import Descents
from ._plan import Plan, Segment, plan_of
from ._schedule import Moving, Schedule
from ._schedules import AllNodes
from ._stop import Stop
from ._waiting import Waiting
from ._wave import starts_forward

# How many node updates may be written out one by one before steps are gathered into loops: bounds compile time.
_UNROLLED = 64


@dataclasses.dataclass(frozen=True)
class WaveFront(Schedule):
    """The same numbers as `AllNodes` for less work: under forward initialisation a node's gradient is exactly zero
    until the error of the clamped output has come to it, one prediction for each step; until then the node is not
    touched.

    Used only from the landscape's own forward pass, and where it is proved that a zero gradient moves nothing (plain
    SGD, momentum, Adam; not weight decay on states, not noise), else all nodes move. So they do under a stop that may
    come early.
    """

    together: ClassVar[bool] = True

    def segments(self, landscape: Moving, steps: int) -> tuple[Segment, ...]:
        arrival = landscape.arrival
        if arrival is None:
            return AllNodes().segments(landscape, steps)
        starts = sorted({t for t in arrival.values() if t < steps})
        if not starts:  # nothing that could move
            return ()
        spans = list(zip(starts, [*starts[1:], steps], strict=True))
        if sum(len(_arrived(landscape, arrival, stop - 1)) for _, stop in spans) > _UNROLLED:
            # Spans of twice the length of those before: their work is at most twice as much, their number small.
            spans, start, last = [], 0, starts[-1]
            while start < last:
                stop = min(max(start + 1, 2 * start), last)
                spans.append((start, stop))
                start = stop
            spans.append((last, steps))
        return tuple([Segment(b - a, (_arrived(landscape, arrival, b - 1),)) for a, b in spans])

    def prepare(self, landscape: Landscape, start: NodesIn, stop: Stop, descent: Descents) -> Plan:
        every = AllNodes()
        # Equal layers are computed together: which of them an error has reached is asked in each step.
        if stop.early or isinstance(start, Stacks) or not starts_forward(landscape, start):
            return every.prepare(landscape, start, stop, descent)
        waiting = Waiting(descent)
        segments = self.segments(landscape, stop.steps)
        first = segments[0].groups[0] if segments else ()
        # The last segment moves all that ever moves: a node has begun by its first step.
        most = max(stop.steps - segments[-1].repeats if segments else 0, 1)
        later = {n: v for n, v in forms_of(start).items() if n not in first}
        states = waiting.states(later if stop.steps else {}, most)
        if states is None:
            return plan_of(every.segments(landscape, stop.steps), landscape, start, stop, waiting)
        return plan_of(segments, landscape, start, stop, waiting, states)


def _arrived(landscape: Moving, arrival: Mapping[str, int], step: int) -> tuple[str, ...]:
    return tuple([n for n in landscape.free if arrival.get(n, step + 1) <= step])
