"""Data sets with mean zero and variance one, per channel of the samples to train on."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ._dataset import Dataset
from ._scaling import Scaling


def standardise(dataset: Dataset) -> Dataset:
    """Return the data set with each channel of its training split at mean 0 and variance 1; the test split is scaled by
    the same numbers.

    New arrays are made; the option `standardise=True` of a loader gives the same with one array less in memory.

    **Arguments:**

    - `dataset`: of floats, not scaled yet.

    **Returns:** a `Dataset` with what was applied in `.scaling`.

    **Raises:** `TypeError` if x holds integers; `ValueError` if the data set is scaled already.
    """
    if dataset.scaling is not None:
        raise ValueError(f"standardise: {dataset.name} is scaled already, by {dataset.scaling}")
    if dataset.train.x.dtype.kind != "f" or dataset.test.x.dtype.kind != "f":
        raise TypeError(f"standardise: needs floats, not {dataset.train.x.dtype}; load with dtype=np.float32")
    scaling = Scaling.of(dataset.train.x, dataset.channels)
    splits = []
    for split in (dataset.train, dataset.test):
        x = np.array(split.x, order="C")
        scaling.apply_in_place(x)
        splits.append(replace(split, x=x))
    return replace(dataset, train=splits[0], test=splits[1], scaling=scaling)
