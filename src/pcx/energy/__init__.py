"""pxe: a model as a pure energy function of its nodes and weights. The compiler of pcx."""

# What `__all__` does not list is for other rooms, and not public.
# ruff: noqa: F401

from ._about import positional
from ._bound import Bound
from ._by_layer import LAYERS, layer_devices
from ._by_name import apart, in_stacks_of
from ._dataflow import Op, Program, bind_as_it_stands
from ._dtypes import Casts, DTypePolicy, PolicyLike, as_policy, grad_of_mean
from ._error_stacks import energies_of_errors
from ._felt import felt_by
from ._graph import Graph
from ._landscape import Landscape, WeightGradient
from ._local import LocalVJPs, add, add_parts, clamped_energy, mean_gradient, own_gradient
from ._loops import laid_out, scan, while_loop
from ._members import Members
from ._model_errors import is_equinox, no_model, raise_reworded
from ._node import ForwardPass, Node
from ._over_error_stacks import OverErrorStacks
from ._over_errors import OverErrors, OverFixedErrors, check_errors, energies_without_errors
from ._over_fixed_error_stacks import OverFixedErrorStacks
from ._over_stacks import OverStacks
from ._over_values import OverValues
from ._precision import weighed
from ._problem import Problem
from ._pure import forward_pass, vodes_of
from ._reverse import Reverse
from ._runs import Group
from ._samples import (
    Samples,
    as_rows,
)
from ._stacks import (
    Block,
    Stacks,
    batch_of,
    blocks_of,
    blockwise,
    forms_of,
    gathered,
    in_blocks,
    mapped,
    regrouped,
    renamed,
    repeated,
    selected,
    updated,
)
from ._structure import ModelArrays, Structure
from ._sums import Finiteness, are_finite, are_finite_each, spoilt
from ._sweep import Sweep
from ._targets import is_label
from ._together import Form
from ._two_networks import OverSharedValues
from ._types import Energies, Factors, Gradient, Inputs, Moves, Nodes, NodesIn, Weights
from ._uphill import added, rose
from ._weight_terms import add_weights

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
    "Stacks",
    "WeightGradient",
    "Weights",
]
