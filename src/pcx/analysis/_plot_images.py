"""A picture of images: originals, reconstructions, what a network generates."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import ArrayLike

from ..core import Whole, whole
from ._axes import AxesLike, axes_or_new, short
from ._given import by_name, described
from ._tiles import as_images, opaque, tiled

MOST = 10


def plot_images(
    images: Mapping[str, ArrayLike],
    ax: AxesLike | None = None,
    *,
    shape: Sequence[int] | None = None,
    most: Whole = MOST,
    limits: tuple[float, float] | None = None,
) -> AxesLike:
    """Draw rows of images below each other, such as originals, and what a network makes of them.

    **Arguments:**

    - `images`: `{name: images}`, a row each: `[images, height, width]`, `[images, channels, height, width]` with 1 or 3
        channels, or `[images, features]`. All of one size; a row may have fewer.
    - `ax`: the axes to draw on; those of a new figure if there are none.
    - `shape`: of an image, `(height, width)` or `(channels, height, width)`; guessed if features are a square or
        three.
    - `most`: how many of each row to draw, from the first on.
    - `limits`: what is black and what is white; by default the least and the largest number of the first row. What is
        below or above, in any row, is black or white as well.

    **Returns:** the axes.

    **Raises:** `TypeError` for what are no numbers, or not by name; `ValueError` for no rows, for what is no
        image, for images of several sizes, and for limits of which the first isn't the lower.
    """
    images = by_name("plot_images", "images", images, "images")
    if not images:
        raise ValueError("plot_images: there are no images")
    most = whole("plot_images", "most", most, 1)
    rows = {str(name): as_images("plot_images", each, shape)[:most] for name, each in images.items()}
    sizes = {name: each.shape[1:] for name, each in rows.items()}
    if len(set(sizes.values())) > 1:
        raise ValueError(f"plot_images: all images must be of one size, got {sizes}")
    first = next(iter(rows.values()))
    low, high = (float(first.min()), float(first.max())) if limits is None else _limits(limits)
    if limits is None and not high > low:
        low, high = low - 0.5, low + 0.5
    if not high > low:
        raise ValueError(f"plot_images: of limits the first must be the lower, got {limits}")
    columns = max(len(each) for each in rows.values())
    gap = max(1, first.shape[1] // 14)
    blank = [np.full((columns - len(each), *each.shape[1:]), np.nan) for each in rows.values()]
    full = np.concatenate([part for pair in zip(rows.values(), blank, strict=True) for part in pair])
    canvas = tiled(full, columns, gap)
    ax = axes_or_new("plot_images", ax)
    if canvas.ndim == 3:
        ax.imshow(opaque(canvas, low, high), interpolation="nearest")
    else:
        ax.imshow(canvas, cmap="gray", vmin=low, vmax=high, interpolation="nearest")
    height = first.shape[1]
    ax.set_xticks([])
    ax.set_yticks([i * (height + gap) + (height - 1) / 2 for i in range(len(rows))], [short(n) for n in rows])
    ax.tick_params("y", length=0)
    for side in ax.spines.values():
        side.set_visible(False)
    ax.grid(False)
    return ax


def _limits(limits: tuple[float, float]) -> tuple[float, float]:
    try:
        low, high = limits
        return float(low), float(high)
    except (TypeError, ValueError):
        raise ValueError(f"plot_images: limits are two numbers, (black, white), got {described(limits)}") from None
