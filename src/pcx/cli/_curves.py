"""The figure of `pcx compare`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from ..training import own_config

# Okabe and Ito: apart for colour-blind eyes. backprop is black and dashed wherever it stands.
_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#8C6BB1", "#7F7F7F")


def draw(path: Path, accuracy: Mapping[str, np.ndarray], name: str) -> None:
    """Draw accuracy per epoch, the mean over the networks with their deviation around it.

    **Arguments:**

    - `accuracy`: `[networks, epochs]` for each rule, NaN where a network had stopped.
    - `name`: of what is shown.
    """
    with own_config():
        from matplotlib.figure import Figure
        from matplotlib.ticker import MaxNLocator, PercentFormatter

        figure = Figure(figsize=(7.5, 4.6), layout="constrained", dpi=150)
        axes = figure.subplots()
        colours = iter(_COLOURS)
        for rule, values in accuracy.items():
            black = rule == "backprop"
            colour = "#222222" if black else next(colours)
            shown = ~np.isnan(values).all(axis=0)
            steps, there = np.arange(1, values.shape[1] + 1)[shown], values[:, shown]
            mean, count = np.nanmean(there, axis=0), (~np.isnan(there)).sum(axis=0)
            std = np.sqrt(np.nansum((there - mean) ** 2, axis=0) / np.maximum(count - 1, 1))
            axes.fill_between(steps, mean - std, np.minimum(mean + std, 1), color=colour, alpha=0.15, linewidth=0)
            axes.plot(steps, mean, "--" if black else "-", color=colour, marker="o", markersize=3, label=rule)
        networks = max(len(values) for values in accuracy.values())
        title = f"{name}, mean ± deviation over {networks} networks" if networks > 1 else f"{name}, one network"
        axes.set(xlabel="epoch", ylabel=name, title=title)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
        axes.yaxis.set_major_formatter(PercentFormatter(1.0))
        axes.grid(alpha=0.3)
        axes.spines[["top", "right"]].set_visible(False)
        axes.legend(loc="lower right", frameon=False)
        figure.savefig(path)
