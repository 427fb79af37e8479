"""Images from their standard files: MNIST, Fashion-MNIST, CIFAR-10, CIFAR-100."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from jax.typing import DTypeLike

from ._cifar import Records, check_labels, read_cifar
from ._dataset import DataError, Dataset, Split
from ._download import download_all
from ._flags import check_flags
from ._idx import read_idx
from ._scaling import Scaling, unit
from ._search import cache_folder, find, not_found
from ._sources import (
    CIFAR10,
    CIFAR10_RECORDS,
    CIFAR100,
    CIFAR100_RECORDS,
    COARSE,
    FASHION_MNIST,
    IDX_SETS,
    MNIST,
    Published,
)

Folder = str | os.PathLike[str] | None


@dataclass(frozen=True)
class _Form:
    """The form in which a loader gives images; the options are those of `fashion_mnist`."""

    flat: bool
    standardise: bool
    dtype: DTypeLike

    def check(self, call: str) -> None:
        """Refuse options of another kind, and a dtype that is not offered.

        **Arguments:**

        - `call`: the loader.

        **Raises:** `TypeError`, `ValueError`.
        """
        check_flags(call, flat=self.flat, standardise=self.standardise)
        kind = np.dtype(self.dtype)
        if kind not in (np.float32, np.uint8) or (self.standardise and kind != np.float32):
            raise ValueError(
                f"{call}: dtype is np.float32, or np.uint8 without standardise, not {kind.name}"
                + (" with standardise" if self.standardise else "")
            )


def fashion_mnist(
    folder: Folder = None,
    *,
    download: bool = False,
    flat: bool = False,
    standardise: bool = False,
    dtype: DTypeLike = np.float32,
) -> Dataset:
    """Load Fashion-MNIST (Xiao, Rasul & Vollgraf 2017): 60000 and 10000 grey images of clothes, 10 classes.

    **Arguments:**

    - `folder`: searched first for the four IDX files, gzipped or not; then come the environment variable `PCX_DATA`,
      the user's cache, the system's folders for data sets and `./data`. In each, usual subfolders are looked into.
    - `download`: fetch the files into the user's cache if they are nowhere.
    - `flat`: x is `[N, 784]`, not `[N, 28, 28]`.
    - `standardise`: mean 0 and variance 1, by the numbers of the training split, which are kept in `.scaling`.
    - `dtype`: float32, from 0 to 1, or uint8: the 0 to 255 of the files, a quarter of the memory.

    **Returns:** a `Dataset` whose `train.x` is `[60000, 28, 28]` and `train.y` int32 `[60000]`.

    **Raises:** `TypeError` or `ValueError` for options of another kind; `FileNotFoundError` if the files are nowhere,
    saying which and where they were looked for; `DataError` naming the file that is damaged or holds something else;
    `OSError` if a file can't be read or fetched.
    """
    return _idx_set(FASHION_MNIST, folder, download, _Form(flat, standardise, dtype))


def mnist(
    folder: Folder = None,
    *,
    download: bool = False,
    flat: bool = False,
    standardise: bool = False,
    dtype: DTypeLike = np.float32,
) -> Dataset:
    """Load MNIST (LeCun et al. 1998): 60000 and 10000 grey images of handwritten digits, 10 classes.

    **Arguments:**

    - `folder`, `download`, `flat`, `standardise`, `dtype`: as of `fashion_mnist`.

    **Returns:** a `Dataset` whose `train.x` is `[60000, 28, 28]`, or with `flat=True` `[60000, 784]`, and `train.y`
    int32 `[60000]`.

    **Raises:** as `fashion_mnist`.
    """
    return _idx_set(MNIST, folder, download, _Form(flat, standardise, dtype))


def cifar10(
    folder: Folder = None,
    *,
    download: bool = False,
    flat: bool = False,
    standardise: bool = False,
    dtype: DTypeLike = np.float32,
) -> Dataset:
    """Load CIFAR-10 (Krizhevsky 2009): 50000 and 10000 colour images of things and animals, 10 classes.

    Read from the binary form, as files or inside `cifar-10-binary.tar.gz`; never from pickles.

    **Arguments:**

    - `folder`, `download`, `flat`, `standardise`, `dtype`: as of `fashion_mnist`; the files are the binary form.

    **Returns:** a `Dataset` whose x is `[N, 3, 32, 32]`, red first, or with `flat=True` `[N, 3072]`; 614 MB to train on
    as float32, 154 MB as uint8.

    **Raises:** as `fashion_mnist`.
    """
    form = _Form(flat, standardise, dtype)
    return _cifar_set(CIFAR10, CIFAR10_RECORDS, CIFAR10.classes, folder, download, form)


def cifar100(
    folder: Folder = None,
    *,
    download: bool = False,
    flat: bool = False,
    standardise: bool = False,
    dtype: DTypeLike = np.float32,
    coarse: bool = False,
) -> Dataset:
    """Load CIFAR-100 (Krizhevsky 2009): 50000 and 10000 colour images, 100 classes.

    **Arguments:**

    - `folder`, `download`, `flat`, `standardise`, `dtype`: as of `cifar10`.
    - `coarse`: the 20 superclasses are the labels.

    **Returns:** a `Dataset` of the shapes of `cifar10`.

    **Raises:** as `fashion_mnist`.
    """
    records, classes = CIFAR100_RECORDS, CIFAR100.classes
    if coarse:
        records, classes = replace(records, column=0, classes=len(COARSE)), COARSE
    return _cifar_set(CIFAR100, records, classes, folder, download, _Form(flat, standardise, dtype))


def _paths(source: Published, folder: Folder, download: bool) -> list[Path]:
    """Return the files of the data set, fetched if need be and allowed."""
    wanted = source.wanted
    found = find(wanted, folder)
    if found:
        return found
    bases = list(dict.fromkeys(base for one in source.remotes for base in one.bases))
    if not download:
        raise FileNotFoundError(not_found(wanted, folder, bases, "load with download=True"))
    try:
        return download_all(source.remotes, cache_folder() / wanted.folders[0])
    except DataError as error:
        raise DataError(f"{wanted.call}: {error}") from error
    except OSError as error:
        message = not_found(wanted, folder, bases, "load again when the net can be reached")
        raise FileNotFoundError(f"{message}\nThe download failed: {error}") from error


@contextlib.contextmanager
def _leading_on() -> Iterator[None]:
    """Add to errors of files the page that says what to do. The data know nothing of pcx, so that it is written out."""
    try:
        yield
    except DataError as error:
        raise DataError(f"{error} (see docs/troubleshooting.md#data-are-not-found-or-damaged)") from error


@_leading_on()
def _cifar_set(
    source: Published, records: Records, classes: tuple[str, ...], folder: Folder, download: bool, form: _Form
) -> Dataset:
    form.check(source.wanted.call)
    check_flags(source.wanted.call, download=download)
    paths = _paths(source, folder, download)
    return _dataset(source, paths, list(read_cifar(paths, records)), 3, classes, form)


@_leading_on()
def _idx_set(source: Published, folder: Folder, download: bool, form: _Form) -> Dataset:
    form.check(source.wanted.call)
    check_flags(source.wanted.call, download=download)
    paths = _paths(source, folder, download)
    arrays = []
    for images, labels in (paths[:2], paths[2:]):
        x, y = read_idx(images, (28, 28)), read_idx(labels, ())
        if len(x) != len(y):
            raise DataError(f"{images} has {len(x)} images, but {labels} has {len(y)} labels")
        if len(x) == 0:
            raise DataError(f"{images}: has no images")
        check_labels(y, len(source.classes), labels)
        arrays += [x, y]
    for other in IDX_SETS:
        if other is not source and tuple(arrays[1][: len(other.first)].tolist()) == other.first:
            raise DataError(
                f"{paths[1]}: these are the labels of {other.wanted.name}, whose files have the same names as those of "
                f"{source.wanted.name}; give the folder of {source.wanted.name} as folder="
            )
    return _dataset(source, paths, arrays, 1, source.classes, form)


def _dataset(
    source: Published,
    paths: Sequence[Path],
    arrays: list[np.ndarray],
    channels: int,
    classes: tuple[str, ...],
    form: _Form,
) -> Dataset:
    """Bring bytes `[x, y, x_test, y_test]` into the form asked for. The list is emptied, so that the bytes of one split
    are gone before the floats of the next are made."""
    splits, scaling = [], None
    while arrays:
        x = arrays.pop(0)
        if np.dtype(form.dtype) == np.float32:
            x = unit(x)
        if form.standardise:
            scaling = scaling or Scaling.of(x, channels)
            scaling.apply_in_place(x)
        splits.append(Split(x.reshape(len(x), -1) if form.flat else x, arrays.pop(0)))
    train, test = splits
    return Dataset(source.wanted.name, train, test, classes, channels, scaling, os.fspath(paths[0].parent))
