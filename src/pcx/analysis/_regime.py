"""The regime meter: is it backpropagation in other words, has it settled, does it diverge?"""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Float

from ..learning import Rule, State
from ..predictive_coding import EnergyModule
from ._layout import Layout, layout_of, module_of
from ._measure import Measured, measuring
from ._networks import Batch, as_state, for_each, networks_in, taken_apart
from ._reasons import is_lost
from ._record import Numbers, Regime, stacked
from ._verdict import ROUNDING, Thresholds, as_thresholds, judged, last_row, rest_of
from ._watch import NEVER, UNKNOWN, Watched, in_order


def regime(
    rule: Rule,
    model: State | EnergyModule,
    batch: Batch,
    *,
    thresholds: Thresholds | None = None,
    curvature: bool = True,
) -> Regime:
    """Measure what regime a network is trained in: how far its values have settled on a batch, and how far its weight
    gradient is backpropagation's, layer by layer. Nothing is changed.

    The cost is that of about three steps: gradients by the values are taken twice at each inference step. The curvature
    takes up to 150 products with the Hessian, each of which costs two gradients; fewer where it is found sooner, or
    where the vectors that are kept, one for each, would need more than a gigabyte. What was not found to 1e-4 is said.

    **Arguments:**

    - `rule`: any rule. One of your own is judged by its `Update`; it says how it settles by `settling`.
    - `model`: the state, of one network or of several (`pcx.learning.stack`); or a model before its first step.
    - `batch`: `(x, y)`, `[batch, ...]` each, as for `rule.step`.
    - `thresholds`: by which the verdict is made.
    - `curvature`: whether to find the curvature of the energy and the largest stable step, of rules that say how they
        settle: where values end, or where they start if they run away from there.

    **Returns:** a `Regime`; print it for a table.

    **Raises:** `TypeError` for what is no rule, state or batch; `ValueError` for a state of another rule.
    """
    state, limits = as_state("regime", rule, model, batch), as_thresholds("regime", thresholds)
    layout = layout_of(rule, state, batch)
    networks = networks_in(state)
    found = taken_apart(for_each(measuring(rule, bends=curvature), state, batch), networks)
    records = [record_of(rule.name, m, layout, limits) for m in found]
    return records[0] if networks is None else stacked(records)


def record_of(rule: str, measured: Measured, layout: Layout, limits: Thresholds) -> Regime:
    """Return the record of one network.

    **Arguments:**

    - `rule`: its name.
    - `measured`, `layout`: its numbers on the host, and their names.
    - `limits`: by which the verdict is made.
    """
    bends = measured.bends
    stable = math.nan if bends is None else float(bends.stable_step)
    verdict, why = judged(measured, layout, limits, stable)
    total = sum(float(e) for e in measured.energies.values())
    watched = measured.settlings[0] if measured.settlings else None
    modules = _modules(measured, layout)
    energies = {n: measured.energies[n] for n in (*layout.nodes, "") if n in measured.energies}
    return Regime(
        rule=rule,
        verdict=verdict,
        why=why,
        energy=_numbers(energies),
        share=_numbers({n: float(e) / total if total else math.nan for n, e in energies.items()}),
        moving={} if watched is None else _numbers(in_order(_moving(watched), layout.nodes)),
        rest={} if watched is None else _numbers(in_order(_rest(watched), layout.nodes)),
        arrival={}
        if watched is None
        else {n: np.asarray(a) for n, a in in_order(arrivals(watched), layout.nodes).items()},
        cosine=_numbers({p: measured.gradients.products[p] for p in layout.weights}),
        norm_ratio=_numbers(
            {p: _ratio(measured.gradients.norms[p], measured.gradients.others[p]) for p in layout.weights}
        ),
        module_cosine=_numbers({m: cosine for m, (cosine, _) in modules.items()}),
        module_norm_ratio=_numbers({m: ratio for m, (_, ratio) in modules.items()}),
        alignment=_number(measured.alignment),
        backprop_alignment=_number(measured.backprop_alignment),
        steps=_number(measured.steps),
        step=_number(math.nan if layout.step is None else layout.step.rate),
        curvature=np.asarray([math.nan] * 2 if bends is None else [float(bends.largest), float(bends.smallest)]),
        curvature_error=np.asarray(
            [math.nan] * 2 if bends is None else [float(bends.largest_error), float(bends.smallest_error)]
        ),
        stable_step=_number(stable),
        thresholds=limits,
    )


def arrivals(watched: Watched) -> dict[str, int]:
    """Return the step at which a gradient first comes to each free node, from 0; `NEVER` if none does.

    **Arguments:**

    - `watched`: the settling, on the host.
    """
    return {n: _first(watched, n) for n in watched.gradients}


def _first(watched: Watched, name: str) -> int:
    """Return the first row at which a node has a gradient that is no rounding."""
    gradients, known = np.asarray(watched.gradients[name]), int(watched.arrival[name])
    if known == NEVER:
        return NEVER
    value = watched.values[name]
    floor = ROUNDING * float(np.finfo(value.dtype).eps) * float(value) if known == UNKNOWN else 0.0
    begin = max(known, 0)
    there = np.flatnonzero(gradients[begin : last_row(watched) + 1] > floor)
    return begin + int(there[0]) if len(there) else NEVER


def _rest(watched: Watched) -> dict[str, float]:
    """Return each free node's gradient at the end as `rest_of` does; NaN where no error has come, or none that is more
    than rounding."""
    missing = {n for n in watched.gradients if _first(watched, n) == NEVER or is_lost(watched, [n])}
    return {n: math.nan if n in missing else r for n, r in rest_of(watched).items()}


def _moving(watched: Watched) -> dict[str, float]:
    """Return each free node's gradient at the end over its first one."""
    found = {}
    for name, gradients in watched.gradients.items():
        first = _first(watched, name)
        found[name] = math.nan if first == NEVER else float(gradients[last_row(watched)] / gradients[first])
    return found


def _modules(measured: Measured, layout: Layout) -> dict[str, tuple[float, float]]:
    """Return the cosine and the ratio of norms of all weights of each module together."""
    found: dict[str, list[str]] = {}
    for path in layout.weights:
        found.setdefault(module_of(path), []).append(path)
    g = measured.gradients
    modules = {}
    for module, paths in found.items():
        a, b = (np.asarray([float(norms[p]) for p in paths]) for norms in (g.norms, g.others))
        cosines = np.nan_to_num([float(g.products[p]) for p in paths], nan=0.0)
        # Over the largest of each, for squares of small numbers.
        over = [x / (np.max(x) or 1.0) for x in (a, b)]
        length = float(np.linalg.norm(over[0]) * np.linalg.norm(over[1]))
        cosine = float(np.sum(cosines * over[0] * over[1])) / length if length else math.nan
        modules[module] = cosine, _ratio(np.linalg.norm(a), np.linalg.norm(b))
    return modules


def _ratio(a: ArrayLike, b: ArrayLike) -> float:
    one, two = float(np.asarray(a)), float(np.asarray(b))
    return one / two if two else math.nan


def _number(x: ArrayLike) -> Float[np.ndarray, ""]:
    return np.asarray(float(np.asarray(x)))


def _numbers(found: Mapping[str, ArrayLike]) -> Numbers:
    return {n: _number(v) for n, v in found.items()}
