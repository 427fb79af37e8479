"""A network as it is traced: its nodes, what each is predicted from, its weights and its equal layers."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Literal, NamedTuple

import jax.tree_util as jtu
import numpy as np
from jaxtyping import PyTree

from ..energy import Problem, Structure
from ._between import Between, ways_between
from ._layout import module_of
from ._products import loops_among, products_among

Kind = Literal["learns", "frozen", "kept", "constant"]
Shape = tuple[int, ...]


class Weight(NamedTuple):
    """An array of a model.

    **Attributes:**

    - `path`: its place in the model.
    - `shapes`: of its arrays, one as a rule.
    - `kind`: whether it `"learns"`, would if it were not `"frozen"`, is `"kept"` otherwise (running statistics) or
        is a `"constant"`.
    """

    path: str
    shapes: tuple[Shape, ...]
    kind: Kind

    @property
    def size(self) -> int:
        """The number of its numbers."""
        return sum(math.prod(shape) for shape in self.shapes)


class Value(NamedTuple):
    """A value node.

    **Attributes:**

    - `name`, `shape`: of the node, for one sample.
    - `clamped`: whether a target clamps it.
    - `energy`: its energy in words.
    - `ways`: from each node or input that its prediction or energy reads, by name, in the order of the model.
    - `arrays`: the paths of the model's arrays that these read.
    - `products`: the products for prediction and energy, by sample.
    """

    name: str
    shape: Shape
    clamped: bool
    energy: str
    ways: dict[str, Between]
    arrays: tuple[str, ...]
    products: float


class Network(NamedTuple):
    """A network, or one of two that share a model.

    **Attributes:**

    - `part`: which of two it is; empty for a single one.
    - `inputs`: the shapes of what it reads of a batch, for one sample, by name.
    - `values`: its nodes by name, parents before children.
    - `runs`: of equal layers, the nodes at each place of a repetition; one place where single layers repeat.
    - `products`: of a forward pass with all energies, by sample.
    - `own_energy`: whether modules add energies to those of the nodes.
    - `loops`: whether there are products in while loops.
    """

    part: str
    inputs: dict[str, Shape]
    values: dict[str, Value]
    runs: tuple[tuple[tuple[str, ...], ...], ...]
    products: float
    own_energy: bool
    loops: bool


def networks_of(problem: Problem) -> list[Network]:
    """Return the network of a problem, or both of a problem of two.

    **Arguments:**

    - `problem`: made of a model and a batch.
    """
    joint: Any = problem
    if hasattr(joint, "recognition"):
        return [_network(joint.generative, "generative"), _network(joint.recognition, "recognition")]
    return [_network(problem, "")]


def weights_of(problem: Problem) -> dict[str, Weight]:
    """Return the arrays of a problem's model by path, those that learn first.

    **Arguments:**

    - `problem`: made of a model and a batch.
    """
    joint: Any = problem
    one: Problem = joint.recognition if hasattr(joint, "recognition") else problem
    frozen = set(one.structure.frozen_weights)
    found: dict[str, Weight] = {}
    for path, forms in one.shapes.weights.items():
        found[path] = Weight(path, _shapes(forms), "learns")
    for path, forms in one.shapes.rest.items():
        kind: Kind = "frozen" if path in frozen else "constant" if path.startswith("=") else "kept"
        found[path] = Weight(path, _shapes(forms), kind)
    return found


def model_name(structure: Structure) -> str:
    """Return the name of a model's class.

    **Arguments:**

    - `structure`: the model without its values.
    """
    whole: Any = structure
    return type(whole.skeleton.without_values(whole.numbers, whole.statics)).__name__


def layers_of(paths: tuple[str, ...]) -> tuple[str, ...]:
    """Return the layers that weights belong to; a weight that is in none is one.

    **Arguments:**

    - `paths`: of the weights.
    """
    return tuple(dict.fromkeys([module_of(path) for path in paths]))


def _shapes(forms: PyTree) -> tuple[Shape, ...]:
    return tuple([tuple(np.shape(a)) for a in jtu.tree_leaves(forms)])


def _network(p: Problem, part: str) -> Network:
    wiring, program = p.wiring, p.wiring.program
    numbers = program.inputs[0]
    learned = {i: path for path in numbers.weights for i in jtu.tree_leaves(numbers.weights[path])}
    others = {i: path for path in numbers.rest for i in jtu.tree_leaves(numbers.rest[path])}
    frozen = set(p.structure.frozen_weights)
    met = learned | {i: path for i, path in others.items() if path in frozen}
    given = _inputs(p)
    values: dict[str, Value] = {}
    used: set[str] = set()
    for name in wiring.graph.order:
        u, energy = wiring.u[name], wiring.energy.get(name)
        wanted = [i for i in (u, energy) if i is not None]
        ops, missing = program.needed(wanted, ())
        sources = {n: i for n, (i, _) in given.items() if i in missing}
        used |= sources.keys()
        sources |= {n: wiring.h[n] for n in wiring.graph.parents[name]}
        ways = dict.fromkeys(sources, Between((), False))
        if u is not None:
            ways |= ways_between(program, u, sources, met)
        node = p.nodes[name]
        arrays = [path for i, path in (learned | others).items() if i in missing]
        words = p.structure.energy_names[name]
        values[name] = Value(
            name,
            node.shape,
            node.clamped,
            "none" if node.silent else words,
            ways,
            tuple(dict.fromkeys(arrays)),
            products_among(program, ops) / p.size,
        )
    every = [i for i in (*wiring.u.values(), *wiring.energy.values()) if i is not None]
    runs = tuple([tuple([group.names for group in run.groups]) for run in p.runs])
    inputs = {n: shape for n, (_, shape) in given.items() if n in used}
    ops = program.needed(every, ())[0]
    total, loops = products_among(program, ops) / p.size, loops_among(program, ops)
    return Network(part, inputs, values, runs, total, p.has_own_energy, loops)


def _inputs(p: Problem) -> Mapping[str, tuple[int, Shape]]:
    """Return number and shape, for one sample, of each array of a batch, by name."""
    numbers = p.wiring.program.inputs[0]
    found: dict[str, tuple[int, Shape]] = {}
    # What the one network calls x may be y in the batch.
    for name, tree, forms in zip(p.structure.called, (numbers.x, numbers.y), (p.shapes.x, p.shapes.y), strict=True):
        shapes = _shapes(forms)
        for (path, number), shape in zip(jtu.tree_flatten_with_path(tree)[0], shapes, strict=True):
            found[name + jtu.keystr(path)] = number, shape[1:]
    return found
