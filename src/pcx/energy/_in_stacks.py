"""Blocks of nodes, for landscapes that compute equal layers together."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.typing import DTypeLike

from ._by_layer import shared_out
from ._landscape import Landscape
from ._precision import log_part
from ._stacks import Block, Stacks, blockwise, mapped, regrouped
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

    def without_logs(self, energies: Any) -> Any:
        precision, nodes = self.bound.precision, self.bound.problem.nodes

        def without(names: Block, e: Array) -> Array:
            if names[0] not in precision:
                return e
            size = nodes[names[0]].size
            return mapped(lambda e, p: e + log_part(p, size), names)(e, numbers_of(precision, names, e.dtype))

        return blockwise(energies, without) if precision else energies

    def form_of_precision(self, name: str) -> Hashable:
        """Return the shape and dtype of a node's precision, which are equal in a block; None if it has none."""
        precision = self.bound.precision.get(name)
        return None if precision is None else (np.shape(precision), str(jnp.result_type(precision)))


def numbers_of(given: Mapping[str, Any], names: Block, dtype: DTypeLike) -> Any:
    """Return what is given for the nodes of a block, precisions or factors of one shape, as one array; None if nothing
    is.

    **Arguments:**

    - `given`: by node.
    - `names`: of the block.
    - `dtype`: of what they are multiplied with, in which plain numbers are given.

    **Returns:** `[nodes, *shape]`; of one node `shape`.
    """
    if names[0] not in given:
        return None
    each = [given[n] for n in names]
    if len(each) == 1:
        return jnp.asarray(each[0])
    # One constant, whatever their number is.
    if all(isinstance(x, (int, float)) for x in each):
        return jnp.asarray(np.asarray(each, np.float64), dtype)
    if all(isinstance(x, (np.ndarray, np.generic)) for x in each):
        return jnp.asarray(np.stack(each))
    return jnp.stack([jnp.asarray(x) for x in each])
