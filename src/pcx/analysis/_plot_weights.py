"""A picture of the weights of a layer: what each of its units looks for."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Float
from numpy.typing import ArrayLike

from ..core import Whole, whole
from ._axes import AxesLike, axes_or_new
from ._given import numbers
from ._tiles import Images, as_images, opaque, tiled

MOST = 64


def plot_weights(
    weights: ArrayLike,
    ax: AxesLike | None = None,
    *,
    shape: Sequence[int] | None = None,
    most: Whole = MOST,
    columns: Whole | None = None,
    each: bool = True,
) -> AxesLike:
    """Draw the weights of a layer as a grid of images, one for each unit: of a first layer the receptive fields. Grey
    is 0, white positive, black negative.

    Kernels with 1 or 3 channels are an image each, three of them as colours; of kernels with other channels a row is a
    unit, with an image for each channel.

    **Arguments:**

    - `weights`: `[units, inputs]`, or kernels `[units, channels, height, width]`, such as
        `state.weights["layers[0].nn.weight"]`.
    - `ax`: the axes to draw on; those of a new figure if there are none.
    - `shape`: of a unit's inputs, `(height, width)` or `(3, height, width)`; guessed if they are a square.
    - `most`: how many images to draw, from the first unit on.
    - `columns`: of the grid; as many as rows if left out.
    - `each`: whether each image has a scale of its own, up to its largest weight; otherwise all have the same.

    **Returns:** the axes.

    **Raises:** `TypeError` for what are no numbers; `ValueError` for weights that are no images, or not finite,
        and for less than one image or column.
    """
    most = whole("plot_weights", "most", most, 1)
    across = None if columns is None else whole("plot_weights", "columns", columns, 1)
    found = numbers("plot_weights", "weights", weights)
    units = len(np.atleast_1d(found))
    if shape is None and found.ndim == 4 and found.shape[1] not in (1, 3):
        channels = found.shape[1]
        across = min(channels, most) if across is None else across
        found = found[:, : min(channels, most)]
        found = found.reshape(-1, *found.shape[2:])
    images = as_images("plot_weights", found, shape)
    total, images = len(images), images[:most]
    scaled, largest = _scaled(images, each)
    canvas = tiled(scaled, math.ceil(math.sqrt(len(images))) if across is None else across)
    ax = axes_or_new("plot_weights", ax)
    if canvas.ndim == 3:
        ax.imshow(opaque(canvas, -1, 1), interpolation="nearest")
    else:
        drawn = ax.imshow(canvas, cmap="gray", vmin=-1, vmax=1, interpolation="nearest")
        if ax.figure is not None:
            bar: Any = ax.figure.colorbar(drawn, ax=ax)
            ends = ("-1", "0", "1") if each else (f"{-largest:.2g}", "0", f"{largest:.2g}")
            bar.set_ticks([-1, 0, 1], labels=ends)
            bar.set_label("weight, over the largest of its image" if each else "weight")
    ax.set_axis_off()
    shown = f"{len(images)} of {total}" if len(images) < total else f"{total}"
    if total == units:
        ax.set_title(f"Weights of {shown} units")
    else:
        ax.set_title(f"Weights of {units} units, {shown} images")
    return ax


def _scaled(images: Images, each: bool) -> tuple[Images, float]:
    """Return images between -1 and 1, and the largest weight of all."""
    axes = tuple(range(1, images.ndim))
    sizes: Float[np.ndarray, ...] = np.max(np.abs(images), axis=axes if each else None, keepdims=True)
    return images / np.where(sizes > 0, sizes, 1), float(np.max(np.abs(images)))
