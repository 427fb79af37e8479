"""The rate and the momentum of descents that are plain gradient descent, found by what they do."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from ..inference import Descent, Solver


class PlainStep(NamedTuple):
    """A step of gradient descent, as of `optax.sgd(rate, momentum, nesterov)`."""

    rate: float
    momentum: float
    nesterov: bool


def plain_step(solver: Solver, free: Sequence[str]) -> PlainStep | None:
    """Return the step that all nodes take together, if it is one of plain gradient descent, the same at every step.

    It is found out from how a value moves after a single gradient, early and late, small and large. Of nodes with rates
    of their own it is the one with the largest.

    **Arguments:**

    - `solver`: how values settle.
    - `free`: the names of the nodes that move.

    **Returns:** the step; None for anything else, such as Adam, noise, a rate that changes, or nodes that take
        turns.
    """
    schedule, descents = getattr(solver, "schedule", None), solver.descent
    if descents is None or solver.random or (schedule is not None and not schedule.together):
        return None
    found: dict[object, PlainStep | None] = {}
    for name in free:
        kind = descents.kind(name)
        if kind not in found:
            found[kind] = _step_of(descents.at(name))
    steps = [s for s in found.values() if s is not None]
    if len(steps) < len(found) or len({s[1:] for s in steps}) != 1:
        return None
    return max(steps)


def _step_of(descent: Descent) -> PlainStep | None:
    try:
        with jax.ensure_compile_time_eval():
            first = _response(descent, 0, 1.0, 0.0)
            others = [_response(descent, *where) for where in ((0, 2.0, 0.0), (3, 1.0, 1.0), (1, -1e3, 0.5))]
    except (TypeError, ValueError, RuntimeError):  # one that can't be asked, such as for a rate that is traced
        return None
    if any(not np.allclose(each, first[: len(each)], rtol=1e-4, atol=1e-7 * abs(first[0])) for each in others):
        return None
    rate, back = -first[0], first[1:4]
    if rate <= 0:
        return None
    m = back[1] / back[0] if back[0] else 0.0
    for nesterov in (False, True):
        top = rate / (1 + m) if nesterov else rate
        expected = -top * np.asarray([m**2, m**3, m**4] if nesterov else [m, m**2, m**3])
        if 0 <= m < 1 and np.allclose(back, expected, rtol=1e-3, atol=1e-6 * rate):
            return PlainStep(float(top), _rounded(float(m)), nesterov and m > 0)
    return None


def _rounded(m: float) -> float:
    return round(m, 5)


def _response(descent: Descent, at: int, size: float, value: float) -> list[float]:
    """Return how far a value moves, over `size`, in each step from the one at which it has a gradient of that size."""
    h = jnp.full((1, 1), value)
    state, moved = descent.init(h), []
    for t in range(at + 5):
        step, state = descent.update(jnp.full((1, 1), size if t == at else 0.0, h.dtype), state, h, None)
        moved.append(float(step[0, 0]) / size)
    return moved[at:]
