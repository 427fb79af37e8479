"""The order of an epoch, a pure function of seed and epoch."""

from __future__ import annotations

import operator

import numpy as np


def shuffled(n: int, seed: int, epoch: int) -> np.ndarray:
    """Return a permutation of `0 .. n - 1`: the same on every machine, for any number of devices, and whatever was
    drawn before.

    Each sample gets 64 bits of the Philox-4x64-10 stream whose key is (seed, epoch), and the samples are sorted by
    them. The stream is defined by its paper (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", 2011) and
    NumPy keeps the raw output of its bit generators from version to version. It doesn't promise that for
    `Generator.permutation`, and in JAX the bits depend on the configuration (`jax_threefry_partitionable`,
    `jax_default_prng_impl`).

    **Arguments:**

    - `n`: how many samples.
    - `seed`, `epoch`: integers from 0 below 2**64.

    **Returns:** int32 `[n]`.

    **Raises:** `ValueError` for a seed or an epoch outside these bounds.
    """
    key = [operator.index(seed), operator.index(epoch)]
    for name, value in zip(("seed", "epoch"), key, strict=True):
        if not 0 <= value < 2**64:
            raise ValueError(f"shuffled: the {name} is an integer from 0 below 2**64, not {value}")
    draws = np.random.Philox(key=np.array(key, np.uint64)).random_raw(n)
    return np.argsort(draws, kind="stable").astype(np.int32)
