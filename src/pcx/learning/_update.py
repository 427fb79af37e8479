"""The result of a rule on a batch."""

from __future__ import annotations

from typing import Any, NamedTuple

from jax import Array
from jaxtyping import Bool, Int

from ..energy import Energies, Nodes, Weights


class Update(NamedTuple):
    """The result of learning from one batch. `Rule.step` does the rest: the step of the weights' optimiser, the
    precisions that learn, the checks for numbers that are not finite, and `Info`.

    **Attributes:**

    - `gradient`: of the batch's mean energy by the weights, `{path: array}`.
    - `energies`: each node's energy after settling, `{node: [batch]}`.
    - `elements`: the same elementwise and without precisions, `{node: [batch, *shape]}`, for precisions that learn.
    - `before`: energies before settling; None if nothing settles.
    - `uphill`: whether settling went uphill, a scalar; None to have it judged by the sums of `energies` and `before`.
    - `steps`: inference steps taken, a scalar or `[batch]`.
    - `first_bad`: where a value was first not finite, from a `pcx.inference.Solution`.
    - `memory`: what the rule remembers for the next batch; what it leaves out stays as it is.
    - `value`: the energies that the gradient is of, `{node: [batch]}`, of which an optimiser that wants `value=` is
        given the mean; None for `energies`.
    - `weights`: the new weights, from a rule that takes steps of its own; `gradient` is None then, and the optimiser's
        state is in `memory`, under "optim".
    """

    gradient: Weights | None
    energies: Energies
    elements: Nodes | None = None
    before: Energies | None = None
    uphill: Bool[Array, ""] | None = None
    steps: Int[Array, ...] | int = 0
    first_bad: Int[Array, ""] | int = -1
    memory: dict[str, Any] | None = None
    value: Energies | None = None
    weights: Weights | None = None
