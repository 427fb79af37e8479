"""The figure of an experiment, by what draws pictures in `pcx.analysis`."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ...analysis import plot_images, plot_seeds
from ...training import own_config
from ._experiment import Measure
from ._record import Record


@contextlib.contextmanager
def figure_at(path: Path, columns: int = 1, size: tuple[float, float] = (7.5, 4.8)) -> Iterator[list]:
    """Give axes beside each other to draw on, and write the figure to its file at the end.

    **Arguments:**

    - `path`: of the PNG file.
    - `columns`: how many axes.
    - `size`: of each, in inches.
    """
    with own_config():
        from matplotlib.figure import Figure

        made = Figure(figsize=(size[0] * columns, size[1]), layout="constrained", dpi=120)
        yield list(np.atleast_1d(made.subplots(1, columns)))
        made.savefig(path, format="png")


def draw_measure(path: Path, measure: Measure, records: Mapping[str, Record]) -> None:
    """Draw a measure of every arm: over the epochs, every seed and the mean; of what is measured once, every seed and
    the mean.

    **Arguments:**

    - `path`: of the PNG file.
    - `measure`: what is drawn.
    - `records`: by arm.
    """
    values = seeds_of(measure, records)
    with figure_at(path) as (ax,):
        if values:
            plot_seeds(values, ax, label=measure.title)
            _name_data(ax, records)


def seeds_of(measure: Measure, records: Mapping[str, Record]) -> dict[str, np.ndarray]:
    """Return a measure as `pcx.analysis.plot_seeds` takes it: `[seeds]` if it is measured once, or `[seeds, epochs]`;
    NaN where there is none.

    **Arguments:**

    - `measure`: which.
    - `records`: by arm; those without numbers are left out.
    """
    if measure.once:
        found = {name: np.asarray(record.after.get(measure.key, []), float) for name, record in records.items()}
    else:
        curves = {name: record.curves(measure.key) for name, record in records.items()}
        epochs = max((len(curve) for each in curves.values() for curve in each), default=0)
        found = {
            name: np.asarray([[*curve, *[None] * (epochs - len(curve))] for curve in each], float)
            for name, each in curves.items()
        }
    return {name: each for name, each in found.items() if np.isfinite(each).any()}


def draw_with_images(
    path: Path, measure: Measure, records: Mapping[str, Record], rows: Mapping[str, np.ndarray]
) -> None:
    """Draw a measure of every arm and, beside it, rows of images.

    **Arguments:**

    - `path`, `measure`, `records`: as of `draw_measure`.
    - `rows`: `{name: images}`, as `pcx.analysis.plot_images` takes them.
    """
    values = seeds_of(measure, records)
    with figure_at(path, 2) as (left, right):
        if values:
            plot_seeds(values, left, label=measure.title)
            _name_data(left, records)
        if rows:
            plot_images(rows, right)


def _name_data(ax: Any, records: Mapping[str, Record]) -> None:
    """Begin the title of axes with the name of the data, as far as records tell it."""
    names = dict.fromkeys(str(r.made_of["of"]) for r in records.values() if "of" in r.made_of)
    ax.set_title(": ".join([*names, ax.get_title()]))
