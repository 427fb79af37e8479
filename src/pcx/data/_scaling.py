"""Scalings: mean zero and variance one in each channel."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeVar

import jax
import numpy as np
from jax.typing import DTypeLike

A = TypeVar("A", np.ndarray, jax.Array)

# Samples that are looked at together: their float64 copy is all that measuring adds in memory, and stays in a cache.
_PART = 256


@dataclass(frozen=True)
class Scaling:
    """`(x - mean) / std`, per channel. Equal scalings compare and hash equal, so that programs can be reused.

    **Arguments:**

    - `mean`, `std`: one number for each channel; `std` above 0.

    **Raises:** `ValueError` if the two differ in length or a `std` isn't above 0.
    """

    mean: tuple[float, ...]
    std: tuple[float, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "mean", tuple(float(value) for value in self.mean))
        object.__setattr__(self, "std", tuple(float(value) for value in self.std))
        if len(self.mean) != len(self.std) or not self.mean or not all(value > 0 for value in self.std):
            raise ValueError(f"Scaling: one mean and one std above 0 for each channel, not {self.mean} and {self.std}")

    @classmethod
    def of(cls, x: np.ndarray, channels: int = 1) -> Scaling:
        """Return the scaling that gives `x` mean 0 and variance 1 in each channel, computed in float64.

        A channel that is constant gets `std` 1: it becomes zero.

        **Arguments:**

        - `x`: `[N, ...]` with N above 0.
        - `channels`: how many channels a sample consists of, in turn: 1 for grey images, 3 for colour images, and of a
            table `[N, features]` the number of features, each of which then has a scale of its own.

        **Returns:** a `Scaling` of that many channels.

        **Raises:** `TypeError` if `channels` is no whole number; `ValueError` if there are no samples or the channels
        don't divide a sample.
        """
        if isinstance(channels, bool) or not isinstance(channels, int | np.integer):
            raise TypeError(f"Scaling.of: channels must be a whole number, got {channels!r}")
        size = int(np.prod(x.shape[1:]))
        if channels < 1 or size == 0 or size % channels or len(x) == 0:
            raise ValueError(f"Scaling.of: an array of shape {x.shape} has no samples of {channels} channels")
        count = len(x) * (size // channels)
        mean = sum((part.sum(axis=(0, 2)) for part in _parts(x, channels)), np.zeros(channels)) / count
        squares = np.zeros(channels)
        for part in _parts(x, channels):
            part -= mean[:, None]
            squares += np.square(part, out=part).sum(axis=(0, 2))
        std = np.sqrt(squares / count)
        return cls(tuple(mean.tolist()), tuple(np.where(std > 0, std, 1.0).tolist()))

    def __call__(self, x: A) -> A:
        """Return scaled samples.

        **Arguments:**

        - `x`: `[B, ...]`, a NumPy or JAX array of floats whose samples consist of the channels in turn: `[B, C, H, W]`,
            `[B, H, W]` with one channel, or either of them flat.

        **Returns:** of the shape of x.

        **Raises:** `TypeError` for integers; `ValueError` if the channels don't divide a sample.
        """
        rows = self._rows(x)
        return ((rows - self._column(self.mean, x.dtype)) / self._column(self.std, x.dtype)).reshape(x.shape)

    def apply_in_place(self, x: np.ndarray) -> None:
        """Scale samples in place: no second array of that size is made.

        **Arguments:**

        - `x`: `[B, ...]`, as in a call, contiguous.

        **Raises:** as a call; `ValueError` if x isn't contiguous.
        """
        rows = self._rows(x)
        if not np.shares_memory(rows, x):
            raise ValueError("Scaling.apply_in_place: x must be contiguous")
        rows -= self._column(self.mean, x.dtype)
        rows /= self._column(self.std, x.dtype)

    def _rows(self, x: A) -> A:
        if x.dtype.kind in "iub":
            raise TypeError(f"Scaling: needs floats, not {x.dtype}; bring pixels into [0, 1] first")
        if int(np.prod(x.shape[1:])) % len(self.mean):
            raise ValueError(f"Scaling: samples of shape {x.shape[1:]} do not consist of {len(self.mean)} channels")
        return _by_channel(x, len(self.mean))

    @staticmethod
    def _column(values: tuple[float, ...], dtype: DTypeLike) -> np.ndarray:
        return np.asarray(values, dtype)[:, None]


def unit(pixels: np.ndarray) -> np.ndarray:
    """Return pixels as floats from 0 to 1; no other array is made.

    **Arguments:**

    - `pixels`: uint8 `[N, ...]`.

    **Returns:** float32 of the same shape.
    """
    x = np.empty(pixels.shape, np.float32)
    return np.divide(pixels, np.float32(255), out=x, dtype=np.float32)


def _by_channel(x: A, channels: int) -> A:
    return x.reshape(len(x), channels, int(np.prod(x.shape[1:])) // channels)


def _parts(x: np.ndarray, channels: int) -> Iterator[np.ndarray]:
    for start in range(0, len(x), _PART):
        yield _by_channel(x[start : start + _PART].astype(np.float64), channels)
