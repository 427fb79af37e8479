"""CIFAR's binary files: one record after the other, its labels (a byte each), then 3 x 32 x 32 pixels, red first.

The better known form of CIFAR is pickles, and a pickle can run any code when it is read: it is not read here.
Source: Krizhevsky, "Learning multiple layers of features from tiny images", 2009.
"""

from __future__ import annotations

import gzip
import os
import tarfile
from collections.abc import Sequence
from dataclasses import dataclass
from io import BufferedIOBase
from pathlib import Path

import numpy as np

from ._dataset import DataError
from ._idx import damage_named, ended, fill

_PIXELS = 3 * 32 * 32
_STEP = 1000  # records that are read together


@dataclass(frozen=True)
class Records:
    """The layout of the files of one of the two data sets.

    **Arguments:**

    - `train`, `test`: names of the files.
    - `per_train`, `per_test`: records in each.
    - `labels`: bytes of labels before the pixels.
    - `column`: which of them is wanted.
    - `classes`: how many values it has.
    """

    train: tuple[str, ...]
    test: tuple[str, ...]
    per_train: int
    per_test: int
    labels: int
    column: int
    classes: int


def read_cifar(paths: Sequence[Path], records: Records) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Read pixels and labels of both splits.

    **Arguments:**

    - `paths`: either the one `.tar.gz`, which is read without unpacking it, or the files named in `records`, those to
        train on first.

    **Returns:** uint8 `[N, 3, 32, 32]`, int32 `[N]` to train on, then the same to test with.

    **Raises:** `DataError` naming the file if it is damaged, has another size than it should have or a label outside
    the classes; `OSError` if it can't be opened.
    """
    into = {}
    splits = []
    for names, count in ((records.train, records.per_train), (records.test, records.per_test)):
        x, y = np.empty((len(names) * count, _PIXELS), np.uint8), np.empty(len(names) * count, np.int32)
        splits += [x.reshape(-1, 3, 32, 32), y]
        for i, name in enumerate(names):
            part = slice(i * count, (i + 1) * count)
            into[name] = (x[part], y[part])
    if len(paths) == 1:
        _read_archive(paths[0], records, into)
    else:
        for path, (x, y) in zip(paths, into.values(), strict=True):
            _check_size(os.path.getsize(path), len(y), records, path)
            with open(path, "rb") as file:
                _read_records(file, x, y, records, path)
                ended(file, path)
    x, y, x_test, y_test = splits
    return x, y, x_test, y_test


def _read_archive(path: Path, records: Records, into: dict[str, tuple[np.ndarray, np.ndarray]]) -> None:
    left = dict(into)
    with damage_named(path), gzip.open(path, "rb") as packed:
        try:
            with tarfile.open(fileobj=packed, mode="r|") as archive:  # one pass, nothing is written anywhere
                for member in archive:
                    name = os.path.basename(member.name)
                    if name not in left or not member.isfile():
                        continue
                    x, y = left.pop(name)
                    inside = f"{path}, {member.name}"
                    _check_size(member.size, len(y), records, inside)
                    file = archive.extractfile(member)
                    assert isinstance(file, BufferedIOBase)  # it is a file
                    _read_records(file, x, y, records, inside)
        except tarfile.TarError as error:
            raise DataError(f"{path}: is damaged or no .tar.gz file: {error}") from error
        while packed.read(1 << 20):  # gzip compares its checksum at the end
            pass
    if left:
        raise DataError(f"{path}: lacks {', '.join(left)}")


def _check_size(size: int, count: int, records: Records, path: object) -> None:
    record = records.labels + _PIXELS
    if size != count * record:
        raise DataError(f"{path}: has {size} bytes; {count} records of {record} bytes would be {count * record}")


def _read_records(file: BufferedIOBase, x: np.ndarray, y: np.ndarray, records: Records, path: object) -> None:
    for start in range(0, len(y), _STEP):
        rows = np.empty((len(y[start : start + _STEP]), records.labels + _PIXELS), np.uint8)
        fill(file, rows, path)
        y[start : start + _STEP] = rows[:, records.column]
        x[start : start + _STEP] = rows[:, records.labels :]
    check_labels(y, records.classes, path)


def check_labels(y: np.ndarray, classes: int, path: object) -> None:
    """Refuse labels outside the classes.

    **Arguments:**

    - `y`: labels `[N]`.
    - `classes`: how many there are.
    - `path`: for the message.

    **Raises:** `DataError` naming the file.
    """
    wrong = np.flatnonzero(y >= classes)
    if len(wrong):
        raise DataError(f"{path}: label {y[wrong[0]]} of sample {wrong[0]} is outside the {classes} classes")
