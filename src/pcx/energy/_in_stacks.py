"""Blocks of nodes, for landscapes that compute equal layers together."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable
from typing import TYPE_CHECKING, Any

import jax.numpy as jnp
import numpy as np

from ._by_layer import shared_out
from ._landscape import Landscape
from ._stacks import Block, Stacks, blockwise, regrouped
from ._together import Together
from ._types import NodesIn

if TYPE_CHECKING:
    from ._bound import Bound


class InStacks(Landscape):
    """The part of a landscape that is about blocks of nodes. It stands before the landscape that it is a part of."""

    bound: Bound

    @property
    def together(self) -> Together:
        """The groups of equal nodes."""
        found = self.bound.together
        assert found is not None, "made where there are groups"
        return found

    def blocks(self, names: Iterable[str], alike: Callable[[str], Hashable] | None = None) -> tuple[Block, ...]:
        parts, singles = self.together.parts(names, (lambda name: None) if alike is None else alike)
        return tuple([*[p.names for p in parts], *[(n,) for n in singles]])

    def arranged(self, coords: NodesIn, alike: Callable[[str], Hashable] | None = None) -> Stacks:
        blocks = self.blocks(self.free, alike)
        if isinstance(coords, Stacks) and coords.blocks == blocks:
            return coords
        return blockwise(regrouped(blocks, coords), lambda names, v: shared_out(v) if len(names) > 1 else v)

    def project(self, coords: NodesIn) -> Any:
        return coords  # nothing is clamped in part

    def form_of_precision(self, name: str) -> Hashable:
        """Return the shape and dtype of a node's precision, which are equal in a block; None if it has none."""
        precision = self.bound.precision.get(name)
        return None if precision is None else (np.shape(precision), str(jnp.result_type(precision)))
