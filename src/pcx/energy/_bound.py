"""A problem with its arrays."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Mapping, Sequence
from typing import Any, cast

import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.typing import ArrayLike
from jaxtyping import Float, PyTree

from ..core import fields_shown, taken
from ._functions import Functions
from ._node import ForwardPass
from ._over_stacks import OverStacks
from ._over_values import OverValues
from ._parts import split_clamped
from ._precision import weighed
from ._problem import Problem
from ._samples import Samples
from ._stacks import Stacks, forms_of, updated
from ._structure import ModelArrays
from ._sums import row_sums
from ._together import Form, Together
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
    - `form`: how equal local predictions are computed together, `"stacked"` or `"looped"`; None if they are not.
    """

    problem: Problem
    weights: Weights
    rest: Weights
    key: PyTree
    x: PyTree
    y: PyTree
    precision: Factors = dataclasses.field(default_factory=dict)
    samples: Samples = dataclasses.field(default_factory=Samples)
    form: Form | None = None

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

    @functools.cached_property
    def together(self) -> Together | None:
        """The groups of equal nodes, if they are computed together."""
        return Together(self.functions, self.form) if self.form is not None and self.problem.runs else None

    def at(self, weights: Weights | None = None, batch: tuple[PyTree, PyTree] | None = None) -> Bound:
        """Return the same model at other weights or on another batch, of whatever size.

        **Arguments:**

        - `weights`: `{path: array}`; by default those that it has.
        - `batch`: `(x, y)`, `[batch, ...]` each; by default the one that it has. A new batch has samples without
            weights, each with a target.

        **Returns:** a new `Bound`.

        **Raises:** `TypeError` for what is no dict or no pair; `ValueError` for weights missing, unknown or of other
        shapes, for a batch that the model can't take, and for labels outside the classes, where they can be read.
        """
        if weights is None:
            weights = self.weights
        else:
            _check_weights(self.weights, weights)
        if batch is None:
            return dataclasses.replace(self, weights=weights)
        if not isinstance(batch, (tuple, list)) or len(batch) != 2:
            raise TypeError(f"bound.at: a batch is a pair (x, y), got {type(batch).__name__}")
        x, y = taken("bound.at", "x", batch[0]), taken("bound.at", "y", batch[1])
        problem = Problem.of(self.problem.structure, ModelArrays(weights, self.rest), (x, y), self.problem.training)
        problem.check_labels(y)
        return dataclasses.replace(self, problem=problem, weights=weights, x=x, y=y, samples=Samples())

    def start(self, effects: bool = True) -> ForwardPass:
        """Run a forward pass.

        **Arguments:**

        - `effects`: whether prints and callbacks of the model's call are done.

        **Returns:** values, predictions and targets by node.
        """
        return self.problem.start_of(self, effects)

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
            known where the clamped nodes are those of the problem.
        - `wave`: False says that settling starts elsewhere than at a forward pass.
        - `forward`: the forward pass of this problem, if it has been made; one made at other weights is not used.

        **Returns:** the landscape over values.

        **Raises:** `TypeError` if `clamped` is no dict; `ValueError` for names of no node, for a mask that doesn't fit,
        or for values of another shape.
        """
        if not isinstance(clamped, Mapping):
            raise TypeError(
                "bound.landscape: clamped is {node: value}, such as bound.start().targets, got "
                f"{type(clamped).__name__}"
            )
        p = self.problem
        if self.samples.known is not None:
            axes = {n: len(p.nodes[n].shape) for n in p.optional if n in clamped}
            hold = {**{n: self.samples.known.reshape(-1, *[1] * d) for n, d in axes.items()}, **(hold or {})}
        whole, parts = split_clamped(p, clamped, hold or {})
        p.check_values(whole, "bound.landscape")
        if sources is None and set(whole) == set(p.clamped):
            sources = (*p.clamped, *p.with_error)
        kind = OverValues if self.together is None or parts.values else OverStacks
        return kind(
            self, whole, sources if wave and not parts.values else None, scale=scale, parts=parts, forward=forward
        )

    def predictions(self, nodes: NodesIn, clamped: NodesIn | None = None) -> Nodes:
        """Return every node's prediction at given values; of a node that has none, none.

        **Arguments:**

        - `nodes`: values of the free nodes, such as a solution's, `{node: [batch, *shape]}`.
        - `clamped`: those of the others, likewise, such as `start().targets`; a prediction that needs a value which
            neither gives is left out.

        **Returns:** `{node: [batch, *shape]}`.

        **Raises:** `ValueError` for names of no node, or values of another shape.
        """
        p = self.problem
        given = updated(clamped or {}, nodes)
        p.check_values(forms_of(given) if isinstance(given, Stacks) else given, "bound.predictions")
        if self.together is not None:
            able: Any = [n for n in p.nodes if all(m in given for m in p.graph.parents[n])]
            return cast("Nodes", self.together.all_predictions(able, given))
        found: dict[str, Any] = {
            n: self.functions.predict(n, given) for n in p.nodes if all(m in given for m in p.graph.parents[n])
        }
        return {n: u for n, u in found.items() if u is not None}

    def output_energy(self, u: Mapping[str, Any], targets: NodesIn) -> Float[Array, " batch"]:
        """Return the energy of the output nodes, without precisions: the loss of a forward pass.

        **Arguments:**

        - `u`: predictions, such as `start().u`, `{node: [batch, *shape]}`.
        - `targets`: the values that the output nodes are clamped at, likewise.

        **Returns:** one number for each sample; nodes whose target a sample lacks add nothing.
        """
        p = self.problem
        total: Array = jnp.zeros((p.size,))
        for name in p.outputs:
            if p.nodes[name].local:
                each = row_sums(self.functions.elements(name, targets[name], u[name]))
                total = total + (self.samples.masked(each) if name in p.optional else each)
        return total

    def node_energy(self, name: str, elements: Array) -> Float[Array, " batch"]:
        """Return a node's energy, with its precision, from its elementwise one.

        **Arguments:**

        - `name`: the node.
        - `elements`: its energy without precision, `[batch, *shape]`.

        **Returns:** one number for each sample; for an output, 0 for samples without a target.
        """
        if name in self.problem.optional:
            elements = self.samples.masked(elements)
        return weighed(elements, self.precision.get(name), self.problem.nodes[name].size)


def _check_weights(made: Weights, given: Weights) -> None:
    if not isinstance(given, Mapping):
        raise TypeError(f"bound.at: weights are {{path: array}}, got {type(given).__name__}; a batch is batch=(x, y)")
    made, given = forms_of(made), forms_of(given)
    for path in [*made, *[p for p in given if p not in made]]:
        if path not in given or path not in made:
            has = "lack" if path in made else "have"
            raise ValueError(f"bound.at: the weights {has} {path!r}; this model's are {', '.join(made)}")
        if np.shape(given[path]) != np.shape(made[path]):
            raise ValueError(
                f"bound.at: the weight {path} has shape {np.shape(given[path])}, the model's {np.shape(made[path])}"
            )
