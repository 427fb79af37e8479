"""Grids of small images, as one image."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float
from numpy.typing import ArrayLike

from ..core import whole
from ._given import described, numbers

Canvas = Float[np.ndarray, "down across"] | Float[np.ndarray, "down across 3"]
Images = Float[np.ndarray, "images height width"] | Float[np.ndarray, "images height width 3"]


def as_images(call: str, values: ArrayLike, shape: Sequence[int] | None) -> Images:
    """Return arrays as images, with the three colours, if there are, last.

    **Arguments:**

    - `call`: what to name in errors.
    - `values`: `[images, height, width]`, `[images, channels, height, width]` with 1 or 3 channels, or `[images,
        features]`.
    - `shape`: of an image, `(height, width)` or `(channels, height, width)`; guessed if it is None, and features are a
        square, or three squares.

    **Raises:** `TypeError` for what are no numbers; `ValueError` for what has no such shape, no images, or numbers that
        are not finite.
    """
    found, shape = numbers(call, "images", values), checked_shape(call, shape)
    if found.ndim < 2 or not found.size:
        raise ValueError(f"{call}: images are [images, ...], at least one; got {found.shape}")
    if not np.all(np.isfinite(found)):
        raise ValueError(f"{call}: all numbers must be finite")
    if shape is None and found.ndim == 2:
        shape = _guessed(call, found.shape[1])
    if shape is not None:
        if math.prod(shape) != math.prod(found.shape[1:]):
            raise ValueError(f"{call}: {found.shape[1:]} can't have the shape {tuple(shape)}")
        found = found.reshape(len(found), *shape)
    if found.ndim == 4 and found.shape[1] in (1, 3):
        return found[:, 0] if found.shape[1] == 1 else np.moveaxis(found, 1, -1)
    if found.ndim != 3:
        raise ValueError(
            f"{call}: an image is [height, width] or [channels, height, width] with 1 or 3 channels; got "
            f"{found.shape[1:]}"
        )
    return found


def checked_shape(call: str, shape: Sequence[int] | None) -> tuple[int, ...] | None:
    """Return the shape of an image.

    **Arguments:**

    - `call`: what to name in errors.
    - `shape`: as it was given.

    **Raises:** `ValueError` for what are no two or three numbers above 0.
    """
    if shape is None:
        return None
    if not isinstance(shape, (list, tuple)) or len(shape) not in (2, 3):
        raise ValueError(f"{call}: shape is (height, width) or (channels, height, width), got {described(shape)}")
    return tuple([whole(call, "shape", side, 1) for side in shape])


def _guessed(call: str, features: int) -> tuple[int, ...]:
    for channels in (1, 3):
        side = math.isqrt(features // channels)
        if channels * side * side == features:
            return (side, side) if channels == 1 else (channels, side, side)
    raise ValueError(f"{call}: {features} numbers are no square, nor three; give shape=(height, width)")


def tiled(images: Images, columns: int, gap: int = 1) -> Canvas:
    """Return images in rows from the top, as one; NaN between them, and where there is none.

    **Arguments:**

    - `images`: `[images, height, width]`, or with colours last.
    - `columns`: how many are in a row.
    - `gap`: the pixels between two.
    """
    count, height, width, *colours = images.shape
    rows = -(-count // columns)
    canvas = np.full((rows * (height + gap) - gap, columns * (width + gap) - gap, *colours), np.nan)
    for i, image in enumerate(images):
        top, left = i // columns * (height + gap), i % columns * (width + gap)
        canvas[top : top + height, left : left + width] = image
    return canvas


def opaque(canvas: Canvas, low: float, high: float) -> Float[np.ndarray, "down across 4"]:
    """Return an image in colours, from 0 to 1 each, that can be seen through where it has none.

    **Arguments:**

    - `canvas`: with colours last, NaN where there is none.
    - `low`, `high`: what is drawn as 0 and as 1.
    """
    there = np.isfinite(canvas).all(axis=-1, keepdims=True)
    scaled = np.clip((np.nan_to_num(canvas) - low) / (high - low), 0, 1)
    return np.concatenate([scaled, there.astype(float)], axis=-1)
