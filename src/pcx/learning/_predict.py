"""Predictions in evaluation mode: by a forward pass, or by settling."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import jax.tree_util as jtu
import numpy as np
from jax import Array
from jax.core import Tracer
from jaxtyping import PyTree

from ..core import raw_key, taken, warn
from ..energy import Bound, Inputs, ModelArrays, Nodes, Problem, Structure, forward_pass
from ..inference import RESULT
from ..predictive_coding import EnergyModule
from ._by_layer import outputs_by_layer
from ._checks import taken_batch
from ._guards import one_or_by_node
from ._hold import check_values, pairs_of
from ._precision import values_of
from ._state import State
from ._types import KeyLike

if TYPE_CHECKING:
    from ._predicting import Predicting


def predicted(
    rule: Predicting,
    model: EnergyModule | State,
    x: PyTree,
    settle: bool,
    hold: Mapping[str, tuple[Any, Any]] | None,
    key: KeyLike,
) -> Any:
    """Return the output nodes' predictions, see `Rule.predict`."""
    if hold is not None and not (settle and rule.settles_outputs):
        raise ValueError(f"{rule.name}.predict: hold needs settle=True and a rule of PredictiveCoding, such as pxl.pc")
    x = taken(f"{rule.name}.predict", "x", x)
    structure, arrays = rule.predicting(model)
    held = pairs_of(f"{rule.name}.predict", hold, structure, x)
    outputs = model.outputs if isinstance(model, State) else ()
    size = None if jtu.tree_leaves(x) or not held else next(iter(held.values()))[1].shape[0]
    if not settle:
        names, u = outputs_of(structure, outputs, arrays, x, size)
    else:
        # Of the forward pass the names alone are wanted.
        made = jax.eval_shape(lambda x: outputs_of(structure, outputs, arrays, x, size)[1], x)
        names = tuple([n for n in structure.nodes if n in made])
        whole = model.structure if isinstance(model, State) else rule.structure(model)
        memory = model.memory if isinstance(model, State) else {}
        key = raw_key(f"{rule.name}.predict", key)
        u, result = settled_outputs(rule, whole, names, arrays.weights, arrays.rest, memory, key, x, held)
        warn_of_uphill(rule.name, result)
    return one_or_by_node({n: u[n] for n in names})


def evaluated(rule: Predicting, state: State | EnergyModule, batch: tuple[PyTree, PyTree]) -> tuple[Any, Array]:
    """Return the outputs' predictions and the energy at their targets, `[batch]`, see `Rule.evaluate`."""
    x, y, samples = taken_batch(rule.name, "evaluate", batch)
    structure, arrays = rule.predicting(state)
    problem = Problem.of(structure, arrays, (x, y))
    problem.check_labels(y)
    size = None if jtu.tree_leaves(x) else problem.size
    given = state.outputs if isinstance(state, State) else problem.outputs
    names, u = outputs_of(structure, given, arrays, x, size)
    of_targets = u if names == problem.outputs else outputs_of(structure, problem.outputs, arrays, x, size)[1]
    key = state.key if isinstance(state, State) else jax.random.PRNGKey(0)
    bound = Bound(problem, arrays.weights, arrays.rest, key, x, y, {}, samples)
    targets, valid = problem.targets(bound.inputs)
    energy = bound.output_energy(of_targets, targets)
    return one_or_by_node({n: u[n] for n in names}), jnp.where(valid, energy, jnp.nan)


def outputs_of(
    structure: Structure, outputs: tuple[str, ...], arrays: ModelArrays, x: PyTree, size: int | None = None
) -> tuple[tuple[str, ...], Nodes]:
    """Return the names of the output nodes and their predictions by a forward pass, `{node: [batch, *shape]}`.

    **Arguments:**

    - `outputs`: their names, if they are known; by default those that the model marks, or that nothing is predicted
        from.
    - `size`: the number of samples, where x doesn't say it.
    """
    found = outputs_by_layer(structure, outputs, arrays, x)
    if found is None:
        found = _forward(structure, outputs, size, arrays.weights, arrays.rest, x)
    return tuple([n for n in structure.nodes if n in found]), found


@functools.partial(jax.jit, static_argnums=(0, 1, 2))
def _forward(
    structure: Structure, outputs: tuple[str, ...], size: int | None, weights: PyTree, rest: PyTree, x: PyTree
) -> dict[str, Any]:
    inputs = Inputs(weights, rest, jax.random.PRNGKey(0), x, None)
    (made, _), _ = forward_pass(structure, inputs, training=False, size=size)
    made = structure.as_values(made)
    u = {n: made[n]["u"] for n in structure.nodes if made[n]["u"] is not None}  # an input kept in a node has none
    names = [n for n in u if n in (outputs or structure.frozen)]
    if not names:
        graph = Problem.of(structure, ModelArrays(weights, rest), (x, None)).graph
        names = [n for n in u if not graph.children[n]]
    return {n: u[n] for n in names}


@functools.partial(jax.jit, static_argnums=(0, 1, 2))
def settled_outputs(
    rule: Predicting,
    structure: Structure,
    outputs: tuple[str, ...],
    weights: PyTree,
    rest: PyTree,
    memory: dict[str, Any],
    key: Array,
    x: PyTree,
    hold: Mapping[str, tuple[Array, Array]],
) -> tuple[Nodes, Array | None]:
    """Return the predictions of the output nodes after settling, and how settling ended, see `Rule.settle`."""
    y = None
    if x is None:  # the size of the batch is that of the clamped parts
        given = {n: v for n, (_, v) in hold.items() if n in structure.frozen}
        y = next(iter(given.values())) if len(given) == 1 else given or None
    problem = rule.problem(structure, ModelArrays(weights, rest), x, y, training=False)
    if hold:
        check_values(f"{rule.name}.predict", hold, problem)
    bound = Bound(problem, weights, rest, key, x, y, values_of(rule.precision, problem, memory))
    return rule.settle(bound, bound.start(), outputs, hold)


def warn_of_uphill(rule: str, result: Array | None) -> None:
    """Warn of samples whose energy rose as their values settled, where that can be read.

    **Arguments:**

    - `rule`: its name.
    - `result`: a `pcx.inference.RESULT` for each sample, `[batch]`.
    """
    if result is None or isinstance(result, Tracer):
        return
    uphill = int(np.sum(np.asarray(result) == RESULT.diverged))
    if uphill:
        warn(
            f"{rule}.predict: settling went uphill for {uphill} of {result.size} samples: lower the rate of the states",
        )
