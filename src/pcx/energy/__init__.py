"""pxe: a model as a pure energy function of its nodes and weights. The compiler of pcx."""

from ._graph import Graph
from ._landscape import Landscape
from ._problem import Node, Problem, Start

__all__ = ["Graph", "Landscape", "Node", "Problem", "Start"]
