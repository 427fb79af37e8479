"""A picture of what accuracy costs under each rule."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float

from ..training import Fit
from ._axes import AxesLike, axes_or_new, plain
from ._plot_seeds import curves

History = Fit | Sequence[Mapping[str, Any]]


def plot_cost(
    runs: Mapping[str, History],
    costs: Mapping[str, float],
    ax: AxesLike | None = None,
    *,
    batches: int | Mapping[str, int],
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

    **Raises:** `ValueError` for no runs, for a run without a cost or without the metric, and for costs and batches that
    are not above 0.
    """
    if not runs:
        raise ValueError("plot_cost: there are no runs")
    steps = {name: batches if isinstance(batches, int) else batches.get(name) for name in runs}
    drawn: dict[str, tuple[Float[np.ndarray, " epochs"], Float[np.ndarray, "networks epochs"]]] = {}
    for name, run in runs.items():
        each, cost = steps[name], costs.get(name)
        if cost is None or each is None or not cost > 0 or not each > 0:
            raise ValueError(
                f"plot_cost: {name} needs a cost and batches above 0; got {cost} and {each}; costs has {list(costs)}"
            )
        epochs, values = _by_epoch(name, run, metric)
        drawn[name] = epochs * each * cost, values
    ax = axes_or_new(ax)
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
    rows = history.history if isinstance(history, Fit) else history
    if not any(row.get(metric) is not None for row in rows):
        there = sorted({key for row in rows for key in row})
        raise ValueError(f"plot_cost: {name} has no metric {metric!r}; its history has {', '.join(there) or 'no rows'}")
    epochs, networks = sorted({row["epoch"] for row in rows}), sorted({row.get("network", 0) for row in rows})
    values = np.full((len(networks), len(epochs)), np.nan)
    for row in rows:
        if row.get(metric) is not None:
            values[networks.index(row.get("network", 0)), epochs.index(row["epoch"])] = row[metric]
    return np.asarray(epochs, float), values
