"""What settling gives."""

from __future__ import annotations

import enum
from typing import Any, NamedTuple

from ..core import shown


class RESULT(enum.IntEnum):
    """How settling ended, for each sample."""

    settled = 0
    """The stop's condition was met, or the fixed number of steps taken."""
    out_of_steps = 1
    """The most steps allowed were taken before the stop's condition was met."""
    not_finite = 2
    """A value of the sample is NaN or infinite."""
    diverged = 3
    """The energy is above that at the start, by a part that counts, and no stop's condition was met: the rate is too
    large."""


class Solution(NamedTuple):
    """Settled values.

    **Attributes:**

    - `nodes`: `{node: [batch, *shape]}`.
    - `steps`: steps really taken by each sample, `[batch]`.
    - `result`: a `RESULT` for each sample, `[batch]`.
    - `trace`: each node's energy before the first step and after every step, `{node: [steps + 1, batch]}`, if asked
        for; where all samples stopped early, NaN from there on.
    - `first_bad`: where a value was first not finite: `step * number of nodes + index of the node`, with step 0 the
        start, or -1, a scalar. `where_bad` reads it.
    - `observed`: the sum of what was observed at the steps, if asked for.
    """

    nodes: dict[str, Any]
    steps: Any
    result: Any
    trace: dict[str, Any] | None
    first_bad: Any
    observed: Any = None

    def __repr__(self) -> str:
        return shown(self)


def where_bad(first_bad: Any, names: tuple[str, ...]) -> tuple[str, int] | None:
    """The node and the step (0: the start) at which a value was first not finite; None if all were finite.

    **Arguments:**

    - `first_bad`: from a `Solution`.
    - `names`: all nodes of the problem, in its order.
    """
    code = int(first_bad)
    return None if code < 0 else (names[code % len(names)], code // len(names))
