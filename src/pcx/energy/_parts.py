"""Nodes that are clamped in part: some samples, or some of a node's features."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple

import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike
from jaxtyping import Bool

from ._types import Nodes, NodesIn

if TYPE_CHECKING:
    from ._problem import Problem


class Parts(NamedTuple):
    """The parts of nodes that are clamped.

    **Attributes:**

    - `values`: `{node: (mask, value)}` of free nodes of which a part doesn't move.
    - `counts`: `{node: mask}` of clamped nodes that no other node is predicted from: their free part follows the
        prediction, so it has no energy.
    """

    values: dict[str, tuple[Bool[Array, ...], Array]]
    counts: dict[str, Bool[Array, ...]]

    def project(self, coords: NodesIn) -> Nodes:
        """Return values of free nodes with the clamped parts at what they are clamped at."""
        return {n: jnp.where(*self.values[n], v) if n in self.values else v for n, v in coords.items()}

    def moving(self, gradient: NodesIn) -> Nodes:
        """Return a gradient by values, zero where these are clamped."""
        return {n: jnp.where(self.values[n][0], 0, g) if n in self.values else g for n, g in gradient.items()}

    def counted(self, name: str, elements: Array) -> Array:
        """Return elementwise energies, zero where a node follows its prediction."""
        if name not in self.counts:
            return elements
        mask = self.counts[name]
        return jnp.where(mask.reshape(mask.shape[0]) if elements.ndim == 1 else mask, elements, 0)


def split_clamped(problem: Problem, clamped: NodesIn, hold: Mapping[str, ArrayLike]) -> tuple[Nodes, Parts]:
    """Return the nodes that are clamped as a whole, and the parts of the others.

    **Arguments:**

    - `clamped`: values by name.
    - `hold`: `{node: mask}` for those that are clamped where the mask is True alone.

    **Raises:** `ValueError` for a mask that doesn't fit, or a node without a value.
    """
    whole: Nodes = dict(clamped)
    parts = Parts({}, {})
    for name, given in hold.items():
        if name not in clamped:
            raise ValueError(f"landscape: hold names {name!r}, which has no value; those that have: {list(clamped)}")
        node = problem.nodes[name]
        mask = jnp.asarray(given)
        full = (problem.size, *node.shape)
        fits = mask.ndim == len(full) and all(m in (1, n) for m, n in zip(mask.shape, full, strict=True))
        if mask.dtype != bool or not fits:
            raise ValueError(
                f"landscape: the mask of {name} must be booleans {list(full)} or what broadcasts to that, got "
                f"{mask.dtype}{list(mask.shape)}"
            )
        if problem.graph.children[name]:
            parts.values[name] = mask, whole.pop(name)
        elif not node.elementwise and math.prod(mask.shape[1:]) > 1:
            raise ValueError(
                f"landscape: the energy of {name} is one number for each sample, so that no part of its features can "
                "be clamped; give a mask of samples, or an elementwise energy"
            )
        else:
            parts.counts[name] = jnp.broadcast_to(mask, (problem.size, *mask.shape[1:]))
    return whole, parts
