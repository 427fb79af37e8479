"""CIFAR-10 for experiments: which files, in what form, and how it is augmented."""

from __future__ import annotations

from collections.abc import Callable

import jax
import numpy as np
from jaxtyping import PyTree

from .. import data as pxd
from ._compressed import were_jpegs
from .frame import Data, Settings, Where, chosen, sha256_of

PAD = 4  # so that a crop of 32 is of 40 pixels


def cifar(settings: Settings, where: Where, *, standardise: bool = True) -> Data:
    """Load CIFAR-10, as much as the settings say, and hash it as it lies in its files. Files that were JPEGs once are
    not the original ones, and are called a JPEG copy.

    **Arguments:**

    - `settings`: `samples` and `test_samples` say how many.
    - `where`: where the files are.
    - `standardise`: mean 0 and variance 1 of each channel by the numbers of the whole training set; else pixels go from
        0 to 1.

    **Returns:** the data: x `[N, 3, 32, 32]`, y the class numbers.

    **Raises:** as the loader; `ValueError` if there are fewer samples, or fewer than a batch.
    """
    raw = pxd.cifar10(where.folder, download=where.download, dtype=np.uint8)
    train, test = chosen(raw, settings)
    scaling = pxd.Scaling.of(raw.train.x, raw.channels) if standardise else None
    name = "CIFAR-10 (JPEG copy)" if were_jpegs(raw.train.x) else "CIFAR-10"
    digest = sha256_of(raw.train.x, raw.train.y, raw.test.x, raw.test.y)
    x, x_test = (_scaled(split.x, scaling) for split in (train, test))
    return Data(name, (x, train.y), (x_test, test.y), digest, len(raw.classes))


def _scaled(images: np.ndarray, scaling: pxd.Scaling | None) -> np.ndarray:
    """Return bytes as float32: from 0 to 1, or by a scaling of bytes."""
    found = images.astype(np.float32)
    if scaling is None:
        return found / np.float32(255)
    scaling.apply_in_place(found)
    return found


def augmentation(wanted: bool) -> Callable[[jax.Array, PyTree], PyTree] | None:
    """Return the augmentation of the common benchmark, which mirrors an image or not and cuts 32 x 32 pixels out of
    40 x 40. What is around an image has the mean colour of the training set.

    **Arguments:**

    - `wanted`: whether there is to be one; else there is None.
    """
    return pxd.compose(pxd.flip(), pxd.crop(PAD)) if wanted else None
