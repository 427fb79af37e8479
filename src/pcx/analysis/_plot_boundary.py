"""A picture of where in the plane a network decides for which class."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, PyTree

from ..core import Whole, real, whole
from ..learning import State
from ..training import LearningRule
from ._axes import COLOURS, AxesLike, axes_or_new, look_of
from ._given import numbers, wrong
from ._networks import Batch, check_batch, check_one, networks_in

POINTS, MARGIN, SAMPLES = 200, 0.1, 2000


def plot_decision_boundary(
    rule: LearningRule,
    model: PyTree,
    batch: Batch,
    ax: AxesLike | None = None,
    *,
    points: Whole = POINTS,
    threshold: float = 0.5,
) -> AxesLike:
    """Draw what a network that has two inputs decides everywhere around its samples: a colour for each class, darker
    where it is surer of it, lines where classes meet, and the samples.

    **Arguments:**

    - `rule`: what predicts: any rule.
    - `model`: the model or the state, as for `rule.predict`.
    - `batch`: `(x, y)`, `[batch, 2]` and class numbers `[batch]`, or one output `[batch, classes]` for each class. At
        most 2000 samples are drawn.
    - `ax`: the axes to draw on; those of a new figure if there are none.
    - `points`: along each side of the grid on which outputs are computed.
    - `threshold`: of a network with one output, above which it decides for class 1.

    **Returns:** the axes.

    **Raises:** `TypeError` for what is no rule, batch or single network; `ValueError` for samples that are not in the
        plane, labels that are no classes, outputs that are no numbers for each class, or too few points.
    """
    call = "plot_decision_boundary"
    if not callable(getattr(rule, "predict", None)) or isinstance(rule, type):
        raise wrong(call, "rule must be a rule, which has `predict`, such as pxl.zil(optax.adam(1e-3))", rule)
    check_one(call, model)
    if isinstance(model, State) and networks_in(model) is not None:
        raise ValueError(f"{call}: one network can be drawn, and the state is of several: pxl.unstack(state)[0]")
    check_batch(call, batch)
    points = whole(call, "points", points, 2)
    real(call, "threshold", threshold, np.isfinite, "finite")
    x, y = numbers(call, "x", batch[0]), numbers(call, "y", batch[1])
    labels = y.argmax(axis=1) if y.ndim == 2 and y.shape[1] > 1 else (y[:, 0] if y.ndim == 2 else y)
    if x.ndim != 2 or x.shape[1] != 2 or labels.shape != x.shape[:1] or not len(x):
        raise ValueError(f"plot_decision_boundary: x is [batch, 2], y [batch] classes; got {x.shape} and {y.shape}")
    if not np.all(np.isfinite(x)) or not np.all(labels == np.round(labels)) or labels.min() < 0:
        raise ValueError("plot_decision_boundary: x must be finite, and y whole numbers from 0")
    low, high = x.min(axis=0), x.max(axis=0)
    margin = MARGIN * np.maximum(high - low, 1e-6 * np.maximum(np.abs(high), 1))
    sides = [np.linspace(a, b, points) for a, b in zip(low - margin, high + margin, strict=True)]
    grid = np.stack(np.meshgrid(*sides), axis=-1).reshape(-1, 2)
    outputs = np.asarray(rule.predict(model, jnp.asarray(grid, jnp.asarray(batch[0]).dtype)), float)
    if outputs.ndim == 1:
        outputs = outputs[:, None]
    if outputs.ndim != 2 or len(outputs) != len(grid) or not np.all(np.isfinite(outputs)):
        raise ValueError(
            "plot_decision_boundary: the network must give finite outputs, [batch, classes]; got "
            f"{outputs.shape}" + ("" if np.all(np.isfinite(outputs)) else ", some not finite")
        )
    ax = axes_or_new(call, ax)
    decided, ahead = _decided(outputs, threshold)
    classes = max(int(labels.max()) + 1, 2 if outputs.shape[1] == 1 else outputs.shape[1])
    ax.imshow(
        _colours(decided, ahead, classes).reshape(points, points, 3),
        origin="lower",
        extent=(sides[0][0], sides[0][-1], sides[1][0], sides[1][-1]),
        aspect="auto",
        interpolation="nearest",
    )
    for lead in _leads(outputs, threshold):
        if lead.min() < 0 < lead.max():
            ax.contour(*sides, lead.reshape(points, points), levels=[0.0], colors="black", linewidths=0.9)
    every = -(-len(x) // SAMPLES)
    for c in range(classes):
        at = x[::every][labels[::every] == c]
        if len(at):
            ax.plot(
                at[:, 0],
                at[:, 1],
                look_of(c)[1],
                color=look_of(c)[0],
                markersize=4.5,
                markeredgecolor="white",
                markeredgewidth=0.6,
                label=f"class {c}",
            )
    right = float(np.mean(_at_samples(rule, model, batch, threshold) == labels))
    ax.set_title(f"Decisions, {right:.1%} of {len(x)} samples right")
    ax.set_xlabel("first input")
    ax.set_ylabel("second input")
    ax.grid(False)
    where: dict[str, Any] = {"loc": "best"}
    if classes > 3:  # beside the axes
        where = {"loc": "center left", "bbox_to_anchor": (1.01, 0.5), "frameon": False}
    ax.legend(framealpha=0.85, edgecolor="none", fontsize="small", **where)
    return ax


def _at_samples(rule: LearningRule, model: PyTree, batch: Batch, threshold: float) -> Any:
    outputs = np.asarray(rule.predict(model, jnp.asarray(batch[0])), float)
    return _decided(outputs[:, None] if outputs.ndim == 1 else outputs, threshold)[0]


def _decided(
    outputs: Float[np.ndarray, "points outputs"], threshold: float
) -> tuple[Any, Float[np.ndarray, " points"]]:
    """Return the class for each point, and by how much its output is ahead of the next one's."""
    if outputs.shape[1] == 1:
        return (outputs[:, 0] > threshold).astype(int), np.abs(outputs[:, 0] - threshold)
    last = np.sort(outputs, axis=1)
    return outputs.argmax(axis=1), last[:, -1] - last[:, -2]


def _leads(outputs: Float[np.ndarray, "points outputs"], threshold: float) -> list[Float[np.ndarray, " points"]]:
    """Return for each class how far its output is above the largest of the others; of one output how far it is above
    the threshold."""
    if outputs.shape[1] == 1:
        return [outputs[:, 0] - threshold]
    each = range(outputs.shape[1])
    return [outputs[:, c] - np.delete(outputs, c, axis=1).max(axis=1) for c in each][: None if len(each) > 2 else 1]


def _colours(decided: Any, ahead: Float[np.ndarray, " points"], classes: int) -> Float[np.ndarray, "points 3"]:
    """Return colours of the classes, light where there is hardly a difference."""
    base = np.asarray(
        [[int(COLOURS[c % len(COLOURS)][i : i + 2], 16) / 255 for i in (1, 3, 5)] for c in range(classes)]
    )
    sure = ahead / max(float(np.quantile(ahead, 0.95)), 1e-30)
    strength = (0.12 + 0.33 * np.clip(sure, 0, 1))[:, None]
    return 1 - strength * (1 - base[decided])
