"""Types of the arguments and results of a problem's functions."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

from jax import Array
from jaxtyping import Float, PyTree

from ._stacks import Stacks

if TYPE_CHECKING:
    Nodes: TypeAlias = dict[str, Array]
    """A value for each node, `{node: [batch, *shape]}`. Where equal layers are computed together it is a `Stacks`,
    which is read like a dict; so are the two below."""
    Energies: TypeAlias = dict[str, Float[Array, " batch"]]
    """An energy for each node and sample, `{node: [batch]}`."""
    Weights: TypeAlias = dict[str, PyTree]
    """The arrays that learn, `{path: array}`."""
else:  # what is checked as tests run
    Nodes = dict[str, Array] | Stacks
    Energies = dict[str, Float[Array, " batch"]] | Stacks
    Weights = dict[str, PyTree] | Stacks
NodesIn: TypeAlias = Mapping[str, Array]
"""Values of nodes, where they are read alone."""
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
