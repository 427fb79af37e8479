"""A model and the shapes of a batch, as a pure energy function of its nodes and weights."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import jax.tree_util as jtu
import numpy as np
from jax import Array
from jaxtyping import Bool, PyTree

from ..core import no_foreign_params, see
from ._dataflow import Program
from ._functions import Functions
from ._node import ForwardPass, Node
from ._origin import remember
from ._pure import energies_at, forward_pass
from ._repeating import Repeating
from ._shapes import avals_of, batch_size, matched, noting_shapes, value_of
from ._stacks import Stacks, forms_of
from ._structure import ModelArrays, Structure
from ._targets import check_labels, check_targets, find_targets, targets_of
from ._together import Together
from ._types import Inputs, Moves, Nodes, Numbers
from ._wiring import Wiring

# Settings that a traced operation keeps.
_TRACED_UNDER = ("jax_enable_x64", "jax_default_matmul_precision")


class Problem(Repeating):  # two networks' problems, as one, are registered as one
    """A model and the shapes of a batch, as a pure energy function.

    The model's Python runs here, once; what is computed afterwards evaluates the jaxpr that it left. All functions are
    batched and pure, and take and give arrays alone.

    **Arguments:**

    - `structure`: the model without its values, from `Structure.of`.
    - `arrays`: weights and rest, arrays or shapes.
    - `batch`: `(x, y)`, arrays or shapes with the batch as first axis; either may be a tree, or None.
    - `training`: whether the model is in training mode, or in that of evaluation.

    **Attributes:**

    - `nodes`: `{name: Node}`, in the order of the model.
    - `free`, `clamped`: the names of the nodes that settle, and of those that are clamped; `outputs`: of those that
        targets clamp; `optional`: of these, those that are free where a sample has no target.
    - `graph`: which node's value reaches which node's energy; `predicted_from_y`: the nodes whose prediction reads y.
    - `size`: the number of samples.
    - `structure`, `training`: as given.
    - `draws`: whether the model draws random numbers.
    - `with_error`: the free nodes that may have an error at a forward pass.
    - `starts_at_predictions`: whether a forward pass puts every free node at its prediction.
    - `label_places`: the nodes whose value depends on one leaf of y alone, and its place: there class numbers may be.
    - `has_own_energy`: whether modules add energies to those of their nodes.

    **Raises:** `ValueError` for a batch whose parts differ in size, a node that the model never reached, or a target
    that doesn't fit.
    """

    def __init__(
        self, structure: Structure, arrays: ModelArrays, batch: tuple[PyTree, PyTree], training: bool = True
    ) -> None:
        self.structure, self.training = structure, training
        self.size = batch_size(*batch)
        key = jax.eval_shape(lambda: jax.random.PRNGKey(0))
        self._shapes = shapes = Inputs(avals_of(arrays.weights), avals_of(arrays.rest), key, *avals_of(tuple(batch)))
        self._made_of = structure, ModelArrays(shapes.weights, shapes.rest), (shapes.x, shapes.y), training
        set_in_call: set[str] = set()
        with noting_shapes(shapes, structure.called, self.size), no_foreign_params(structure.learns):
            forward = functools.partial(forward_pass, structure, training=training, set_in_call=set_in_call)
            self._forward = Program(forward, shapes)
        (made, _), _ = self._forward.outputs
        (avals, _), _ = structure.as_values(self._forward.avals)
        self.draws = bool(
            self._forward.reached([self._forward.inputs[0].key]) & set(jtu.tree_leaves(self._forward.outputs[0]))
        )
        for name in structure.nodes:
            if avals[name]["h"] is None and avals[name]["u"] is None:
                raise ValueError(f"the model's call never reached the value node {name}; call it, or remove it")
        self._targets = find_targets(structure, self._forward, set_in_call, shapes.y)
        self.outputs, self.optional = self._targets.outputs, self._targets.optional
        self.label_places: Mapping[str, int] = self._targets.labels
        self.clamped = tuple(self._targets.places)
        self.free = tuple([n for n in structure.nodes if n not in self._targets.places])
        values = {n: value_of(avals[n], n in self.clamped) for n in structure.nodes}
        nodes = {
            n: Node(n, tuple(a.shape[1:]), a.dtype, n in self.clamped, form=structure.forms[n])
            for n, a in values.items()
        }
        check_targets(self._targets, nodes, self.size, shapes.y, avals)
        self.wiring, self.own_energy = self._trace_energies(values, training)
        self.has_own_energy = self.own_energy is not None
        self.graph, self.predicted_from_y = self.wiring.graph, self.wiring.predicted_from(self._inputs.y)
        self.nodes = {n: self._described(node) for n, node in nodes.items()}
        self._check_energies()
        self.with_error = tuple([n for n in self.free if not self._starts_without_error(n, made)])
        self.starts_at_predictions = all(made[n]["h"] == made[n]["u"] for n in self.free)

    def _trace_energies(self, values: dict[str, Any], training: bool) -> tuple[Wiring, int | None]:
        structure, clamped = self.structure, frozenset(self.clamped)
        with no_foreign_params(structure.learns):
            energies = functools.partial(energies_at, structure, clamped=clamped, training=training)
            program = Program(energies, self._shapes, values)
        out, own = program.outputs
        inputs, h = program.inputs
        out = {n: out[n] for n in structure.nodes}  # JAX sorts them
        energy = {n: out[n]["E"] for n in out if out[n]["E"] is not None}
        self._inputs = inputs
        self.weight_numbers = {path: jtu.tree_leaves(numbers) for path, numbers in inputs.weights.items()}
        self._energy_avals = {n: program.avals[0][n]["E"] for n in energy}
        return Wiring(program, {n: h[n] for n in out}, {n: out[n]["u"] for n in out}, energy, inputs.weights), own

    def _described(self, node: Node) -> Node:
        name = node.name
        silent, said = name not in self.wiring.energy, self.structure.squared[name]
        squared = self.wiring.is_half_square(name) if said is None else said and self.wiring.is_difference(name)
        aval = self._energy_avals.get(name)
        elementwise = aval is None or aval.ndim != 1 or not node.shape
        local = name in self.wiring.local
        return dataclasses.replace(
            node, squared=squared and not silent, silent=silent, local=local, elementwise=elementwise
        )

    @staticmethod
    def of(structure: Structure, arrays: ModelArrays, batch: tuple[PyTree, PyTree], training: bool = True) -> Problem:
        """Return the problem of a structure at these shapes: the one traced before, if there is one.

        **Arguments:**

        - `structure`, `arrays`, `batch`, `training`: as of the class.

        **Returns:** the problem.

        **Raises:** as the class.
        """
        if isinstance(arrays.weights, Stacks):
            arrays = ModelArrays(forms_of(arrays.weights), arrays.rest)
        leaves, treedef = jtu.tree_flatten((arrays.weights, arrays.rest, batch))
        avals = tuple([(np.shape(a), jnp.result_type(a)) for a in leaves])
        key = treedef, avals, training, tuple([getattr(jax.config, name) for name in _TRACED_UNDER])
        problem = structure.problems.get(key)
        if problem is None:
            if len(structure.problems) >= 16:
                structure.problems.pop(next(iter(structure.problems)))
            problem = structure.problems[key] = Problem(structure, arrays, batch, training)
        return problem

    def __reduce__(self) -> Any:
        return Problem.of, self._made_of

    def __copy__(self) -> Problem:
        return self

    def __deepcopy__(self, memo: Any) -> Problem:
        return self

    def _check_energies(self) -> None:
        for name, aval in self._energy_avals.items():
            if aval.ndim != 1 and tuple(aval.shape[1:]) != self.nodes[name].shape:
                raise ValueError(
                    f"the energy of {name} has shape {tuple(aval.shape)}, its value "
                    f"{(self.size, *self.nodes[name].shape)}; give one number a sample, or one an element"
                )
        if not self._energy_avals:
            raise ValueError("none of the model's value nodes has an energy; pxc.Vode() has one by itself")

    def _starts_without_error(self, name: str, made: Numbers) -> bool:
        # Under forward initialisation a squared error starts at zero; nothing is known of other energies.
        if made[name]["h"] != made[name]["u"] or not (self.nodes[name].squared or self.nodes[name].silent):
            return False
        # What is predicted from a node that is clamped elsewhere than where the forward pass had it is another
        # prediction.
        return not any(self._is_moved(n, made, made[name]["u"]) for n in self.graph.parents[name] if n in self.clamped)

    def _is_moved(self, parent: str, made: Numbers, prediction: int) -> bool:
        """Return whether a prediction of the forward pass was made of another value of a node than it is clamped at."""
        h, u = made[parent]["h"], made[parent]["u"]
        if u is None:
            return False
        moved = h != u and prediction in self._forward.reached([u], stop=[h])
        return self._targets.places[parent] is not None or moved

    # -- checks ---------------------------------------------------------------------------------------
    def check_values(self, nodes: Mapping[str, Array | jax.ShapeDtypeStruct], call: str = "problem") -> None:
        """Refuse values of nodes that are of another batch or another node.

        **Arguments:**

        - `nodes`: `{node: [batch, *shape]}`.
        - `call`: what to name in errors.

        **Raises:** `ValueError`, naming the node.
        """
        for name, value in nodes.items():
            if name not in self.nodes:
                raise ValueError(f"{call}: there is no node {name!r}; the nodes are {', '.join(self.nodes)}")
            if np.shape(value) != (self.size, *self.nodes[name].shape):
                raise ValueError(
                    f"{call}: the value of {name} has shape {np.shape(value)}, but this problem is of a batch of "
                    f"{self.size}, with {(self.size, *self.nodes[name].shape)}{see('shapes')}"
                )
            made, kept = jnp.result_type(value), self.nodes[name].dtype
            if made != kept and not jnp.issubdtype(made, jnp.floating):
                raise ValueError(f"{call}: the value of {name} is of {made}, but this node holds real numbers ({kept})")

    def check_labels(self, y: PyTree) -> None:
        """Refuse class numbers outside the classes, where they can be read.

        **Arguments:**

        - `y`: targets, of any number of samples.

        **Raises:** `ValueError`, naming the output node.
        """
        check_labels(self._targets, self.nodes, y)

    def arrivals(
        self,
        free: Sequence[str],
        sources: Iterable[str],
        groups: Sequence[Sequence[str]] | None = None,
        moves: Moves | None = None,
    ) -> dict[str, int]:
        """Return the step at which each free node may first feel an error, see `Landscape.travel`.

        **Arguments:**

        - `free`: the nodes that may move.
        - `sources`: the nodes that have an error at the start.
        - `groups`: the nodes that move one group after the other in a step; None where all move together.
        - `moves`: when nodes first move, see `Landscape.travel`.

        **Returns:** `{node: step}`, from 0.
        """
        silent = [n for n, node in self.nodes.items() if node.silent]
        fixed = [n for n in self.nodes if n not in free]
        if groups is None or len(groups) == 1:
            return self.graph.arrivals(sources, fixed, silent, moves)
        return self.graph.arrivals_in_turn(sources, fixed, silent, groups, moves)

    def has_prediction(self, name: str) -> bool:
        """Return whether the model predicts a node.

        **Arguments:**

        - `name`: the node.

        **Returns:** True or False.
        """
        return self.wiring.u[name] is not None

    def weights_of(self, name: str) -> tuple[str, ...]:
        """Return the weights that a node's prediction or energy is computed from.

        **Arguments:**

        - `name`: the node.

        **Returns:** their paths.
        """
        return self.wiring.weights_of(name)

    def weights_in_energy(self, name: str) -> tuple[str, ...]:
        """Return the weights that a local energy is computed from beside its value and its prediction.

        **Arguments:**

        - `name`: the node.

        **Returns:** their paths.
        """
        return self.wiring.weights_in_energy(name)

    # -- functions of arrays --------------------------------------------------------------------------
    def at(self, inputs: Inputs) -> Functions:
        """Fix the arrays of weights and batch.

        **Arguments:**

        - `inputs`: the arrays, of the shapes that the problem was made of.

        **Returns:** predictions and energies as functions of the nodes' values.

        **Raises:** `ValueError` for arrays of other shapes.
        """
        return Functions(self, inputs)

    def matched(self, inputs: Inputs) -> Mapping[int, Array]:
        """Match the numbers of the energies' inputs with their arrays.

        **Arguments:**

        - `inputs`: the arrays, of the shapes that the problem was made of.

        **Returns:** `{number: array}`.

        **Raises:** `ValueError` for arrays of other shapes.
        """
        return matched(self._inputs, self._shapes, inputs)

    def start(self, inputs: Inputs, effects: bool = False, together: Together | None = None) -> ForwardPass:
        """Run a forward pass.

        **Arguments:**

        - `inputs`: the arrays, of the shapes that the problem was made of.
        - `effects`: whether the call's prints and callbacks are done.
        - `together`: the groups of equal nodes at these arrays, if they are computed together.

        **Returns:** the values and predictions of the batch under forward initialisation, with the targets that y
        stands for.

        **Raises:** `ValueError` for arrays of other shapes.
        """
        known = matched(self._forward.inputs[0], self._shapes, inputs)
        if together is not None and self.runs_forward:
            return self.start_together(inputs, together, known)
        flat, treedef = jtu.tree_flatten(self._forward.outputs)
        (made, output), rest = jtu.tree_unflatten(treedef, self._forward.evaluate(flat, known, effects=effects))
        made = self.structure.as_values(made)
        h = {n: made[n]["h"] if made[n]["h"] is not None else made[n]["u"] for n in self.free}
        u = {n: made[n]["u"] for n in self.nodes}
        targets, valid = targets_of(self._targets, self.nodes, inputs.y, {n: made[n]["h"] for n in self.clamped})
        remember(self, jtu.tree_leaves(inputs), {(n,): v for n, v in h.items()})
        return ForwardPass(h, u, targets, output, rest, valid)

    def targets(self, inputs: Inputs) -> tuple[Nodes, Bool[Array, ""]]:
        """Return the values of the clamped nodes without the rest of the forward pass.

        **Arguments:**

        - `inputs`: the arrays, of the shapes that the problem was made of.

        **Returns:** `{node: [batch, *shape]}`, and whether all labels were classes, a scalar.

        **Raises:** `ValueError` for arrays of other shapes.
        """
        known = matched(self._forward.inputs[0], self._shapes, inputs)
        (made, _), _ = self._forward.outputs
        names = [n for n, place in self._targets.places.items() if place is None]
        found = self._forward.evaluate([made[n]["h"] for n in names], known)
        return targets_of(self._targets, self.nodes, inputs.y, dict(zip(names, found, strict=True)))
