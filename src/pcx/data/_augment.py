"""Random changes to images, on the device, inside the compiled step."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike


@runtime_checkable
class Augmentation(Protocol):
    """A pure function of a key and a batch of images that gives a batch of the same shape and dtype.

    Those made here compare and hash by their settings: a program compiled for one serves an equal one.
    """

    def __call__(self, key: jax.Array, x: ArrayLike) -> jax.Array:
        """Change a batch at random.

        **Arguments:**

        - `key`: a random key.
        - `x`: the batch, `[B, ...]`.

        **Returns:** of the shape and dtype of x.
        """
        ...


def flip(p: float = 0.5) -> Augmentation:
    """Return an augmentation that mirrors images left to right (their last axis), each on its own with probability `p`.

    **Arguments:**

    - `p`: from 0 to 1.

    **Returns:** `aug(key, x)` for x `[B, C, H, W]` or `[B, H, W]`.

    **Raises:** `ValueError` for another p; when called, for x without an axis of samples and two of pixels.
    """
    if not 0 <= p <= 1:
        raise ValueError(f"flip: p is a probability, not {p}")
    return _Flip(float(p))


def crop(pad: int | np.integer = 4, fill: float = 0.0) -> Augmentation:
    """Return an augmentation that pads images by `pad` pixels on each side and cuts a window of the old size out, at a
    place drawn for each image: of 32 x 32 pixels, padded by 4, one of the 9 x 9 windows of the 40 x 40. All channels of
    an image move together.

    **Arguments:**

    - `pad`: pixels, from 0.
    - `fill`: the value of what is added. 0 is black for x in [0, 1] and the mean for standardised x.

    **Returns:** `aug(key, x)` for x `[B, C, H, W]` or `[B, H, W]`.

    **Raises:** `ValueError` for a negative pad; when called, for x without an axis of samples and two of pixels.
    """
    if isinstance(pad, bool) or not isinstance(pad, (int, np.integer)) or pad < 0:
        raise ValueError(f"crop: pad is a number of pixels from 0, not {pad!r}")
    return _Crop(int(pad), float(fill))


def compose(*parts: Augmentation) -> Augmentation:
    """Return one augmentation after the other, the first first, each with a key of its own.

    **Arguments:**

    - `parts`: functions of a key and a batch; without any the result is the identity.

    **Returns:** `aug(key, x)`.

    **Raises:** `TypeError` for a part that can't be called.
    """
    for part in parts:
        if not callable(part):
            raise TypeError(f"compose: {part!r} is no function of a key and a batch")
    return _Compose(parts)


@dataclass(frozen=True)
class _Flip:
    p: float

    def __call__(self, key: jax.Array, x: ArrayLike) -> jax.Array:
        x = _images("flip", x)
        chosen = jax.random.bernoulli(key, self.p, (x.shape[0], *[1] * (x.ndim - 1)))
        return jnp.where(chosen, x[..., ::-1], x)


@dataclass(frozen=True)
class _Crop:
    pad: int
    fill: float

    def __call__(self, key: jax.Array, x: ArrayLike) -> jax.Array:
        x = _images("crop", x)
        sides = ((0, 0),) * (x.ndim - 2) + ((self.pad, self.pad),) * 2
        padded = jnp.pad(x, sides, constant_values=jnp.asarray(self.fill, x.dtype))
        corners = jax.random.randint(key, (x.shape[0], 2), 0, 2 * self.pad + 1)

        def cut(image: jax.Array, corner: jax.Array) -> jax.Array:
            start = (*[0] * (image.ndim - 2), corner[0], corner[1])
            return jax.lax.dynamic_slice(image, start, x.shape[1:])

        return jax.vmap(cut)(padded, corners)


@dataclass(frozen=True)
class _Compose:
    parts: tuple[Augmentation, ...]

    def __call__(self, key: jax.Array, x: ArrayLike) -> jax.Array:
        out: Any = x  # without parts it is given back as it is
        for i, part in enumerate(self.parts):
            out = part(jax.random.fold_in(key, i), out)
        return out


def _images(call: str, x: ArrayLike) -> jax.Array:
    x = jnp.asarray(x)
    if x.ndim < 3:
        raise ValueError(f"{call}: x is [B, C, H, W] or [B, H, W], not {x.shape}; load the images with flat=False")
    return x
