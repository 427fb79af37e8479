"""The regime meter of a run, for `pcx.training.fit(regime=...)`."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import jax.tree_util as jtu

from ..core import Keyed, whole
from ..learning import Rule, State
from ..training import View
from ._health import findings_of, merged
from ._layout import Layout, layout_of
from ._measure import Measured, measured_by
from ._networks import Batch, compiled, taken_apart
from ._reasons import Finding, listed
from ._regime import record_of
from ._verdict import Thresholds, as_thresholds

EVERY = 500
"""Batches between two looks, if nothing else is said."""
TOLD = ("dead", "lost", "no gradient", "unmoved", "imbalance", "uphill")
"""The kinds of findings that a run is warned of. Weights out of reach the rule itself tells; frozen ones are meant."""
KEPT = (
    "verdict", "why", "module_cosine", "module_norm_ratio", "share", "moving", "rest", "alignment", "backprop_alignment"
)  # fmt: skip

CURVATURE = ("step", "stable_step", "curvature", "curvature_error")
"""What is kept beside these where the curvature is measured."""
WELL = "health: every layer learns"

Given = tuple[Mapping[str, jax.Array], State]


class Meter:
    """The regime meter of a run: `fit(regime=Meter())` looks every so many batches at what regime each network is
    trained in, and at its health before the first one. It is a `pcx.training.Probe`, for one run at a time.

    A look takes as long as a few steps. What takes longer is left out: the curvature, unless it is asked for, and the
    ranks of updates, which are left to `health`.

    **Arguments:**

    - `every`: batches between two looks; None: the health at the start is all.
    - `health`: whether to look at that, too.
    - `thresholds`: by which the verdict is made.
    - `curvature`: whether the first look and the last measure the curvature of the energy, too, and hence the largest
        stable step of the values, which the verdict then holds theirs against. It takes up to 60 products with the
        Hessian: on a CPU as long as a hundred batches.

    **Raises:** `TypeError` or `ValueError` for anything else.
    """

    def __init__(
        self,
        every: int | None = EVERY,
        *,
        health: bool = True,
        thresholds: Thresholds | None = None,
        curvature: bool = False,
    ) -> None:
        self.every = None if every is None else whole("Meter", "every", every, 1)
        for name, value in (("health", health), ("curvature", curvature)):
            if not isinstance(value, bool):
                raise TypeError(f"Meter: {name} must be True or False, got {value!r}")
        self.health, self.thresholds = health, as_thresholds("Meter", thresholds)
        self.curvature, self.well = curvature, ""
        self._rules: list[Rule] = []
        self._layouts: list[Layout] = []
        self._first: list[Measured] = []

    def begin(self, view: View) -> list[str]:
        """Look at a run that begins, or goes on.

        **Arguments:**

        - `view`: its networks.

        **Returns:** sentences on what keeps layers from learning; none where a run goes on. Where there is none,
        `well` has one that says that they learn.

        **Raises:** `ValueError` for a rule whose energy's curvature can't be measured, if it is asked for.
        """
        self._rules, self._layouts, self._first, self.well = _rules_of(view), [], [], ""
        known: dict[tuple[Any, ...], Layout] = {}
        for rule, settings, state in zip(self._rules, view.settings, view.states, strict=True):
            key = tuple(sorted(settings.items()))
            if key not in known:
                known[key] = layout_of(rule, state, view.batch)
            self._layouts.append(known[key])
        if not self.health or view.trained:
            return []
        self._first = self._measured(view, self.curvature)
        found = [findings_of(m, layout) for m, layout in zip(self._first, self._layouts, strict=True)]
        findings = merged(found) if len(found) > 1 else found[0]
        self.well = _well(findings)
        return [str(f) for f in findings if f.kind in TOLD]

    def look(self, view: View) -> list[dict[str, Any]]:
        """Measure the networks.

        **Arguments:**

        - `view`: the networks.

        **Returns:** for each the verdict, why, and some of the numbers of a `Regime`, by the same names; and as
        `"silent"` the layers that learn nothing.
        """
        bends = self.curvature and (view.last or not view.trained)
        found, self._first = self._first or self._measured(view, bends), []
        kept = (*KEPT, *(CURVATURE if bends else ()))
        return [self._row(*each, kept) for each in zip(self._rules, found, self._layouts, strict=True)]

    def _measured(self, view: View, bends: bool) -> list[Measured]:
        try:
            return _measured(view, bends)
        except ValueError as error:
            if str(error).startswith("curvature: "):
                raise ValueError(f"Meter: {error}; or leave curvature=True out") from error
            raise

    def _row(self, rule: Rule, measured: Measured, layout: Layout, kept: Sequence[str]) -> dict[str, Any]:
        record = record_of(rule.name, measured, layout, self.thresholds).to_dict()
        silent = [layer for f in findings_of(measured, layout) if f.silences for layer in f.layers]
        return {name: record[name] for name in kept} | {"silent": list(dict.fromkeys(silent))}


def _well(findings: Sequence[Finding]) -> str:
    """Return what there is to say where nothing was found but what was meant."""
    frozen = [layer for f in findings if f.kind == "frozen" for layer in f.layers]
    if any(f.kind != "frozen" for f in findings):
        return ""
    return WELL + (f" but for what is frozen: {listed(list(dict.fromkeys(frozen)))}" if frozen else "")


def _rules_of(view: View) -> list[Rule]:
    rules: list[Rule] = []
    for settings in view.settings:
        rule = _made(view.rule, settings)
        if not isinstance(rule, Rule):
            raise TypeError(
                f"Meter: the rule must be a pcx.learning.Rule, which has `learn`, not {type(rule).__name__}"
            )
        rules.append(rule)
    return rules


def _made(rule: Any, settings: Mapping[str, Any]) -> Any:
    return rule if isinstance(rule, Rule) else rule(**settings)


def _measured(view: View, bends: bool) -> list[Measured]:
    """Return the numbers of each network, on the host."""
    one: Any = _measuring(Keyed(view.rule), bends)
    given = [({n: jnp.asarray(s) for n, s in c.items()}, s) for c, s in zip(view.settings, view.states, strict=True)]
    # One CPU gains nothing from several at once.
    if len(given) > 1 and jax.default_backend() != "cpu":
        stacked = jtu.tree_map(lambda *a: jnp.stack(a), *given)
        return taken_apart(one.of_several(stacked, view.batch), len(given))
    return jax.device_get([one(each, view.batch) for each in given])


@functools.lru_cache(maxsize=16)
def _measuring(rule: Keyed, bends: bool) -> Callable[[Given, Batch], Measured]:
    """Return `measured_by` of a rule, compiled, with the settings as arrays."""

    def one(given: Given, batch: Batch) -> Measured:
        settings, state = given
        return measured_by(_made(rule.value, settings), state, batch, step=True, bends=bends, ranks=False)

    return compiled(one)
