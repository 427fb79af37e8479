"""Small data sets that scikit-learn makes or carries, for first tries and for tests."""

from __future__ import annotations

from types import ModuleType

import numpy as np

from ._dataset import Dataset, Split
from ._flags import check_flags
from ._order import shuffled
from ._standardise import standardise as standardised

# The data know nothing of pcx, so that the page is written out.
_SEE = " (see docs/troubleshooting.md#a-package-is-missing)"


def two_moons(
    train: int = 1000, test: int = 1000, *, noise: float = 0.2, seed: int = 0, standardise: bool = False
) -> Dataset:
    """Make points of two half circles that reach into each other, by scikit-learn's `make_moons`.

    **Arguments:**

    - `train`, `test`: how many points, from 1.
    - `noise`: standard deviation of the Gaussian noise on both coordinates; the half circles have radius 1.
    - `seed`: from 0 below 2**31. The two splits are drawn independently of each other.
    - `standardise`: mean 0 and variance 1 in each coordinate, by the numbers of the training split.

    **Returns:** a `Dataset` whose `train.x` is float32 `[train, 2]`, from about -1.5 to 2.5, and whose labels are 0 for
    the upper and 1 for the lower half circle.

    **Raises:** `ValueError` for fewer points than 1 or another seed; `TypeError` if `standardise` is neither True nor
    False; `ImportError` if there is no scikit-learn.
    """
    check_flags("two_moons", standardise=standardise)
    if train < 1 or test < 1:
        raise ValueError(f"two_moons: needs at least one point in each split, not {train} and {test}")
    if not 0 <= seed < 2**31:
        raise ValueError(f"two_moons: the seed is from 0 below 2**31, not {seed}")
    make = _sklearn("two_moons").make_moons
    splits = []
    for part, count in enumerate((train, test)):
        # Of the one seed, even numbers for training and odd ones for tests: no two meet.
        x, y = make(n_samples=count, noise=noise, random_state=2 * seed + part)
        splits.append(Split(np.asarray(x, np.float32), y))
    return _finished(Dataset("two moons", *splits, classes=("upper", "lower"), channels=2), standardise)


def digits(test: int = 360, *, seed: int = 0, flat: bool = False, standardise: bool = False) -> Dataset:
    """Load 1797 handwritten digits of 8 x 8 grey pixels, which scikit-learn carries. Nothing is fetched.

    They are the test part of "Optical Recognition of Handwritten Digits" of the UCI repository (Alpaydin & Kaynak
    1998).

    **Arguments:**

    - `test`: how many of them are put aside to test with, from 1 to 1796.
    - `seed`: which ones: the last of `shuffled(1797, seed, 0)`.
    - `flat`: x is `[N, 64]`, not `[N, 8, 8]`.
    - `standardise`: mean 0 and variance 1 over all pixels, by the numbers of the training split.

    **Returns:** a `Dataset` whose x is float32, from 0 to 1 in steps of 1/16.

    **Raises:** `TypeError` for options of another kind; `ValueError` if `test` leaves nothing of either split;
    `ImportError` if there is no scikit-learn.
    """
    check_flags("digits", flat=flat, standardise=standardise)
    if not isinstance(test, (int, np.integer)) or isinstance(test, bool):
        raise TypeError(f"digits: test must be a number of samples, got {test!r}")
    bunch = _sklearn("digits").load_digits()
    x, y = (np.asarray(bunch.images) / 16).astype(np.float32), np.asarray(bunch.target)
    if not 0 < test < len(x):
        raise ValueError(f"digits: test is from 1 to {len(x) - 1}, not {test}")
    order = shuffled(len(x), seed, 0)
    x, y = (x.reshape(len(x), -1) if flat else x)[order], y[order]
    splits = Split(x[:-test], y[:-test]), Split(x[-test:], y[-test:])
    return _finished(Dataset("digits", *splits, classes=tuple("0123456789"), channels=1), standardise)


def _finished(dataset: Dataset, standardise: bool) -> Dataset:
    return standardised(dataset) if standardise else dataset


def _sklearn(call: str) -> ModuleType:
    try:
        import sklearn.datasets
    except ImportError as error:
        raise ImportError(f"{call}: needs scikit-learn: pip install scikit-learn{_SEE}") from error
    return sklearn.datasets
