"""The data of an experiment, and their hash."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from ... import data as pxd
from ._settings import Settings, Where


@dataclass(frozen=True, eq=False)
class Data:
    """The data that the arms of an experiment share.

    **Arguments:**

    - `name`: of the data set.
    - `train`, `test`: pairs `(x [N, ...], y [N, ...])` as `pcx.training.fit` takes them; x may be None.
    - `sha256`: of the samples as they lie in their files, or of arrays that were drawn: the same on every machine.
    - `classes`: how many there are; 0 for data without.
    - `scaling`: of images that were standardised, by which pixels from 0 to 1 became what is in x.
    """

    name: str
    train: tuple[Any, Any]
    test: tuple[Any, Any]
    sha256: str
    classes: int = 0
    scaling: pxd.Scaling | None = None


def sha256_of(*arrays: np.ndarray) -> str:
    """Return the SHA-256 of arrays: of dtypes, shapes and values.

    **Arguments:**

    - `arrays`: any.

    **Returns:** 64 hexadecimal digits.
    """
    digest = hashlib.sha256()
    for each in arrays:
        whole = np.ascontiguousarray(each)
        digest.update(f"{whole.dtype.str}{whole.shape}".encode())
        digest.update(whole.data)
    return digest.hexdigest()


def first(split: pxd.Split, count: int | None, option: str) -> pxd.Split:
    """Return the first samples of a split.

    **Arguments:**

    - `split`: of a data set.
    - `count`: how many; None for all.
    - `option`: that says so.

    **Raises:** `ValueError` if there are fewer.
    """
    if count is not None and count > len(split):
        raise ValueError(f"{option} {count} is more than the {len(split)} samples there are")
    return pxd.Split(split.x[:count], split.y[:count])


def chosen(found: pxd.Dataset, settings: Settings) -> tuple[pxd.Split, pxd.Split]:
    """Return the samples of a data set to train on and to test by, as many as the settings say.

    **Arguments:**

    - `found`: the data set.
    - `settings`: `samples` and `test_samples` say how many.

    **Raises:** `ValueError` if there are fewer samples, or fewer than a batch.
    """
    train = first(found.train, settings.samples, "--samples")
    test = first(found.test, settings.test_samples, "--test-samples")
    if settings.batch_size > len(train):
        raise ValueError(f"--batch-size {settings.batch_size} is more than the {len(train)} samples to train on")
    return train, test


def images(
    name: Literal["mnist", "fashion-mnist"],
    settings: Settings,
    where: Where,
    *,
    flat: bool = True,
    standardise: bool = True,
) -> Data:
    """Load a set of images, as many as the settings say, and hash them as they lie in their files.

    **Arguments:**

    - `name`: of the data set.
    - `settings`: `samples` and `test_samples` say how many.
    - `where`: where the files are.
    - `flat`: x is `[N, features]`.
    - `standardise`: mean 0 and variance 1 by the numbers of the training set; else pixels go from 0 to 1.

    **Returns:** the data, y the class numbers.

    **Raises:** as the loader; `ValueError` if there are fewer samples, or fewer than a batch.
    """
    load = {"mnist": pxd.mnist, "fashion-mnist": pxd.fashion_mnist}[name]
    raw = load(where.folder, download=where.download, dtype=np.uint8)
    found = load(where.folder, flat=flat, standardise=standardise)
    train, test = chosen(found, settings)
    digest = sha256_of(raw.train.x, raw.train.y, raw.test.x, raw.test.y)
    return Data(name, (train.x, train.y), (test.x, test.y), digest, len(found.classes), found.scaling)
