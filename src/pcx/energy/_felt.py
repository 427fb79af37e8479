"""Nodes and weights by which the gradient of an energy can be other than zero.

An energy may be computed from a weight and have no gradient by it: behind a `stop_gradient`, a rounding or a choice of
the largest. Such a weight learns nothing from it, and no error goes that way.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from ._functions import OWN

if TYPE_CHECKING:
    from ._problem import Problem


class Felt(NamedTuple):
    """The names of nodes, and the paths of weights, by which a gradient can be other than zero."""

    nodes: frozenset[str]
    weights: frozenset[str]


def felt_by(problem: Problem, name: str, *, prediction: bool = False) -> Felt:
    """Return the nodes and the weights by which the energy of a node has a gradient, with the other nodes' values
    fixed.

    **Arguments:**

    - `problem`: the problem.
    - `name`: the node; "" for what modules add to the energies of their nodes.
    - `prediction`: whether to ask for the gradient of the node's prediction in the place of its energy.
    """
    wiring = problem.wiring
    wanted = problem.own_energy if name == OWN else wiring.u[name] if prediction else wiring.energy.get(name)
    if wanted is None:
        return Felt(frozenset(), frozenset())
    found = wiring.program.felt([wanted])
    places = problem.weight_places
    nodes = frozenset([wiring.node_of[i] for i in found if i in wiring.node_of])
    return Felt(nodes, frozenset([places[i][0] for i in found if i in places]))
