"""Schedules that move all nodes together, one layer a step, or one node after the other."""

from __future__ import annotations

import dataclasses
from typing import ClassVar, Literal

from ._plan import Segment
from ._schedule import Moving, Schedule
from ._stop import Stop


@dataclasses.dataclass(frozen=True)
class AllNodes(Schedule):
    """All free nodes move together at every step."""

    together: ClassVar[bool] = True

    def segments(self, landscape: Moving, steps: int) -> tuple[Segment, ...]:
        return (Segment(steps, (landscape.free,)),) if steps else ()


@dataclasses.dataclass(frozen=True)
class LayerTime(Schedule):
    """One layer a step: at step t only the nodes move that the error reaches just then, those t + 1 predictions away
    from the clamped output. Steps beyond the last layer move nothing (Song et al. 2020).

    **Raises:** `ValueError` with a stop that may come early, or from a start that is no forward pass.
    """

    def check(self, call: str, stop: Stop, forward: bool) -> None:
        if stop.early:
            raise ValueError(f"{call}: LayerTime takes a fixed number of steps, an int or pxi.Steps(...)")
        if not forward:
            raise ValueError(
                f"{call}: LayerTime follows the wave from a forward pass: start must be Forward(), or the values of "
                "the landscape's own start(), made in the same compiled function; or use another schedule"
            )

    def segments(self, landscape: Moving, steps: int) -> tuple[Segment, ...]:
        if landscape.arrival is None:
            raise ValueError(
                "LayerTime needs a start by a forward pass and a clamped output; otherwise take another schedule, "
                "such as pxi.AllNodes()"
            )
        layers = [tuple([n for n in landscape.free if landscape.arrival.get(n) == t]) for t in range(steps)]
        return tuple([Segment(1, (layer,)) for layer in layers if layer])


@dataclasses.dataclass(frozen=True)
class Sweeps(Schedule):
    """Gauss-Seidel: in each step the nodes move one after the other, each on the gradient at the newest values.

    **Arguments:**

    - `direction`: `"down"` from the output to the input, `"up"` from the input to the output.

    **Raises:** `ValueError` for another direction.
    """

    direction: Literal["down", "up"] = "down"

    def __post_init__(self) -> None:
        if self.direction not in ("down", "up"):
            raise ValueError(f"Sweeps: direction must be 'down' or 'up', got {self.direction!r}")

    def segments(self, landscape: Moving, steps: int) -> tuple[Segment, ...]:
        order = [n for n in landscape.order if n in landscape.free]
        if self.direction == "down":
            order = order[::-1]
        return (Segment(steps, tuple([(n,) for n in order])),) if steps else ()
