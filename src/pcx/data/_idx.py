"""IDX files, the format of MNIST: a magic number that says type and rank, the shape, the bytes.

BufferedIOBase: LeCun, Cortes, Burges, "The MNIST database of handwritten digits".
"""

from __future__ import annotations

import gzip
import os
import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from io import BufferedIOBase
from pathlib import Path

import numpy as np

from ._dataset import DataError

# Deflate can't make more than this of a byte: a header that claims more is wrong, and is not believed.
_MOST = 1032
_STEP = 1 << 20


def read_idx(path: Path, item: tuple[int, ...]) -> np.ndarray:
    """Read the array of an IDX file of bytes, gzipped or not (which it is, its first bytes say, not its name).

    **Arguments:**

    - `path`: the file.
    - `item`: the shape that one entry must have, `(28, 28)` or `()`.

    **Returns:** uint8 `[N, *item]`.

    **Raises:** `DataError` naming the file if it is damaged, of another type or shape, too short or too long;
    `OSError` if it can't be opened.
    """
    with damage_named(path), _opened(path) as file:
        magic = _read(file, path, 4)
        rank = 1 + len(item)
        if magic != bytes([0, 0, 8, rank]):
            raise DataError(
                f"{path}: begins with {magic.hex()}, not with {bytes([0, 0, 8, rank]).hex()}, the magic number of an "
                f"IDX file of bytes with {rank} axes"
            )
        shape = struct.unpack(f">{rank}I", _read(file, path, 4 * rank))
        if shape[1:] != item:
            raise DataError(f"{path}: has entries of shape {shape[1:]}, not {item}")
        size = int(np.prod(shape, dtype=object))
        if size > _MOST * os.path.getsize(path):
            raise DataError(f"{path}: is too short for the shape {shape} that its header gives")
        array = np.empty(shape, np.uint8)
        fill(file, array, path)
        ended(file, path)
    return array


def fill(file: BufferedIOBase, array: np.ndarray, path: object) -> None:
    """Fill an array of bytes from a file.

    **Arguments:**

    - `file`: open.
    - `array`: uint8, contiguous.
    - `path`: for the message.

    **Raises:** `DataError` naming the file if it ends before.
    """
    left = array.reshape(-1).data
    while len(left):
        # In steps: a gzip file makes what it is asked for as bytes first.
        count = file.readinto(left[:_STEP])
        if not count:
            raise DataError(f"{path}: is cut off: {len(left)} of the {array.size} bytes that belong there are missing")
        left = left[count:]


def ended(file: BufferedIOBase, path: object) -> None:
    """Refuse a file that goes on. Reading to the end also makes gzip compare its checksum.

    **Arguments:**

    - `file`: open.
    - `path`: for the message.

    **Raises:** `DataError` naming the file.
    """
    if file.read(1):
        raise DataError(f"{path}: goes on after the data that belong there")


@contextmanager
def damage_named(path: Path) -> Iterator[None]:
    """Turn what decompression raises for a damaged file into a `DataError` that names it.

    **Arguments:**

    - `path`: the file.

    **Raises:** `DataError` in the place of errors of gzip.
    """
    try:
        yield
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise DataError(f"{path}: is damaged or cut off and can't be decompressed: {error}") from error


def _opened(path: Path) -> BufferedIOBase:
    with open(path, "rb") as file:
        packed = file.read(2) == b"\x1f\x8b"
    return gzip.open(path, "rb") if packed else open(path, "rb")


def _read(file: BufferedIOBase, path: Path, count: int) -> bytes:
    found = file.read(count)
    if len(found) < count:
        raise DataError(f"{path}: is cut off: {len(found)} of the {count} bytes of its header are there")
    return found
