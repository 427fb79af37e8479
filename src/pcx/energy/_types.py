"""Types of the arguments and results of a problem's functions."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, TypeAlias

from jax import Array
from jaxtyping import Float, PyTree

Nodes: TypeAlias = dict[str, Array]
"""A value for each node, `{node: [batch, *shape]}`."""
NodesIn: TypeAlias = Mapping[str, Array]
"""The same, where it is read alone."""
Energies: TypeAlias = dict[str, Float[Array, " batch"]]
"""An energy for each node and sample, `{node: [batch]}`."""
Weights: TypeAlias = dict[str, PyTree]
"""The arrays that learn, `{path: array}`."""
Factors: TypeAlias = Mapping[str, Array | float]
"""A number or an array for some nodes, by name."""
Gradient: TypeAlias = Callable[[NodesIn], Nodes]
"""The gradient by some nodes as a function of their values."""

Numbers: TypeAlias = Mapping[str, Mapping[str, Any]]
"""The number of each value of a program that is made of a node, by node and by what it is."""

Moves: TypeAlias = Callable[[str, int], int]
"""The step at which a node first moves, from its name and the step at which it first feels an error."""


class Inputs(NamedTuple):
    """The arrays that the pure functions of a model take.

    **Attributes:**

    - `weights`, `rest`: the model's arrays that learn, and its others, `{path: array}`.
    - `key`: a random key, for models that draw random numbers.
    - `x`, `y`: the batch, `[batch, ...]` each, or trees of such arrays.
    """

    weights: Weights
    rest: Weights
    key: PyTree
    x: PyTree
    y: PyTree
