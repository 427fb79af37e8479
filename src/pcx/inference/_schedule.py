"""Schedules: which nodes move at which step."""

from __future__ import annotations

import abc
import dataclasses
from collections.abc import Sequence
from typing import Any, Literal

# How many node updates may be written out one by one before steps are gathered into loops: bounds compile time.
_UNROLLED = 64


@dataclasses.dataclass(frozen=True)
class Segment:
    """`repeats` equal steps. In each, the groups move one after the other, the nodes of a group together."""

    repeats: int
    groups: tuple[tuple[str, ...], ...]


class Schedule(abc.ABC):
    """Which nodes move at which step."""

    @abc.abstractmethod
    def segments(self, landscape: Any, steps: int) -> tuple[Segment, ...]:
        """The steps, in order."""

    needs_idle: bool = False  # whether it relies on a zero gradient moving nothing


@dataclasses.dataclass(frozen=True)
class AllNodes(Schedule):
    """All free nodes move together at every step."""

    def segments(self, landscape: Any, steps: int) -> tuple[Segment, ...]:
        return (Segment(steps, (landscape.free,)),) if steps else ()


@dataclasses.dataclass(frozen=True)
class WaveFront(Schedule):
    """The same numbers as `AllNodes` for less work: under forward initialisation a node's gradient is exactly zero
    until the error of the clamped output has come to it, one prediction for each step; until then the node is not
    touched.

    Used only from the landscape's own forward pass, and where it is proved that a zero gradient moves nothing (plain
    SGD, momentum, Adam; not weight decay on states, not noise), else all nodes move.
    """

    needs_idle = True

    def segments(self, landscape: Any, steps: int) -> tuple[Segment, ...]:
        arrival = landscape.arrival
        if arrival is None:
            return AllNodes().segments(landscape, steps)
        starts = sorted({t for t in arrival.values() if t < steps})
        if not starts:  # nothing that could move
            return ()
        spans = list(zip(starts, [*starts[1:], steps], strict=True))
        if sum(len(_arrived(landscape, stop - 1)) for _, stop in spans) > _UNROLLED:
            # Spans of twice the length of those before: their work is at most twice as much, their number small.
            spans, start, last = [], 0, starts[-1]
            while start < last:
                stop = min(max(start + 1, 2 * start), last)
                spans.append((start, stop))
                start = stop
            spans.append((last, steps))
        return tuple([Segment(b - a, (_arrived(landscape, b - 1),)) for a, b in spans])


def _arrived(landscape: Any, step: int) -> tuple[str, ...]:
    return tuple([n for n in landscape.free if landscape.arrival.get(n, step + 1) <= step])


@dataclasses.dataclass(frozen=True)
class LayerTime(Schedule):
    """One layer a step: at step t only the nodes move that the error reaches just then, those t + 1 predictions away
    from the clamped output. Steps beyond the last layer move nothing (Song et al. 2020)."""

    def segments(self, landscape: Any, steps: int) -> tuple[Segment, ...]:
        if landscape.arrival is None:
            raise ValueError("LayerTime needs a start by a forward pass and a clamped output")
        layers = [tuple([n for n in landscape.free if landscape.arrival.get(n) == t]) for t in range(steps)]
        return tuple([Segment(1, (layer,)) for layer in layers if layer])


@dataclasses.dataclass(frozen=True)
class Sweeps(Schedule):
    """Gauss-Seidel: in each step the nodes move one after the other, each on the gradient at the newest values.

    **Arguments:**

    - `direction`: `"down"` from the output to the input, `"up"` from the input to the output.
    """

    direction: Literal["down", "up"] = "down"

    def __post_init__(self) -> None:
        if self.direction not in ("down", "up"):
            raise ValueError(f"Sweeps: direction must be 'down' or 'up', got {self.direction!r}")

    def segments(self, landscape: Any, steps: int) -> tuple[Segment, ...]:
        order: Sequence[str] = [n for n in landscape.order if n in landscape.free]
        if self.direction == "down":
            order = order[::-1]
        return (Segment(steps, tuple([(n,) for n in order])),) if steps else ()


def as_schedule(call: str, x: Any) -> Schedule:
    """A schedule, from one or from None for the wave-front."""
    if x is None:
        return WaveFront()
    if not isinstance(x, Schedule):
        raise TypeError(
            f"{call}: schedule must be a pcx.inference.Schedule, such as pxi.AllNodes() or pxi.Sweeps('down'), got "
            f"{x!r}"
        )
    return x


def check_segments(schedule: Schedule, landscape: Any, segments: Sequence[Segment], steps: int) -> None:
    """Refuse segments that move nodes that don't move, or are longer than the steps that there are.

    **Raises:** `ValueError`, naming the schedule.
    """
    unknown = [n for s in segments for group in s.groups for n in group if n not in landscape.free]
    if unknown:
        raise ValueError(
            f"{type(schedule).__name__}: it moves {unknown[0]!r}, but the nodes that move are "
            f"{', '.join(landscape.free)}"
        )
    if sum(s.repeats for s in segments) > steps:
        raise ValueError(f"{type(schedule).__name__}: its segments are longer than the {steps} steps that there are")


def cut(segments: Sequence[Segment], at: int) -> tuple[Segment, ...]:
    """The same steps, in segments of which none goes on across step `at`."""
    found: list[Segment] = []
    done = 0
    for segment in segments:
        first = min(max(at - done, 0), segment.repeats)
        parts = [n for n in (first, segment.repeats - first) if n]
        found += [Segment(n, segment.groups) for n in parts]
        done += segment.repeats
    return tuple(found)
