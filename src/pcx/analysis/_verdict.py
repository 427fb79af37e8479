"""The verdict on a run: backprop-like, transient, equilibrium or diverging, and the thresholds that it is made by."""

from __future__ import annotations

import dataclasses
import functools
import math
from typing import Literal, TypeAlias

import numpy as np

from ..core import real
from ._layout import Layout
from ._measure import Measured
from ._watch import NEVER, UNKNOWN, Watched

Verdict: TypeAlias = Literal["backprop-like", "transient", "equilibrium", "diverging", "unknown"]

COSINE = 0.99
SPREAD = 10.0
REST = 0.01
RISE = 0.1
ROUNDING = 8.0
"""Times the rounding of a value: what is no more than that counts as nothing."""


@dataclasses.dataclass(frozen=True)
class Thresholds:
    """The numbers by which a verdict is made, the first that holds of:

    - *diverging*: a number is not finite, the energy ended above its start by more than a tenth, or it is rising and
        has risen above its least by more than `rise`;
    - *backprop-like*: in every layer the cosine to backpropagation's weight gradient is at least `cosine`, and the
        ratios of the norms of both differ between hidden layers by no more than a factor of `spread`. The last layers
        don't count for that: their error is the loss's under every rule;
    - *diverging*: the step of plain gradient descent is above the largest stable one;
    - *equilibrium*: errors can have reached every node, and at each of them `|dE/dh|` is at most `rest` times what its
        own error pulls with: the pulls on it balance. A node without an error of its own, such as a free latent, is
        at rest if `|dE/dh|` is at most `rest` times the largest that it was;
    - *transient*: neither. Of a rule that doesn't say how it settles (`Rule.settling`) it is *unknown* then.

    **Arguments:**

    - `cosine`, `spread`, `rest`, `rise`: these numbers.
    """

    cosine: float = COSINE
    spread: float = SPREAD
    rest: float = REST
    rise: float = RISE

    def __post_init__(self) -> None:
        for name, least, most, wanted in _BOUNDS:
            ok = functools.partial(_within, least=least, most=most)
            real("Thresholds", name, getattr(self, name), ok, f"one number {wanted}")


_BOUNDS = (
    ("cosine", -1.0, 1.0, "from -1 to 1"),
    ("spread", 1.0, math.inf, "of 1 or more"),
    ("rest", 0.0, math.inf, "of 0 or more"),
    ("rise", 0.0, math.inf, "of 0 or more"),
)


def _within(x: np.ndarray, least: float, most: float) -> np.ndarray | np.bool_:
    return (x.ndim == 0) & (x >= least) & (x <= most)


def as_thresholds(call: str, x: Thresholds | None) -> Thresholds:
    """Return thresholds, the default ones for None.

    **Arguments:**

    - `call`: the name by which errors begin.
    - `x`: what was given.

    **Raises:** `TypeError` for anything else.
    """
    if x is not None and not isinstance(x, Thresholds):
        raise TypeError(f"{call}: thresholds must be a pxa.Thresholds, such as pxa.Thresholds(cosine=0.9), got {x!r}")
    return Thresholds() if x is None else x


def judged(measured: Measured, layout: Layout, limits: Thresholds, stable_step: float) -> tuple[Verdict, str]:
    """Return the verdict on one network, and why.

    **Arguments:**

    - `measured`, `layout`: its numbers on the host, and their names.
    - `limits`: the thresholds.
    - `stable_step`: the largest stable step, NaN if it isn't known.
    """
    if not measured.finite or not all(s.finite for s in measured.settlings):
        return "diverging", "a number is not finite: lower the rate of the values"
    if measured.uphill:
        return "diverging", "the energy is above that before settling: lower the rate of the values"
    risen = 0.0 if layout.noisy else max([rise_of(s) for s in measured.settlings], default=0.0)
    if risen > limits.rise:
        return "diverging", (
            f"the energy is rising, {risen:.0%} above the least that it was: lower the rate of the values"
        )
    like, why = _like_backprop(measured, layout, limits)
    if like:
        return "backprop-like", why
    step = math.nan if layout.step is None else layout.step.rate
    if step > stable_step:
        return "diverging", (
            f"the step of the values, {step:.3g}, is above the largest stable one, {stable_step:.3g}: with more steps "
            "the energy grows without end"
        )
    if not measured.settlings:
        return "unknown", f"{why}, and the rule doesn't say how its values settle"
    away = {n: r for s in measured.settlings for n, r in rest_of(s).items()}
    unreached = [n for s in measured.settlings for n in unreached_by(s)]
    worst = max(away, key=lambda n: away[n], default=None)
    if unreached:
        return (
            "transient",
            f"errors have not come to {_some(unreached)}: more inference steps, or rates that go further",
        )
    if worst is None or away[worst] <= limits.rest:
        most = 0.0 if worst is None else away[worst]
        return "equilibrium", f"the pulls on every node balance, up to {most:.1g} of its own; {why}"
    pulled = any(worst in s.pulls for s in measured.settlings)
    beside = "what its own error pulls with" if pulled else "the largest that it was"
    return "transient", f"values still move: at {worst} the gradient is {away[worst]:.2g} times {beside}; {why}"


def rise_of(watched: Watched) -> float:
    """Return by how much of its least the total energy has risen, 0 where it isn't rising or values don't descend on
    it."""
    if not watched.descends:
        return 0.0
    total = totals(watched)
    if len(total) < 2 or not total[-1] > total[-2]:
        return 0.0
    least = float(np.min(total))
    return float(total[-1] - least) / abs(least) if least else math.inf


def totals(watched: Watched) -> np.ndarray:
    """Return the total energy at the steps that were really taken, `[steps + 1]`."""
    total = np.sum(np.stack([np.asarray(e, float) for e in watched.energies.values()]), axis=0)
    return total[: last_row(watched) + 1]


def last_row(watched: Watched) -> int:
    """Return the step at which the last sample stopped."""
    rows = len(next(iter(watched.energies.values())))
    return min(int(np.max(watched.steps)), rows - 1)


def rest_of(watched: Watched) -> dict[str, float]:
    """Return each free node's gradient at the end, over what its own error pulls with, or over its largest gradient if
    it has no error of its own; 0 where that is but rounding."""
    found = {}
    for name, gradients in watched.gradients.items():
        there, value = np.asarray(gradients)[: last_row(watched) + 1], watched.values[name]
        last, beside = float(there[-1]), float(watched.pulls[name] if name in watched.pulls else np.max(there))
        nothing = last <= ROUNDING * float(np.finfo(value.dtype).eps) * float(value)
        found[name] = 0.0 if nothing else last / beside if beside else math.inf
    return found


def unreached_by(watched: Watched) -> list[str]:
    """Return the free nodes to which no error can have come in the steps that were taken."""
    last = last_row(watched)
    return [n for n, a in watched.arrival.items() if a != UNKNOWN and (a == NEVER or a >= last)]


def _like_backprop(measured: Measured, layout: Layout, limits: Thresholds) -> tuple[bool, str]:
    found = measured.gradients
    learns = [p for p in layout.weights if found.norms[p] > 0 or found.others[p] > 0]
    if not learns or not any(found.others[p] > 0 for p in learns):
        return False, "backpropagation has no gradient to compare with"
    cosines = {p: float(np.nan_to_num(found.products[p], nan=0.0)) for p in learns}
    worst = min(cosines, key=lambda p: cosines[p])
    if cosines[worst] < limits.cosine:
        return False, f"the cosine to backpropagation is {cosines[worst]:.3g} at {worst}"
    hidden = [p for p in learns if not set(layout.owners[p]) & set(layout.clamped)]
    ratios = [float(found.norms[p] / found.others[p]) for p in hidden]
    spread = max(ratios) / min(ratios) if ratios else 1.0
    if spread > limits.spread:
        return False, (
            "each layer's weight gradient has backpropagation's direction, but their sizes differ by a factor of "
            f"{spread:.3g}"
        )
    return True, f"the cosine to backpropagation is at least {cosines[worst]:.6f} in every layer"


def _some(names: list[str]) -> str:
    names = list(dict.fromkeys(names))
    return ", ".join(names if len(names) <= 4 else [*names[:2], f"... {len(names) - 3} more ...", names[-1]])
