"""Sizes of models, as users give them: checked, and as numbers of Python."""

from __future__ import annotations

import math
from collections.abc import Sequence

from ..core import Whole, whole

_WORDS = {2: "two", 3: "three"}


def widths_of(call: str, widths: Sequence[Whole], least: int) -> list[int]:
    """Return the widths of layers.

    **Arguments:**

    - `call`: the model to name in errors.
    - `widths`: as they are given to it.
    - `least`: how many there must be.

    **Raises:** `ValueError` for fewer, or for what is no whole number of 1 or more.
    """
    if len(widths) < least or any(isinstance(w, (int, float)) and w < 1 for w in widths):
        raise ValueError(f"{call}: widths must be {_WORDS[least]} or more positive numbers, got {list(widths)}")
    return [whole(call, "widths", w, 1) for w in widths]


def channels_of(call: str, channels: Sequence[Whole], count: int | None = None) -> list[int]:
    """Return the channels of convolutions.

    **Arguments:**

    - `call`: the model to name in errors.
    - `channels`: as they are given to it.
    - `count`: how many there must be; None for one or more.

    **Raises:** `ValueError` for more or fewer, or for what is no whole number of 1 or more.
    """
    if not len(channels) or count not in (None, len(channels)):
        wanted = "one or more" if count is None else str(count)
        raise ValueError(f"{call}: channels must be {wanted} positive numbers, got {list(channels)}")
    return [whole(call, "channels", c, 1) for c in channels]


def image_of(call: str, shape: Sequence[Whole]) -> tuple[int, int, int]:
    """Return the shape of an image.

    **Arguments:**

    - `call`: the model to name in errors.
    - `shape`: as it is given to it.

    **Raises:** `ValueError` for what is not three whole numbers of 1 or more.
    """
    if len(shape) != 3:
        raise ValueError(f"{call}: shape must be (channels, height, width) of one sample, got {tuple(shape)}")
    channels, height, width = [whole(call, "shape", n, 1) for n in shape]
    return channels, height, width


def shape_of(call: str, shape: Sequence[Whole] | None, size: int) -> tuple[int, ...]:
    """Return the shape of what has `size` elements, by default that of a vector.

    **Arguments:**

    - `call`: the model to name in errors.
    - `shape`: as it is given to it.
    - `size`: the number of elements.

    **Raises:** `ValueError` for a shape of another size.
    """
    if shape is None:
        return (size,)
    sides = tuple([whole(call, "shape", n, 1) for n in shape])
    if math.prod(sides) != size:
        raise ValueError(f"{call}: shape {sides} has {math.prod(sides)} elements, but its width is {size}")
    return sides


def is_left(call: str, shape: Sequence[Whole], sides: Sequence[int], layers: int) -> None:
    """Refuse images of which nothing is left.

    **Arguments:**

    - `call`: the model to name in errors.
    - `shape`: of one image.
    - `sides`: height and width after so many `layers`.

    **Raises:** `ValueError`.
    """
    if min(sides) < 1:
        raise ValueError(f"{call}: nothing is left of samples of shape {tuple(shape)} after {layers} convolutions")
