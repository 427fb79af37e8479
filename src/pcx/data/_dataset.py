"""`Dataset` and `Split`, the results of the loaders: two splits of arrays and the names of the classes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ._scaling import Scaling


class DataError(ValueError):
    """A data file that can't be what it should be. The message names the file and the fault."""


@dataclass(frozen=True, eq=False)
class Split:
    """Samples and their labels, in the order of the files.

    **Arguments:**

    - `x`: `[N, ...]`, any dtype. Images are `[N, H, W]` or, with colours, `[N, C, H, W]`.
    - `y`: `[N]`, integers from 0; held as int32.

    **Raises:** `ValueError` if the two differ in length or y isn't `[N]`; `TypeError` if y doesn't hold integers.
    """

    x: np.ndarray
    y: np.ndarray

    def __post_init__(self) -> None:
        x, y = np.asarray(self.x), np.asarray(self.y)
        if y.ndim != 1 or x.ndim < 1 or len(x) != len(y):
            raise ValueError(f"Split: x is [N, ...] and y [N] with the same N, not {x.shape} and {y.shape}")
        if y.dtype.kind not in "iu":
            raise TypeError(f"Split: y holds integers from 0, one for each sample, not {y.dtype}")
        object.__setattr__(self, "x", x)
        object.__setattr__(self, "y", y.astype(np.int32, copy=False))

    def __len__(self) -> int:
        return len(self.y)


@dataclass(frozen=True, eq=False)
class Dataset:
    """Samples to train on and samples to test with.

    **Arguments:**

    - `name`: for titles and records.
    - `train`, `test`: the splits.
    - `classes`: the name of each label, in order; `()` leaves the labels unchecked.
    - `channels`: how many channels one sample `x[i]`, read flat, is made of, one after the other: 1 for grey images, 3
      for colour images, the number of features for points. `standardise` works per channel.
    - `scaling`: what was applied to both x after they were in [0, 1], if anything was.
    - `origin`: where the files were found.

    **Raises:** `ValueError` if a label is outside the classes or the channels don't divide a sample.
    """

    name: str
    train: Split
    test: Split
    classes: tuple[str, ...] = ()
    channels: int = 1
    scaling: Scaling | None = None
    origin: str = ""

    def __post_init__(self) -> None:
        for part, split in (("train", self.train), ("test", self.test)):
            size = int(np.prod(split.x.shape[1:]))
            if self.channels < 1 or size % self.channels:
                raise ValueError(f"Dataset: {part}.x {split.x.shape} does not consist of {self.channels} channels")
            if self.classes and len(split) and (split.y.min() < 0 or split.y.max() >= len(self.classes)):
                found = f"{split.y.min()} to {split.y.max()}"
                raise ValueError(f"Dataset: {part}.y goes from {found}, but there are {len(self.classes)} classes")

    def __repr__(self) -> str:  # not the arrays themselves
        train, test = self.train, self.test
        return f"Dataset({self.name!r}, train {train.x.shape}, test {test.x.shape}, {len(self.classes)} classes)"
