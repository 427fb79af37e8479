"""The runs of a problem: of its local programs, and whether its forward pass is made of the same."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import jax.tree_util as jtu

from ._dataflow import Program
from ._locals import Local, local_of
from ._node import Node
from ._runs import Run, Sources, runs_of
from ._types import Inputs
from ._wiring import Wiring


def find_runs(nodes: Mapping[str, Node], wiring: Wiring, inputs: Inputs) -> tuple[Run, ...]:
    """Return the runs of nodes whose local predictions and energies are equal.

    **Arguments:**

    - `nodes`: all nodes; those that are clamped, or have no prediction, are in no run.
    - `wiring`: where they are in the program of energies.
    - `inputs`: the numbers of the program's inputs.
    """
    found: dict[str, Local] = {}
    for name, node in nodes.items():
        u = wiring.u[name]
        if u is None or node.clamped:
            continue
        wanted = [u] if node.silent else [u, wiring.energy[name]]
        local = local_of(wiring.program, wanted)
        kind = (node.shape, node.dtype, node.silent, node.squared, node.local, node.elementwise)
        found[name] = local._replace(key=(local.key, kind))
    values = {number: name for name, number in wiring.h.items()}
    return runs_of(wiring.graph.order, found, Sources(values, _kinds_of_arrays(inputs)))


def _kinds_of_arrays(inputs: Inputs) -> dict[int, Hashable]:
    """Return what must be equal of arrays of equal layers: a weight has a gradient, and its place in a tree of them,
    where what is frozen has none."""
    kinds: dict[int, Hashable] = {number: None for number in jtu.tree_leaves(inputs.rest)}
    for tree in inputs.weights.values():
        numbers, treedef = jtu.tree_flatten(tree)
        kinds |= {number: (treedef, place) for place, number in enumerate(numbers)}
    return kinds


def is_same_forward(
    runs: Sequence[Run], wiring: Wiring, inputs: Inputs, forward: Program, made: Mapping[str, Mapping[str, Any]]
) -> bool:
    """Return whether a forward pass makes the values of the runs' nodes by their local predictions alone.

    **Arguments:**

    - `runs`, `wiring`, `inputs`: see `find_runs`.
    - `forward`: the program of the forward pass.
    - `made`: the numbers of the values that it makes, `{node: {"h", "u"}}`.
    """
    if forward.effects:
        return False
    same = dict(zip(jtu.tree_leaves(forward.inputs[0]), jtu.tree_leaves(inputs), strict=True))
    same |= {made[n]["h"]: number for n, number in wiring.h.items() if made[n]["h"] is not None}
    for run in runs:
        for name in [n for group in run.groups for n in group.names]:
            u = made[name]["u"]
            if made[name]["h"] != u or u is None:
                return False
            given = [made[n]["h"] for n in wiring.graph.parents[name]]
            own = wiring.u[name]
            if own is None:
                return False
            here, there = local_of(forward, [u], given), local_of(wiring.program, [own])
            if here.key != there.key or tuple([same.get(i) for i in here.slots]) != there.slots:
                return False
    return True
