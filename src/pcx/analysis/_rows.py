"""Coordinates as rows of one matrix: what linear algebra on them is written for."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import jax.numpy as jnp
from jax import Array
from jaxtyping import Float

from ..energy import Block, Stacks, batch_of, blocks_of


@dataclasses.dataclass(frozen=True)
class Rows:
    """A form of coordinates by node: with it they become a matrix with one row for each sample, and come back.

    **Arguments:**

    - `blocks`: the names, block by block.
    - `shapes`, `dtypes`: of each block's array.
    - `stacked`: whether the coordinates are `Stacks`.
    """

    blocks: tuple[Block, ...]
    shapes: tuple[tuple[int, ...], ...]
    dtypes: tuple[Any, ...]
    stacked: bool

    @staticmethod
    def of(coords: Any) -> Rows:
        """Return the form of these coordinates, a dict or `Stacks`."""
        found = blocks_of(coords)
        shapes = tuple([tuple(a.shape) for _, a in found])
        return Rows(
            tuple([n for n, _ in found]), shapes, tuple([a.dtype for _, a in found]), isinstance(coords, Stacks)
        )

    @property
    def dtype(self) -> Any:
        """The dtype of the rows: that of the coordinates, but for those in 16 bits, of which sums need more."""
        return jnp.result_type(jnp.float32, *self.dtypes)

    def flatten(self, coords: Any) -> Float[Array, "batch size"]:
        """Return coordinates of this form as rows."""
        size = batch_of(coords)
        by_block = dict(blocks_of(coords))
        rows = []
        for names in self.blocks:
            a = by_block[names]
            first = jnp.moveaxis(a, 1, 0) if len(names) > 1 else a
            rows.append(first.reshape(size, -1).astype(self.dtype))
        return jnp.concatenate(rows, axis=1)

    def unflatten(self, rows: Float[Array, "batch size"]) -> Any:
        """Return rows as coordinates of this form."""
        found, start = [], 0
        for names, shape, dtype in zip(self.blocks, self.shapes, self.dtypes, strict=True):
            several = len(names) > 1
            batch = (shape[1], shape[0], *shape[2:]) if several else shape
            width = math.prod(batch[1:])
            a = rows[:, start : start + width].reshape(batch).astype(dtype)
            found.append(jnp.moveaxis(a, 1, 0) if several else a)
            start += width
        if self.stacked:
            return Stacks(self.blocks, found)
        return {names[0]: a for names, a in zip(self.blocks, found, strict=True)}
