"""The figure of a run: how loss and accuracy went."""

from __future__ import annotations

import importlib.util
import math
import os
from collections.abc import Sequence
from typing import Any

from ._matplotlib import own_config
from ._result import Fit
from ._stopping import cost
from ._table import grouped

_COLOURS = {"train": "#4878a8", "validation": "#c8553d"}


def draw(fit: Fit, path: str | os.PathLike[str]) -> None:
    """Draw loss and accuracy for each epoch, on the training data and on the held-out ones: every network thin, their
    mean thick; of several settings the mean of each, the best named first.

    **Arguments:**

    - `fit`: of which there is something to draw, see `can_draw`.
    - `path`: of the picture, in any format that matplotlib writes.
    """
    with own_config():
        _draw(fit, path)


def can_draw(fit: Fit) -> bool:
    """Return whether matplotlib is installed and there is an epoch to draw."""
    return importlib.util.find_spec("matplotlib") is not None and bool(_panels(fit))


def _draw(fit: Fit, path: str | os.PathLike[str]) -> None:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator, PercentFormatter

    panels, settings = _panels(fit), _best_first(fit)
    # Not by pyplot, which would hold on to the figure and choose a backend for the whole program.
    figure = Figure(figsize=(4.8 * len(panels), 3.6), layout="constrained")
    FigureCanvasAgg(figure)
    figure.get_layout_engine().set(wspace=0.06)  # pyright: ignore  # the one of the line before
    for axes, name in zip(figure.subplots(1, len(panels), squeeze=False)[0], panels, strict=True):
        if len(settings) > 1:
            _draw_settings(axes, fit, name, settings)
        else:
            for kind, colour in _COLOURS.items():
                curves = _curves(fit, name if kind == "train" else f"validation_{name}")
                if curves:
                    _draw_curves(axes, curves, colour, kind)
        axes.set_xlabel("epoch")
        axes.set_ylabel(name)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(axis="y", color="0.9", linewidth=0.8)
        axes.set_axisbelow(True)
        axes.margins(x=0.03)
        if name == "accuracy":
            axes.yaxis.set_major_formatter(PercentFormatter(1.0))
        elif _spread(fit, name) > 30:
            axes.set_yscale("log")
    handles, labels = figure.axes[0].get_legend_handles_labels()
    figure.axes[-1].legend(handles, labels, frameon=False, loc="lower right" if panels[-1] == "accuracy" else "best")
    if len(settings) > 1:
        judged = "; broken: on the training data" if _curves(fit, "validation_loss") else ""
        figure.suptitle(f"{len(settings)} settings, means of their networks{judged}", fontsize="medium", color="0.35")
    elif len(fit.members) > 1:
        figure.suptitle(f"{len(fit.members)} networks and their mean", fontsize="medium", color="0.35")
    figure.savefig(path, dpi=160)


def _panels(fit: Fit) -> list[str]:
    return [name for name in ("loss", "accuracy") if _curves(fit, name) or _curves(fit, f"validation_{name}")]


Curve = dict[int, float]


def _best_first(fit: Fit) -> list[list[int]]:
    """The numbers of the networks of each setting."""
    by, mode = ("loss", "min") if fit.by is None else (fit.by, fit.mode)

    def least(network: int) -> float:
        return min((cost(row, by, mode) for row in fit.of(network) if by in row), default=math.inf)

    return sorted(grouped(fit.members), key=lambda group: sum(map(least, group)) / len(group))


def _draw_settings(axes: Any, fit: Fit, name: str, settings: Sequence[Sequence[int]]) -> None:
    from matplotlib import colormaps

    colours = colormaps["viridis"]
    for place, group in enumerate(settings):
        label: str | None = ", ".join(f"{k} {v:g}" for k, v in fit.members[group[0]].settings.items())
        for metric, style in ((f"validation_{name}", "-"), (name, "--" if _curves(fit, "validation_loss") else "-")):
            curves = _curves(fit, metric, group)
            if curves:
                colour = colours(0.9 * place / (len(settings) - 1))
                axes.plot(*_points(_mean(curves)), color=colour, linestyle=style, linewidth=1.6, label=label)
                label = None


def _mean(curves: Sequence[Curve]) -> Curve:
    # Of those epochs that all have: a mean that loses a network jumps.
    common = set.intersection(*(set(curve) for curve in curves))
    return {epoch: sum(curve[epoch] for curve in curves) / len(curves) for epoch in sorted(common)}


def _curves(fit: Fit, metric: str, networks: Sequence[int] | None = None) -> list[Curve]:
    """The metric by epoch of each network (of those given), those that have any."""
    curves: list[Curve] = [{} for _ in fit.members]
    for row in fit.history:
        if row.get(metric) is not None and (networks is None or row["network"] in networks):
            curves[row["network"]][row["epoch"]] = row[metric]
    return [curve for curve in curves if curve]


def _draw_curves(axes: Any, curves: Sequence[Curve], colour: str, label: str) -> None:
    marker = "o" if max(len(c) for c in curves) <= 15 else None
    if len(curves) == 1:
        axes.plot(*_points(curves[0]), color=colour, marker=marker, markersize=3.5, linewidth=1.8, label=label)
        return
    for curve in curves:
        axes.plot(*_points(curve), color=colour, linewidth=0.8, alpha=0.35)
    axes.plot(*_points(_mean(curves)), color=colour, marker=marker, markersize=3.5, linewidth=2.2, label=label)


def _points(curve: Curve) -> tuple[list[int], list[float]]:
    return list(curve), list(curve.values())


def _spread(fit: Fit, name: str) -> float:
    values = [v for metric in (name, f"validation_{name}") for curve in _curves(fit, metric) for v in curve.values()]
    return max(values) / min(values) if min(values) > 0 else 1.0
