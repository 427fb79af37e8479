"""The way layers with equal local predictions are computed: stacked, looped, or each apart."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import jax
from jaxtyping import PyTree

from ..energy import Form, Problem, layer_devices
from ._types import EqualLayers

if TYPE_CHECKING:
    from ._rule import Rule
    from ._state import State


def as_equal_layers(rule: str, x: Any, can: bool) -> EqualLayers:
    """Return how equal layers are computed, from what was given.

    **Arguments:**

    - `rule`: the name by which errors begin.
    - `x`: what was given.
    - `can`: whether the rule can compute them together.

    **Raises:** `ValueError` for anything else, or what the rule can't do.
    """
    if not isinstance(x, str) or x not in ("auto", "stacked", "looped", "apart"):
        raise ValueError(f"{rule}: equal_layers must be 'auto', 'stacked', 'looped' or 'apart', got {x!r}")
    if x in ("stacked", "looped") and not can:
        raise ValueError(f"{rule}: it computes each layer apart: leave equal_layers={x!r} out")
    return x


def equal_layers_in_words(rule: Rule, state: State, batch: tuple[PyTree, PyTree]) -> str:
    """Say which layers of a network are equal, and how a rule computes them.

    **Arguments:**

    - `rule`: the rule.
    - `state`: from its `init`.
    - `batch`: `(x, y)`, `[batch, ...]` each.

    **Returns:** such as `vodes[1] to vodes[30]: 30 equal layers, looped`; empty if no layers are equal.
    """
    bound, found = rule.bind(state, batch), []
    problem: Any = bound.problem
    parts = (problem.generative, problem.recognition) if hasattr(problem, "recognition") else (problem,)
    for run in [run for part in parts for run in part.runs]:
        first, last, blocks = run.groups[0].names[0], run.groups[-1].names[-1], len(run.groups)
        kind = "layers" if blocks == 1 else f"blocks of {blocks} layers"
        found.append(f"{first} to {last}: {run.repeats} equal {kind}, {bound.form or 'each apart'}")
    return "; ".join(found)


class Stacking:
    """The part of a rule that is about equal layers, see `Rule`."""

    in_stacks: bool = False
    """Whether `learn` can be given arrays by node as `pcx.energy.Stacks`, of a bound problem whose equal layers are
    computed together."""
    by_layer: bool = False
    """Whether the equal layers of all that `learn` does can be shared out over devices, each of which works on its own
    at the same time as the others."""
    equal_layers: EqualLayers = "auto"
    repeats_that_pay: int = 48
    """How many layers must repeat for a loop over them to be worth it on CPUs."""

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        if "learn" in vars(cls) and "in_stacks" not in vars(cls):
            cls.in_stacks = False  # that of its base says nothing of another `learn`
        if not cls.in_stacks and "by_layer" not in vars(cls):
            cls.by_layer = False

    def can_stack(self, problem: Problem) -> bool:
        """Return whether the equal layers of a problem can be computed together.

        **Arguments:**

        - `problem`: nodes and their graph.

        **Returns:** True, unless the rule needs some of them apart.
        """
        return True

    def takes_apart(self, problem: Problem) -> str | None:
        """Say what of the rule asks for equal layers one by one, so that they can't be shared out over devices.

        **Arguments:**

        - `problem`: nodes and their graph.

        **Returns:** the reason in words; None if nothing does.
        """
        return None

    def form(self, problem: Problem) -> Form | None:
        """Return how the equal layers of a problem are computed.

        **Arguments:**

        - `problem`: the problem.

        **Returns:** `"stacked"` or `"looped"`; None if each is apart.
        """
        if not self.in_stacks or self.equal_layers == "apart" or not self.can_stack(problem):
            return None
        if layer_devices() > 1:  # each of them has a part of the stacks
            return "stacked" if problem.runs else None
        return form_of(self.equal_layers, problem, self.repeats_that_pay)


# Measured by benchmarks/depth.py. On CPUs a loop takes its layers one after the other, where the written out ones share
# the cores, and reads each one's weights into a place of its own: that pays where layers are many and small. Larger
# ones run faster apart, by up to a quarter, though they compile longer. So do rules that do more in the
# loop than move values, by a tenth to a quarter: there it is taken where compiling each layer would take many seconds.
_MANY = 10
_SMALL = 2**19  # samples times numbers of a layer's largest weight
# The loop copies each weight before it is used. A few samples are done with it sooner than that, unless it is tiny.
_TINY, _LIGHT, _SOME = 2**13, 2**15, 4  # numbers of a weight, twice, and samples


def form_of(given: EqualLayers, problem: Problem, pays: int) -> Form | None:
    """Return how the equal layers of a problem are computed; None if each is apart.

    **Arguments:**

    - `given`: what the rule was asked for.
    - `problem`: the problem.
    - `pays`: how many layers must repeat for a loop to be worth it on CPUs.
    """
    if given == "apart" or not problem.runs:
        return None
    if given != "auto":
        return given
    repeats = max(run.repeats for run in problem.runs)
    if jax.default_backend() != "cpu":
        return "stacked" if repeats >= _FEW else None
    largest = max([w.size for run in problem.runs for w in problem.weights_of_run(run)], default=0)
    light = largest <= _TINY or (largest <= _LIGHT and problem.size >= _SOME)
    return "looped" if repeats >= max(pays, _MANY) and light and problem.size * largest <= _SMALL else None


_FEW = 3
