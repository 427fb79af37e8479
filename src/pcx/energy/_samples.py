"""Weights of a batch's samples, and which of them have a target."""

from __future__ import annotations

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jax import Array
from jaxtyping import Bool, Float


class Samples(NamedTuple):
    """Weights of the samples of a batch, and which of them have a target.

    **Attributes:**

    - `weight`: how many samples each counts as, `[batch]`; None for 1.
    - `known`: which samples have a target, `[batch]`; None for all.
    """

    weight: Float[Array, " batch"] | None = None
    known: Bool[Array, " batch"] | None = None

    def weighted(self, each: Array) -> Array:
        """Multiply numbers by the samples' weights.

        **Arguments:**

        - `each`: a number or an array for each sample, `[batch, ...]`.

        **Returns:** likewise.
        """
        return each if self.weight is None else each * as_rows(self.weight, each).astype(each.dtype)

    def counts(self, size: int) -> Float[Array, " batch"] | None:
        """Return the number of samples that each sample counts as, 0 where it has no target.

        **Arguments:**

        - `size`: the number of samples in the batch.

        **Returns:** one number for each sample; None if each counts as one.
        """
        if self.weight is None and self.known is None:
            return None
        return self.masked(self.weighted(jnp.ones(size)))

    def masked(self, each: Array) -> Array:
        """Set numbers to zero where a sample has no target.

        **Arguments:**

        - `each`: a number or an array for each sample, `[batch, ...]`.

        **Returns:** likewise.
        """
        return each if self.known is None else jnp.where(as_rows(self.known, each), each, 0)


def as_rows(each: Array | np.ndarray, like: Array) -> Array:
    """Return numbers of samples, `[batch]`, in a shape that broadcasts to that of `like`, `[batch, ...]`."""
    return jnp.asarray(each).reshape(-1, *[1] * (like.ndim - 1))
