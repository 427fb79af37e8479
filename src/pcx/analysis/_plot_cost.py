"""A picture of what accuracy costs under each rule."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from jaxtyping import Float

from ..core import Whole
from ._axes import AxesLike, axes_or_new, plain
from ._given import by_name
from ._history import History, number, rows_of
from ._plot_seeds import curves

TAKES = "each run must be what pxt.fit returned, or rows of its history"


def plot_cost(
    runs: Mapping[str, History],
    costs: Mapping[str, float],
    ax: AxesLike | None = None,
    *,
    batches: Whole | Mapping[str, Whole],
    metric: str = "validation_accuracy",
) -> AxesLike:
    """Draw a metric of several runs against what they cost, in steps of backpropagation on the same network, on a
    logarithmic scale: a point for each epoch; of several networks each thin and their mean thick.

    **Arguments:**

    - `runs`: by name, what `pxt.fit` returned, or rows of a history, which `metrics.jsonl` in a run's folder holds.
    - `costs`: by the same names, what a step of the rule costs, with a step of backpropagation 1. The table in
        `docs/choose-a-rule.md` has it for networks of L layers and T inference steps.
    - `ax`: the axes to draw on; those of a new figure if there are none.
    - `batches`: how many steps an epoch has; by name if not all have as many.
    - `metric`: its name in the history.

    **Returns:** the axes.

    **Raises:** `TypeError` for what is no run, or not by name; `ValueError` for no runs, for a run without a cost or
        without finite numbers of the metric, and for costs and batches that are not above 0.
    """
    runs, costs = by_name("plot_cost", "runs", runs, "run"), by_name("plot_cost", "costs", costs, "cost")
    if not runs:
        raise ValueError("plot_cost: there are no runs")
    steps = {name: batches.get(name) if isinstance(batches, Mapping) else batches for name in runs}
    drawn: dict[str, tuple[Float[np.ndarray, " epochs"], Float[np.ndarray, "networks epochs"]]] = {}
    for name, run in runs.items():
        each, cost = steps[name], costs.get(name)
        if not (number(cost) > 0 and number(each) > 0):
            raise ValueError(
                f"plot_cost: {name} needs a cost and batches above 0; got {cost} and {each}; costs has {list(costs)}"
            )
        epochs, values = _by_epoch(name, run, metric)
        drawn[name] = epochs * number(each) * number(cost), values
    ax = axes_or_new("plot_cost", ax)
    percent = "accuracy" in metric
    for i, (name, (at, values)) in enumerate(drawn.items()):
        curves(ax, at, 100 * values if percent else values, i, name, None)
    ax.set_xscale("log")
    ax.set_xlabel("cost, in steps of backpropagation (log scale)")
    ax.set_ylabel(metric.replace("_", " ") + (", %" if percent else ""))
    ax.set_title(f"{metric.replace('_', ' ').capitalize()} against cost")
    plain(ax, "both")
    ax.legend(frameon=False, fontsize="small", loc="best")
    return ax


def _by_epoch(
    name: str, history: History, metric: str
) -> tuple[Float[np.ndarray, " epochs"], Float[np.ndarray, "networks epochs"]]:
    """Return the epochs, and the metric of each network at each; NaN where there is none."""
    rows = rows_of("plot_cost", TAKES, history)
    if not any(metric in row for row in rows):
        there = sorted({key for row in rows for key in row})
        raise ValueError(f"plot_cost: {name} has no metric {metric!r}; its history has {', '.join(there) or 'no rows'}")
    if not any(np.isfinite(number(row.get(metric))) for row in rows):
        raise ValueError(f"plot_cost: the metric {metric!r} of {name} has no number that is finite")
    epochs, networks = sorted({row["epoch"] for row in rows}), sorted({row.get("network", 0) for row in rows})
    values = np.full((len(networks), len(epochs)), np.nan)
    for row in rows:
        values[networks.index(row.get("network", 0)), epochs.index(row["epoch"])] = number(row.get(metric))
    return np.asarray(epochs, float), values
