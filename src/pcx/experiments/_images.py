"""Images for the experiments that generate or recall them, pixels from 0 to 1; and images as plain data."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any

import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Float

from .. import data as pxd
from .frame import Data, Where, first, sha256_of


def load(name: str, where: Where) -> pxd.Dataset:
    """Load images, flat, with pixels from 0 to 1.

    **Arguments:**

    - `name`: `"mnist"`, `"fashion-mnist"`, `"cifar10"` or `"digits"`.
    - `where`: where the files are.

    **Returns:** a `Dataset` whose x is `[N, features]`.

    **Raises:** as the loader.
    """
    if name == "digits":
        return pxd.digits(flat=True)
    loaders: dict[str, Any] = {"mnist": pxd.mnist, "fashion-mnist": pxd.fashion_mnist, "cifar10": pxd.cifar10}
    return loaders[name](where.folder, download=where.download, flat=True)


def shape_of(features: int) -> tuple[int, ...]:
    """Return the shape of an image of so many features: `(height, width)`, or `(3, height, width)`.

    **Raises:** `ValueError` for a number that is neither a square nor three of them.
    """
    for channels in (1, 3):
        side = round((features / channels) ** 0.5)
        if channels * side * side == features:
            return (side, side) if channels == 1 else (channels, side, side)
    raise ValueError(f"{features} features are no square image")


def first_images(name: str, count: int | None, where: Where, tests: int | None = None) -> Data:
    """Return the first images of a training set as what is learned, without input: `x` is None, `y` the images.

    **Arguments:**

    - `name`, `where`: as of `load`.
    - `count`: how many; None for all.
    - `tests`: how many of the test set to test by; None for all.

    **Returns:** the data.

    **Raises:** as the loader; `ValueError` if there are fewer.
    """
    return learned(name, load(name, where), count, tests)


def learned(name: str, found: pxd.Dataset, count: int | None, tests: int | None) -> Data:
    """Return the first images of a data set, as `first_images` does.

    **Arguments:**

    - `name`, `count`, `tests`: as of `first_images`.
    - `found`: the data set.

    **Returns:** the data.

    **Raises:** `ValueError` if there are fewer.
    """
    images, others = first(found.train, count, "--samples").x, first(found.test, tests, "--test-samples").x
    return Data(name, (None, images), (None, others), sha256_of(*bytes_of(images, others)))


def bytes_of(*images: np.ndarray) -> list[np.ndarray]:
    """Return images as the bytes that they are in files, which no scaling has rounded."""
    return [np.round(255 * each).astype(np.uint8) for each in images]


def packed(images: ArrayLike) -> dict[str, Any]:
    """Return images as plain data: the form in which records of arms keep them.

    **Arguments:**

    - `images`: `[N, ...]`, from 0 to 1; what is below or above is black or white.

    **Returns:** their `shape`, and their `bytes`, in 255 shades, in base64.
    """
    shades = np.round(255 * np.clip(np.asarray(images, float), 0, 1)).astype(np.uint8)
    return {"shape": list(shades.shape), "bytes": base64.b64encode(shades.tobytes()).decode()}


def unpacked(found: Mapping[str, Any]) -> Float[np.ndarray, "N ..."]:
    """Return images of plain data, the inverse of `packed` but for the shades between.

    **Arguments:**

    - `found`: what `packed` returned.

    **Returns:** `[N, ...]`, from 0 to 1.
    """
    return np.frombuffer(base64.b64decode(found["bytes"]), np.uint8).reshape(found["shape"]) / 255
