"""The result of settling."""

from __future__ import annotations

import enum
from typing import NamedTuple

import jax.numpy as jnp
from jax import Array
from jaxtyping import Bool, Float, Int, PyTree

from ..core import shown
from ..energy import Nodes, NodesIn, blocks_of


class RESULT(enum.IntEnum):
    """The end of settling, for each sample."""

    settled = 0
    """The stop's condition was met, or the fixed number of steps taken."""
    out_of_steps = 1
    """The most steps allowed were taken before the stop's condition was met."""
    not_finite = 2
    """A value of the sample is NaN or infinite."""
    diverged = 3
    """The energy is above that at the start, by a part that counts, and no stop's condition was met: the rate is too
    large."""


class Solution(NamedTuple):
    """Settled values.

    **Attributes:**

    - `nodes`: `{node: [batch, *shape]}`.
    - `steps`: steps really taken by each sample, `[batch]`.
    - `result`: a `RESULT` for each sample, `[batch]`.
    - `trace`: each node's energy, or what else was asked for, before the first step and after every step, `{node:
        [steps + 1, batch]}`, if asked for; where all samples stopped early, NaN from there on.
    - `first_bad`: where a value was first not finite, a scalar that `where_bad` reads; -1 if all were finite.
    - `observed`: the sum of what was observed at the steps, if asked for.
    """

    nodes: Nodes
    steps: Int[Array, " batch"]
    result: Int[Array, " batch"]
    trace: dict[str, Float[Array, "steps batch"]] | None
    first_bad: Int[Array, ""]
    observed: PyTree = None

    def __repr__(self) -> str:
        return shown(self)


def finite_samples(nodes: NodesIn) -> Bool[Array, " batch"]:
    """Return which samples have finite values alone, `[batch]`.

    **Arguments:**

    - `nodes`: `{node: [batch, *shape]}`, one at least.
    """
    each = []
    for names, v in blocks_of(nodes):
        batch = int(len(names) > 1)  # a stack has an axis before it
        each.append(jnp.all(jnp.isfinite(v), axis=tuple([i for i in range(v.ndim) if i != batch])))
    return jnp.all(jnp.stack(each), axis=0)
