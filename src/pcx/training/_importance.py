"""Importances: the part of a sweep's variance that each setting explains, and a figure of it."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from typing import Any

from ._domains import Choice, Integers, Log, stored
from ._matplotlib import own_config
from ._space import Space
from ._stopping import Mode
from ._types import Row

_FEW = 5  # values that an axis names, each
LEAST = 4  # settings that are done, below which nothing is said


def importances(space: Space, rows: Sequence[Row]) -> dict[str, float]:
    """Return the importance of each setting by functional ANOVA (Hutter, Hoos & Leyton-Brown 2014): the part that it
    explains, alone, of the variance of the value, as Optuna's evaluator says it; they sum to 1. All are 0 where the
    value is the same everywhere; nothing where too few are done.

    **Raises:** `ImportError` without scikit-learn.
    """
    import optuna
    from optuna.distributions import FloatDistribution

    done = [row for row in rows if row["ended"] == "done" and row["value"] is not None]
    if len(done) < LEAST:
        return {}
    if len({row["value"] for row in done}) == 1:
        return dict.fromkeys(space.domains, 0.0)
    distributions = space.distributions()
    logs = {n for n, d in space.domains.items() if isinstance(d, Log) or (isinstance(d, Integers) and d.log)}
    for name in logs:  # ANOVA weighs all parts of a range alike, and of a logarithmic one these are ratios
        distributions[name] = FloatDistribution(*_bounds(space, name))
    level = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        study = optuna.create_study()
        for row in done:
            params = {n: stored(v) for n, v in row["setting"].items()}
            for name in logs:
                low, high = _bounds(space, name)
                params[name] = min(max(math.log10(row["setting"][name]), low), high)
            study.add_trial(optuna.create_trial(params=params, distributions=distributions, value=row["value"]))
        evaluator = optuna.importance.FanovaImportanceEvaluator(seed=0)
        found = optuna.importance.get_param_importances(study, evaluator=evaluator)
    finally:
        optuna.logging.set_verbosity(level)
    return {name: float(value) for name, value in sorted(found.items(), key=lambda item: -item[1])}


def _bounds(space: Space, name: str) -> tuple[float, float]:
    """The logarithms of a range's bounds."""
    domain = space.domains[name]
    assert not isinstance(domain, Choice)
    return math.log10(domain.low), math.log10(domain.high)


def draw(
    space: Space, rows: Sequence[Row], found: Mapping[str, float], metric: str, mode: Mode, path: str | os.PathLike[str]
) -> None:
    """Draw the importances, and the value over each of the settings that mattered most.

    **Arguments:**

    - `found`: the importances.
    - `path`: of the picture, in any format that matplotlib writes.
    """
    with own_config():
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure

        names = list(found)[:4]
        # Not by pyplot, which would hold on to the figure and choose a backend for the whole program.
        figure = Figure(figsize=(3.4 * (1 + len(names)), 3.4), layout="constrained")
        FigureCanvasAgg(figure)
        first, *others = figure.subplots(1, 1 + len(names), squeeze=False)[0]
        shown = list(found)[::-1]
        first.barh([name.replace("_", " ") for name in shown], [found[name] for name in shown], color="#4878a8")
        first.set(title="what mattered", xlabel="part of the variance", xlim=(0, 1))
        done = [row for row in rows if row["ended"] == "done" and row["value"] is not None]
        for axes, name in zip(others, names, strict=True):
            _panel(axes, space, done, name, mode)
        if others:
            others[0].set_ylabel(metric.replace("_", " "))
        for axes in figure.axes:
            axes.spines[["top", "right"]].set_visible(False)
            axes.set_axisbelow(True)
            axes.grid(axis="both", color="0.9", linewidth=0.8)
        lost = len(rows) - len(done)
        note = f"; {lost} failed, pruned or not run" if lost else ""
        figure.suptitle(f"{len(done)} settings{note}", fontsize="medium", color="0.35")
        figure.savefig(path, dpi=160)


def _panel(axes: Any, space: Space, done: Sequence[Row], name: str, mode: Mode) -> None:
    """Draw the value over one setting: a point for each trial, and a line through the best of each value."""
    values = [row["setting"][name] for row in done]
    domain = space.domains[name]
    numbers = all(isinstance(v, (int, float)) and not isinstance(v, bool) for v in values)
    if numbers:
        at: list[Any] = values
    else:  # in the order of the list
        chosen = (
            [v for v in domain.values if v in values] if isinstance(domain, Choice) else list(dict.fromkeys(values))
        )
        at = [chosen.index(v) for v in values]
        axes.set_xticks(range(len(chosen)), [_label(v) for v in chosen])
    axes.plot(at, [row["value"] for row in done], "o", color="#4878a8", alpha=0.5, markersize=4, markeredgewidth=0)
    pick = max if mode == "max" else min
    best = {x: pick(row["value"] for row, y in zip(done, at, strict=True) if y == x) for x in sorted(set(at))}
    if len(best) <= max(len(done) // 2, 2):
        axes.plot(list(best), list(best.values()), color="#c8553d", linewidth=1.8)
    wide = numbers and min(at) > 0 and max(at) >= 10 * min(at)
    if isinstance(domain, Log) or (isinstance(domain, Integers) and domain.log) or wide:
        from matplotlib.ticker import NullFormatter

        axes.set_xscale("log")
        axes.xaxis.set_minor_formatter(NullFormatter())
    if numbers and len(best) <= _FEW:
        axes.set_xticks(list(best), [_label(v) for v in best])
        axes.minorticks_off()
    axes.set_title(name.replace("_", " "))


def _label(value: Any) -> str:
    if isinstance(value, tuple):
        return " ".join(map(_label, value))
    return f"{value:g}" if isinstance(value, float) else str(value)
