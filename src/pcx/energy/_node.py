"""The value nodes of a problem, and what a forward pass gives for them."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from typing import Any

from jax import Array
from jaxtyping import Bool, PyTree

from ..predictive_coding import Energy
from ._types import Nodes, Weights


@dataclasses.dataclass(frozen=True)
class Node:
    """A value node of a problem.

    **Attributes:**

    - `name`: its path in the model, such as `"vodes[0]"`.
    - `shape`, `dtype`: of its value for one sample.
    - `clamped`: whether a target clamps it.
    - `squared`: whether its energy is half the square of h - u, as that of `pxc.se_energy`.
    - `silent`: whether it has no energy.
    - `form`: the energy itself, if it is a `pxc.Energy`.
    - `local`: whether its energy is a function of nothing but its value, its prediction and weights.
    - `elementwise`: whether its energy has a number for each element of the value, rather than one for each sample.
    """

    name: str
    shape: tuple[int, ...]
    dtype: Any
    clamped: bool
    squared: bool = False
    silent: bool = False
    form: Energy | None = None
    local: bool = True
    elementwise: bool = True

    @property
    def size(self) -> int:
        """The number of elements of its value for one sample."""
        return math.prod(self.shape)


@dataclasses.dataclass(frozen=True)
class ForwardPass:
    """Values and predictions of a batch under forward initialisation.

    **Attributes:**

    - `h`: the values of the nodes that are free, `{node: [batch, *shape]}`.
    - `u`: the predictions of all nodes, likewise; None for a node without one.
    - `targets`: the values that the clamped nodes are clamped at, `{node: [batch, *shape]}`.
    - `output`: what the model's call returns.
    - `rest`: the params that don't learn, afterwards: running statistics have moved.
    - `labels_valid`: whether all labels were classes, a scalar.
    """

    h: Nodes
    u: Mapping[str, Any]
    targets: Nodes
    output: PyTree
    rest: Weights
    labels_valid: Bool[Array, ""]
