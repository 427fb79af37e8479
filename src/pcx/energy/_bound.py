"""A problem with its arrays."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Mapping, Sequence
from typing import Any

import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike
from jaxtyping import Float, PyTree

from ..core import fields_shown
from ._functions import Functions
from ._node import ForwardPass
from ._over_values import OverValues
from ._parts import split_clamped
from ._precision import weighed
from ._problem import Problem
from ._samples import Samples
from ._structure import ModelArrays
from ._sums import row_sums
from ._types import Factors, Inputs, Nodes, NodesIn, Weights


@dataclasses.dataclass(frozen=True, eq=False)
class Bound:
    """A problem with its arrays: a model and a batch as pure functions. Made by `pcx.learning.bind`, and handed to a
    learning rule.

    **Attributes:**

    - `problem`: nodes, their graph, and the energy as a function of nodes, weights and batch.
    - `weights`, `rest`: the model's arrays that learn, and its others, `{path: array}`.
    - `key`: a random key, for models that draw random numbers.
    - `x`, `y`: the batch, `[batch, ...]` each, or trees of such arrays.
    - `precision`: of nodes, by name: a scalar, or of the node's shape for one sample.
    - `samples`: the samples' weights, and which of them have a target.
    """

    problem: Problem
    weights: Weights
    rest: Weights
    key: PyTree
    x: PyTree
    y: PyTree
    precision: Factors = dataclasses.field(default_factory=dict)
    samples: Samples = dataclasses.field(default_factory=Samples)

    def __repr__(self) -> str:
        return fields_shown(self)

    @property
    def inputs(self) -> Inputs:
        """The arrays that the problem's functions take."""
        return Inputs(self.weights, self.rest, self.key, self.x, self.y)

    @functools.cached_property
    def functions(self) -> Functions:
        """Predictions and energies as functions of the nodes' values."""
        return self.problem.at(self.inputs)

    def at(self, weights: Weights | None = None, batch: tuple[PyTree, PyTree] | None = None) -> Bound:
        """Return the same model at other weights or on another batch, of whatever size.

        **Arguments:**

        - `weights`: `{path: array}`; by default those that it has.
        - `batch`: `(x, y)`, `[batch, ...]` each; by default the one that it has. A new batch has samples without
            weights, each with a target.
        """
        weights = self.weights if weights is None else weights
        if batch is None:
            return dataclasses.replace(self, weights=weights)
        problem = Problem.of(self.problem.structure, ModelArrays(weights, self.rest), batch, self.problem.training)
        x, y = batch
        return dataclasses.replace(self, problem=problem, weights=weights, x=x, y=y, samples=Samples())

    def start(self, effects: bool = True) -> ForwardPass:
        """Return a forward pass: values, predictions and targets by node.

        **Arguments:** `effects`, whether prints and callbacks of the model's call are done.
        """
        return self.problem.start(self.inputs, effects=effects)

    def landscape(
        self,
        clamped: NodesIn,
        *,
        scale: Factors | None = None,
        hold: Mapping[str, ArrayLike] | None = None,
        sources: Sequence[str] | None = None,
        wave: bool = True,
        forward: ForwardPass | None = None,
    ) -> OverValues:
        """Return the energy as a function of the values of the free nodes, see `Landscape`.

        **Arguments:**

        - `clamped`: values of the nodes that don't move, by name, such as `start().targets`, `[batch, *shape]` each.
        - `scale`: factors of nodes' energies, by name.
        - `hold`: `{node: mask}` for clamped nodes of which a part alone is clamped, where the mask is True; booleans
            `[batch, *shape]`, or what broadcasts to that: `[batch, 1, ...]` clamps some samples. The rest is free: it
            follows its prediction; where other nodes are predicted from it, it settles, so the node becomes one of
            `free`. The output nodes of samples without a target are free.
        - `sources`: the nodes that may have an error when the others have none, as after a forward pass; by default
            known where the clamped nodes are those of the problem. `wave=False` says that settling starts elsewhere.
        - `forward`: the forward pass of this problem, if it has been made.

        **Raises:** `ValueError` for a mask that doesn't fit, or for values of another shape.
        """
        p = self.problem
        if self.samples.known is not None:
            axes = {n: len(p.nodes[n].shape) for n in p.outputs if n in clamped}
            hold = {**{n: self.samples.known.reshape(-1, *[1] * d) for n, d in axes.items()}, **(hold or {})}
        whole, parts = split_clamped(p, clamped, hold or {})
        p.check_values(whole)
        if sources is None and set(whole) == set(p.clamped):
            sources = (*p.clamped, *p.with_error)
        return OverValues(
            self, whole, sources if wave and not parts.values else None, scale=scale, parts=parts, forward=forward
        )

    def predictions(self, nodes: NodesIn, clamped: NodesIn | None = None) -> Nodes:
        """Return every node's prediction at given values, `{node: [batch, *shape]}`; of a node that has none, none.

        **Arguments:**

        - `nodes`: values of the free nodes, such as a solution's, `{node: [batch, *shape]}`.
        - `clamped`: those of the others, such as `start().targets`; a prediction that needs a value which neither
            gives is left out.
        """
        p = self.problem
        given = {**(clamped or {}), **nodes}
        p.check_values(given)
        found: dict[str, Any] = {
            n: self.functions.predict(n, given) for n in p.nodes if all(m in given for m in p.graph.parents[n])
        }
        return {n: u for n, u in found.items() if u is not None}

    def output_energy(self, u: Mapping[str, Any], targets: NodesIn) -> Float[Array, " batch"]:
        """Return the energy of the output nodes, without precisions: the loss of a forward pass.

        **Arguments:**

        - `u`: predictions, such as `start().u`, `{node: [batch, *shape]}`.
        - `targets`: the values that the output nodes are clamped at, likewise.
        """
        p = self.problem
        total: Array = jnp.zeros((p.size,))
        for name in p.outputs:
            if p.nodes[name].local:
                total = total + row_sums(self.functions.elements(name, targets[name], u[name]))
        return self.samples.masked(total)

    def node_energy(self, name: str, elements: Array) -> Float[Array, " batch"]:
        """Return a node's energy from its elementwise one, `[batch, *shape]`, with its precision; of an output, zero
        for a sample without a target."""
        if name in self.problem.outputs:
            elements = self.samples.masked(elements)
        return weighed(elements, self.precision.get(name), self.problem.nodes[name].size)
