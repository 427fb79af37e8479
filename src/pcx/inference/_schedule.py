"""The interface of schedules: which nodes move at which step."""

from __future__ import annotations

import abc
from collections.abc import Mapping
from typing import ClassVar, Protocol, runtime_checkable

from ..energy import Landscape, NodesIn
from ._descent import Descents
from ._plan import Plan, Segment, check_segments, plan_of
from ._stop import Stop
from ._waiting import Waiting
from ._wave import starts_forward


@runtime_checkable
class Moving(Protocol):
    """The part of a landscape that a schedule may ask, see `pcx.energy.Landscape`.

    **Attributes:**

    - `free`: the names of the nodes that move.
    - `order`: those of all nodes, parents before children.
    - `arrival`: the step, from 0, at which each free node's gradient may first be other than zero; None if nothing is
        known.
    """

    @property
    def free(self) -> tuple[str, ...]: ...
    @property
    def order(self) -> tuple[str, ...]: ...
    @property
    def arrival(self) -> Mapping[str, int] | None: ...


class Schedule(abc.ABC):
    """The choice of the nodes that move at each step. One of your own says its `segments`.

    **Attributes:**

    - `together`: whether it gives the numbers of all nodes moving together at every step.
    """

    together: ClassVar[bool] = False

    @abc.abstractmethod
    def segments(self, landscape: Moving, steps: int) -> tuple[Segment, ...]:
        """Return the steps, in order.

        **Arguments:**

        - `landscape`: whose `free`, `order` and `arrival` say what may move.
        - `steps`: how many steps there are.

        **Returns:** the segments. Steps that they leave out at the end move nothing.

        **Raises:** `ValueError` for a landscape that the schedule isn't made for.
        """

    def check(self, call: str, stop: Stop, forward: bool) -> None:  # noqa: B027
        """Refuse, in the name of `call`, a stop or a start that the schedule isn't made for.

        **Arguments:**

        - `call`: what to name in errors.
        - `stop`: when to stop.
        - `forward`: whether values start at a forward pass.

        **Raises:** `ValueError`, with the reason.
        """

    def prepare(self, landscape: Landscape, start: NodesIn, stop: Stop, descent: Descents) -> Plan:
        """Return the plan of the steps from one start.

        **Arguments:**

        - `landscape`: the energy as a function of the free nodes.
        - `start`: their coordinates, `{node: [batch, *shape]}`.
        - `stop`: when to stop.
        - `descent`: how nodes move.

        **Returns:** the `Plan` that the loops take.

        **Raises:** `ValueError` for parts that don't go together.
        """
        self.check("relax", stop, starts_forward(landscape, start))
        segments = self.segments(landscape, max(stop.steps, 1) if stop.early else stop.steps)
        check_segments(type(self).__name__, landscape.free, segments, stop)
        if stop.early:
            segments = (Segment(1, segments[0].groups),)
        return plan_of(segments, landscape, start, stop, Waiting(descent))
