"""The figure of `pcx run zil`."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..training import own_config
from ._zil import Data


@dataclass(frozen=True)
class Boundary:
    """A network over a grid: coordinates and the difference of the two logits, all `[rows, columns]`."""

    x: np.ndarray
    y: np.ndarray
    margin: np.ndarray


# Colours that stay apart for colour-blind eyes. Z-IL and backpropagation all but coincide: a broad line beneath, a
# dashed one on top, so that both are seen.
_STYLES: dict[str, dict[str, Any]] = {
    "zil": {"label": "Z-IL", "color": "#0072B2", "linewidth": 4.0, "linestyle": "-", "alpha": 0.6},
    "hil": {"label": "HIL", "color": "#D55E00", "linewidth": 1.8, "linestyle": "-", "alpha": 1.0},
    "backprop": {"label": "backprop", "color": "#222222", "linewidth": 1.6, "linestyle": "--", "alpha": 1.0},
}
_POINTS: tuple[dict[str, Any], ...] = ({"color": "#9AD1E3", "marker": "o"}, {"color": "#F2B48C", "marker": "^"})


def load() -> None:
    """Imports what `draw` needs, ahead of time."""
    with own_config():
        import matplotlib.figure  # noqa: F401


def draw(path: Path, accuracy: dict[str, np.ndarray], boundaries: dict[str, Boundary], data: Data) -> None:
    """Draws, left, the test accuracy per epoch and, right, what one network per rule has learned.

    **Arguments:**

    - `accuracy`: `[seeds, epochs]` per rule.
    - `boundaries`: one network per rule.
    - `data`: the test points.
    """
    with own_config():
        from matplotlib.figure import Figure
        from matplotlib.lines import Line2D
        from matplotlib.ticker import MaxNLocator, PercentFormatter

        figure = Figure(figsize=(11, 4.4), layout="constrained", dpi=150)
        left, right = figure.subplots(1, 2, width_ratios=(1, 1.15))

        seeds, epochs = next(iter(accuracy.values())).shape
        steps = np.arange(1, epochs + 1)
        for rule, values in accuracy.items():
            style = _STYLES[rule]
            mean, std = values.mean(axis=0), values.std(axis=0)
            top = np.minimum(mean + std, 1.0)
            left.fill_between(steps, mean - std, top, color=style["color"], alpha=0.13, linewidth=0)
            left.plot(steps, mean, marker="o", markersize=3, **style)
        title = f"Test accuracy, mean ± deviation over {seeds} seeds" if seeds > 1 else "Test accuracy, one seed"
        left.set(xlabel="epoch", ylabel="test accuracy", title=title)
        left.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
        left.yaxis.set_major_formatter(PercentFormatter(1.0))
        left.grid(alpha=0.3)
        left.spines[["top", "right"]].set_visible(False)
        left.legend(loc="lower right", frameon=False)

        for label, style in enumerate(_POINTS):
            points = data.x_test[data.y_test == label]
            right.scatter(*points.T, s=9, alpha=0.8, linewidths=0, **style)
        for rule, grid in boundaries.items():
            style = _STYLES[rule]
            right.contour(
                grid.x,
                grid.y,
                grid.margin,
                levels=[0.0],
                colors=[style["color"]],
                linewidths=style["linewidth"],
                linestyles=style["linestyle"],
                alpha=style["alpha"],
            )
        handles = [Line2D([], [], **_STYLES[rule]) for rule in boundaries]
        handles += [
            Line2D([], [], linestyle="", label=f"class {label}", **style) for label, style in enumerate(_POINTS)
        ]
        # Beneath, since a boundary may run through any corner.
        right.legend(handles=handles, loc="upper center", bbox_to_anchor=(0.5, 0.0), ncols=5, frameon=False, fontsize=9)
        right.set(title="Decision boundaries of the first seed, test points", xticks=[], yticks=[], aspect="equal")
        right.spines[:].set_visible(False)
        figure.savefig(path)
