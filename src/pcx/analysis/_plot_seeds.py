"""A picture that compares rules or settings over their seeds, each of which is to be seen."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from jaxtyping import Float
from numpy.typing import ArrayLike

from ..core import real
from ._axes import BLACK, FEW, MOST, AxesLike, axes_or_new, look_of, name_ticks, plain, short, whole_ticks
from ._given import by_name, numbers, some_finite
from ._paired import student

LEVEL = 0.95
_ROWS = 20  # of names beside the curves, in one column


def plot_seeds(
    values: Mapping[str, ArrayLike],
    ax: AxesLike | None = None,
    *,
    label: str = "accuracy",
    at: ArrayLike | None = None,
    level: float = LEVEL,
) -> AxesLike:
    """Draw a number of several seeds for each of several rules, with every seed, the mean, and the confidence interval
    of the mean by Student's t. Numbers over epochs or steps are drawn as curves: every seed thin, the mean thick, the
    interval as a band. A single seed has no interval.

    **Arguments:**

    - `values`: `{name: [seeds]}`; or `{name: [seeds, steps]}` for curves. NaN where there is none.
    - `ax`: the axes to draw on; those of a new figure if there are none.
    - `label`: what the numbers are.
    - `at`: of curves the epochs or steps, `[steps]`; 1, 2, ... if it is left out.
    - `level`: of the interval.

    **Returns:** the axes.

    **Raises:** `TypeError` for what are no numbers, or not by name; `ValueError` for no numbers, for none that is
        finite, for numbers of other shapes, and for a level that isn't between 0 and 1.
    """
    given = by_name("plot_seeds", "values", values, "[seeds]}, such as {'pc': run.last('loss')")
    found = {str(name): numbers("plot_seeds", f"values of {name}", v) for name, v in given.items()}
    shapes = {name: v.shape for name, v in found.items()}
    dimensions = {len(shape) for shape in shapes.values()}
    if dimensions not in ({1}, {2}) or not all(v.size for v in found.values()):
        raise ValueError(f"plot_seeds: values are {{name: [seeds]}} or {{name: [seeds, steps]}}; got {shapes}")
    real("plot_seeds", "level", level, lambda v: (v > 0) & (v < 1), "between 0 and 1")
    some_finite("plot_seeds", "numbers", list(found.values()))
    if dimensions == {1}:
        if at is not None:
            raise ValueError("plot_seeds: at is for curves, {name: [seeds, steps]}")
        ax = axes_or_new("plot_seeds", ax)
        _points(ax, found, level)
    else:
        where = None if at is None else numbers("plot_seeds", "at", at)
        if where is not None and any(where.shape != v.shape[1:] for v in found.values()):
            raise ValueError(f"plot_seeds: at is [steps], as the curves; got {where.shape} and {shapes}")
        ax = axes_or_new("plot_seeds", ax)
        _curves(ax, found, where, level)
    ax.set_ylabel(label)
    ax.set_title("Every seed, and their mean" if any(len(v) > 1 for v in found.values()) else "One seed of each")
    plain(ax)
    return ax


def mean_and_half(
    values: Float[np.ndarray, "seeds ..."], level: float = LEVEL
) -> tuple[Float[np.ndarray, ...], Float[np.ndarray, ...]]:
    """Return the mean over the seeds, and half of its confidence interval: `t s / sqrt(n)`, with s the standard
    deviation of the n seeds that have a number; NaN where there are too few.

    **Arguments:**

    - `values`: NaN where there is none.
    - `level`: of the interval.
    """
    there = np.isfinite(values)
    count = there.sum(axis=0)
    mean = np.where(count > 0, np.where(there, values, 0).sum(axis=0) / np.maximum(count, 1), np.nan)
    squares = np.where(there, np.square(values - mean), 0).sum(axis=0)
    freedom = np.maximum(count - 1, 1)
    half = student(freedom, level) * np.sqrt(squares / freedom / np.maximum(count, 1))
    return mean, np.where(count > 1, half, np.nan)


def _points(ax: AxesLike, found: Mapping[str, Float[np.ndarray, " seeds"]], level: float) -> None:
    said: set[str] = set()

    def once(label: str) -> str:
        new = label not in said
        said.add(label)
        return label if new else ""

    for i, seeds in enumerate(found.values()):
        seeds = seeds[np.isfinite(seeds)]
        if not len(seeds):
            continue
        # Beside one another, so that seeds with the same number are all seen.
        beside = i + np.linspace(-0.16, 0.16, len(seeds)) if len(seeds) > 1 else np.asarray([float(i)])
        colour, marker, _ = look_of(i)
        ax.plot(beside, seeds, marker, color=colour, markersize=5, markeredgewidth=0, alpha=0.7)
        if len(seeds) == 1:
            continue
        mean, half = mean_and_half(seeds, level)
        ax.hlines(mean, i - 0.26, i + 0.26, color=BLACK, linewidth=1.8, label=once("mean"))
        said_of_it = once(f"{level:.0%} interval of the mean")
        ax.errorbar([i + 0.33], mean, yerr=half, color=BLACK, capsize=3, linewidth=1.2, label=said_of_it)
    ax.set_xlim(-0.6, len(found) - 0.4)
    ax.margins(y=0.12)
    name_ticks(ax, list(found), "x", 2 * MOST)
    if said:
        ax.legend(frameon=False, fontsize="small", loc="best")


def _curves(
    ax: AxesLike,
    found: Mapping[str, Float[np.ndarray, "seeds steps"]],
    at: Float[np.ndarray, " steps"] | None,
    level: float,
) -> None:
    for i, (name, seeds) in enumerate(found.items()):
        here = np.arange(1.0, seeds.shape[1] + 1) if at is None else at
        curves(ax, here, seeds, i, name, level)
    if at is None:
        whole_ticks(ax)
        ax.set_xlabel("epoch")
    if len(found) <= FEW:
        ax.legend(frameon=False, fontsize="small", loc="best")
        return
    # So many names would lie over the curves.
    columns = -(-len(found) // _ROWS)
    ax.legend(frameon=False, fontsize="small", loc="center left", bbox_to_anchor=(1.01, 0.5), ncols=columns)


def curves(
    ax: AxesLike,
    at: Float[np.ndarray, " steps"],
    seeds: Float[np.ndarray, "seeds steps"],
    place: int,
    name: str,
    level: float | None,
) -> None:
    """Draw every seed thin, their mean thick, and the interval of the mean as a band.

    **Arguments:**

    - `ax`: the axes.
    - `at`: where the numbers are.
    - `seeds`: the numbers.
    - `place`: which of several this is: it has colour, marker and kind of line from this.
    - `name`: for the legend.
    - `level`: of the interval; None for none.
    """
    colour, marker, style = look_of(place)
    mean, half = mean_and_half(seeds, level or LEVEL)
    if len(seeds) > 1:
        ax.plot(at, seeds.T, color=colour, linewidth=0.7, alpha=0.45)
        if level is not None:
            ax.fill_between(at, mean - half, mean + half, color=colour, alpha=0.15, linewidth=0)
    every = max(1, -(-len(at) // 12))
    label = short(name) + (f", mean of {len(seeds)}" if len(seeds) > 1 else "")
    ax.plot(
        at,
        mean,
        color=colour,
        linestyle=style,
        marker=marker,
        markevery=every,
        markersize=5,
        linewidth=1.8,
        label=label,
    )
