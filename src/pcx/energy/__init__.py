"""pxe: a model as a pure energy function of its nodes and weights. The compiler of pcx."""

from ._bound import Bound
from ._graph import Graph
from ._landscape import Landscape, WeightGradient
from ._local import LocalVJPs
from ._node import ForwardPass, Node
from ._over_errors import OverErrors, OverFixedErrors
from ._over_values import OverValues
from ._problem import Problem
from ._samples import Samples
from ._two_networks import OverSharedValues
from ._types import Energies, Inputs, Nodes, Weights

__all__ = [
    "Bound",
    "Energies",
    "ForwardPass",
    "Graph",
    "Inputs",
    "Landscape",
    "LocalVJPs",
    "Node",
    "Nodes",
    "OverErrors",
    "OverFixedErrors",
    "OverSharedValues",
    "OverValues",
    "Problem",
    "Samples",
    "WeightGradient",
    "Weights",
]
