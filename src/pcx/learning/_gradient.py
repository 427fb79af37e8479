"""Weight gradients and energies at given values, for rules that let values settle."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp

from ..energy._sums import first_not_finite, row_sums
from ._batch import Batch


def weight_gradient(batch: Batch, landscape: Any, nodes: Any) -> tuple[Any, dict[str, Any], dict[str, Any]]:
    """At given values of the free nodes: the gradient of the batch's mean energy with respect to the weights, each
    node's energy `{node: [batch]}`, and elementwise `{node: [batch, *shape]}`."""
    p = batch.problem
    if landscape.problem is not p:
        raise ValueError(
            "weight_gradient: the landscape is of another model, or of a batch of another size; make it by "
            "batch.landscape(...)"
        )
    p.check_values({n: nodes[n] for n in landscape.free})
    fixed = {i: v for i, v in landscape.known.items() if i not in set(jax.tree.leaves(p.program.inputs[0]))}
    known = fixed | {p.h_ids[n]: nodes[n] for n in landscape.free}
    wanted = {**p.energy_ids, **({} if p.extra is None else {"": p.extra})}

    def mean(weights: Any) -> Any:
        at = known | dict(zip(jax.tree.leaves(p.program.inputs[0]), jax.tree.leaves(weights), strict=True))
        elements = dict(zip(wanted, p.program.evaluate(list(wanted.values()), at), strict=True))
        if batch.samples.weight is None:
            total = sum(landscape.weighed(n, e, summed=True) for n, e in elements.items())
        else:
            total = sum(jnp.sum(batch.samples.weighted(landscape.weighed(n, e))) for n, e in elements.items())
        return total / p.size, elements

    gradient, elements = jax.grad(mean, has_aux=True)(batch.weights)
    elements = {n: elements[n] for n in wanted}  # JAX sorts them
    return gradient, {n: landscape.weighed(n, e) for n, e in elements.items()}, elements


def output_energy(batch: Batch, u: Mapping[str, Any], targets: Mapping[str, Any]) -> Any:
    """The energy of the output nodes with predictions `u`, `[batch]`."""
    p = batch.problem
    known = p.known(*batch.arrays)
    total: Any = jnp.zeros((p.size,))
    for name in p.outputs:
        if name in p.cut:
            each = p.elements(name, targets[name], u[name], known)
            total = total + row_sums(each)
    return batch.samples.masked(total)


def bad_data(problem: Any, u: Mapping[str, Any], targets: Mapping[str, Any]) -> Any:
    """The place of the first node whose forward prediction or target is not finite, -1 if all are."""
    held = [(i, v) for i, n in enumerate(problem.nodes) for v in (u.get(n), targets.get(n)) if v is not None]
    first = first_not_finite([v for _, v in held])
    return jnp.where(first < 0, -1, jnp.asarray([i for i, _ in held], jnp.int32)[first]).astype(jnp.int32)
