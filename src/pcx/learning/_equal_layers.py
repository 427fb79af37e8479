"""How layers whose local predictions are equal are computed: stacked, looped, or each apart."""

from __future__ import annotations

from typing import Any

import jax

from ..energy import Form, Problem
from ._types import EqualLayers


def as_equal_layers(rule: str, x: Any, can: bool) -> EqualLayers:
    """Return how equal layers are computed, from what was given.

    **Arguments:**

    - `rule`: the name by which errors begin.
    - `x`: what was given.
    - `can`: whether the rule can compute them together.

    **Raises:** `ValueError` for anything else, or what the rule can't do.
    """
    if x not in ("auto", "stacked", "looped", "apart"):
        raise ValueError(f"{rule}: equal_layers must be 'auto', 'stacked', 'looped' or 'apart', got {x!r}")
    if x in ("stacked", "looped") and not can:
        raise ValueError(f"{rule}: it computes each layer apart: leave equal_layers={x!r} out")
    return x


# Measured by benchmarks/depth.py. On CPUs a loop takes its layers one after the other, and reads each one's weights
# into a place of its own: that pays where layers are many, and small enough to stay in the cache.
_MANY = 12
_SMALL = 128 * 128


def form_of(given: EqualLayers, problem: Problem) -> Form | None:
    """Return how the equal layers of a problem are computed; None if each is apart.

    **Arguments:**

    - `given`: what the rule was asked for.
    - `problem`: the problem.
    """
    if given == "apart" or not problem.runs:
        return None
    if given != "auto":
        return given
    repeats = max(run.repeats for run in problem.runs)
    if jax.default_backend() != "cpu":
        return "stacked" if repeats >= _FEW else None
    largest = max(w.size for run in problem.runs for w in problem.weights_of_run(run))
    return "looped" if repeats >= _MANY and largest <= _SMALL else None


_FEW = 3
