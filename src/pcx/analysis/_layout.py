"""The names that numbers go by: nodes, weights, the layers that these belong to."""

from __future__ import annotations

import dataclasses
from typing import Any

import jax
import jax.tree_util as jtu

from ..energy import Problem
from ..learning import Rule, State
from ._networks import Batch, networks_in
from ._plain_steps import PlainStep, plain_step


@dataclasses.dataclass(frozen=True)
class Layout:
    """The names of a network's parts, in the order of the model.

    **Attributes:**

    - `nodes`, `free`, `clamped`: the names of all nodes, of those that settle, and of those that a target clamps.
    - `weights`: the paths of all weights.
    - `owners`: the nodes whose predictions or energies each weight is in, by path.
    - `children`: the nodes that are predicted from each node.
    - `sizes`: the number of elements of each node's value, for the batch.
    - `frozen`: the paths of params that would learn were they not marked as frozen.
    - `settles`: how many times values settle in a step.
    - `most_steps`: the most steps that one settling takes.
    - `step`: the step of plain gradient descent by which values settle; None for another way.
    - `noisy`: whether noise keeps energies up.
    """

    nodes: tuple[str, ...]
    free: tuple[str, ...]
    clamped: tuple[str, ...]
    weights: tuple[str, ...]
    owners: dict[str, tuple[str, ...]]
    children: dict[str, tuple[str, ...]]
    sizes: dict[str, int]
    frozen: tuple[str, ...]
    settles: int
    most_steps: int
    step: PlainStep | None
    noisy: bool


def layout_of(rule: Rule, state: State, batch: Batch) -> Layout:
    """Return the names of a network's parts.

    **Arguments:**

    - `rule`, `state`, `batch`: the rule, and what it learns from.
    """
    found: list[Any] = []

    def look(state: State, batch: Batch) -> int:
        bound = rule.bind(state, batch)
        found.append((bound.problem, rule.settling(bound, bound.start(), rule.memory_of(state))))
        return 0

    one: Any = state
    if networks_in(state) is not None:
        one = jtu.tree_map(lambda a: jax.ShapeDtypeStruct(a.shape[1:], a.dtype), state)
    jax.eval_shape(look, one, batch)
    problem, settlings = found[0]
    parts: list[Problem] = (
        [problem] if not hasattr(problem, "generative") else [problem.generative, problem.recognition]
    )
    structure = parts[0].structure
    owners: dict[str, list[str]] = {path: [] for path in structure.params if path in one.weights}
    children: dict[str, tuple[str, ...]] = {}
    for part in parts:
        for name in part.nodes:
            children.setdefault(name, tuple(part.graph.children[name]))
            for path in part.weights_of(name):
                owners[path].append(name)
    solvers = [s.solver for s in settlings]
    return Layout(
        tuple(problem.nodes),
        tuple(settlings[0].landscape.free if settlings else problem.free),
        tuple(problem.clamped),
        tuple(owners),
        {path: tuple(dict.fromkeys(names)) for path, names in owners.items()},
        children,
        {n: node.size * problem.size for n, node in problem.nodes.items()},
        structure.frozen_weights,
        len(settlings),
        max([s.stop.steps for s in settlings], default=0),
        plain_step(solvers[0], settlings[0].landscape.free) if settlings else None,
        any(s.random for s in solvers),
    )


def module_of(path: str) -> str:
    """Return the module that a weight belongs to, such as `"layers[0]"` for `"layers[0].nn.weight"`.

    **Arguments:**

    - `path`: of the weight.
    """
    if ".nn." in path:
        return path.split(".nn.")[0]
    return path.rpartition(".")[0] or path
