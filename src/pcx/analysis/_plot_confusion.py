"""A picture of which classes are taken for which."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Int
from numpy.typing import ArrayLike

from ._axes import SCALE, AxesLike, axes_or_new, name_ticks
from ._given import wrong

WRITTEN = 20


def plot_confusion(
    labels: ArrayLike,
    predictions: ArrayLike,
    ax: AxesLike | None = None,
    *,
    names: Sequence[str] | None = None,
    counts: bool = False,
) -> AxesLike:
    """Draw a confusion matrix: a row for each class that samples are of, a column for each that they are taken for.

    **Arguments:**

    - `labels`: the classes of the samples, `[batch]`.
    - `predictions`: what they are taken for, `[batch]`; or outputs, `[batch, classes]`, of which the largest counts.
    - `ax`: the axes to draw on; those of a new figure if there are none.
    - `names`: of the classes; their numbers if left out.
    - `counts`: whether to show numbers of samples, in the place of percents of each row.

    **Returns:** the axes.

    **Raises:** `TypeError` for what are no numbers, or no names; `ValueError` for labels and predictions that don't fit
        each other or the names, or are no class numbers.
    """
    if names is not None and (isinstance(names, (str, Mapping)) or not hasattr(names, "__len__")):
        raise wrong("plot_confusion", "names must be a list, a name for each class", names)
    matrix = confusion(labels, predictions, None if names is None else len(names))
    size = len(matrix)
    called = [str(i) for i in range(size)] if names is None else [str(name) for name in names]
    total = matrix.sum(axis=1, keepdims=True)
    shown = matrix if counts else 100 * matrix / np.maximum(total, 1)
    ax = axes_or_new("plot_confusion", ax)
    highest = float(max(shown.max(), 1)) if counts else 100.0
    drawn = ax.imshow(shown, cmap=SCALE, vmin=0, vmax=highest, interpolation="nearest")
    if size <= WRITTEN:
        points = 9 if size <= 10 else 6
        for row in range(size):
            for column in range(size):
                if matrix[row, column]:
                    colour = "black" if shown[row, column] > 0.55 * highest else "white"
                    ax.text(
                        column,
                        row,
                        f"{matrix[row, column]}" if counts else _percents(float(shown[row, column])),
                        ha="center",
                        va="center",
                        color=colour,
                        fontsize=points,
                    )
    name_ticks(ax, called, "x", WRITTEN)
    name_ticks(ax, called, "y", WRITTEN)
    ax.grid(False)
    ax.set_xlabel("taken for")
    ax.set_ylabel("class")
    right = np.trace(matrix) / max(matrix.sum(), 1)
    ax.set_title(f"{right:.1%} of {matrix.sum()} right")
    if ax.figure is not None:
        ax.figure.colorbar(drawn, ax=ax, label="samples" if counts else "samples of the class, %")
    return ax


def confusion(labels: ArrayLike, predictions: ArrayLike, classes: int | None) -> Int[np.ndarray, "classes classes"]:
    """Return how many samples of each class are taken for each.

    **Arguments:**

    - `labels`, `predictions`: as for `plot_confusion`.
    - `classes`: how many there are; as many as occur, or as outputs have, if it is None.
    """
    true, found = _array("labels", labels), _array("predictions", predictions)
    outputs = found.shape[1] if found.ndim == 2 else None
    if found.ndim == 2 and found.size:
        if not np.all(np.isfinite(found)):
            raise ValueError("plot_confusion: outputs must be finite")
        found = found.argmax(axis=1)
    if true.ndim != 1 or true.shape != found.shape or not len(true):
        raise ValueError(
            "plot_confusion: labels are [batch], predictions [batch] or [batch, classes], of as many samples; got "
            f"{true.shape} and {np.shape(predictions)}"
        )
    for name, each in (("labels", true), ("predictions", found)):
        if not np.issubdtype(each.dtype, np.integer) or each.min() < 0:
            raise ValueError(f"plot_confusion: {name} must be class numbers, whole and from 0; got {_some(each)}")
    most = int(max(true.max(), found.max())) + 1
    size = classes if classes is not None else max(most, outputs or 0)
    if most > size or (outputs or 0) > size:
        raise ValueError(f"plot_confusion: there are {size} names, and {max(most, outputs or 0)} classes")
    matrix = np.zeros((size, size), int)
    np.add.at(matrix, (true, found), 1)
    return matrix


def _array(name: str, x: ArrayLike) -> Any:
    """Return an array as it is."""
    try:
        found = np.asarray(x)
    except (TypeError, ValueError):
        raise wrong("plot_confusion", f"{name} must be an array of numbers", x) from None
    if found.dtype.kind not in "biuf" and "float" not in found.dtype.name:
        raise wrong("plot_confusion", f"{name} must be an array of numbers", x)
    return found


def _percents(x: float) -> str:
    return f"{x:.0f}" if x >= 0.95 else f"{x:.1f}".lstrip("0")


def _some(values: Any) -> str:
    return f"{values.dtype} {values[:5].tolist()}"
