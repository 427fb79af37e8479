"""Local functions of a model at its forward values: predictions, their pullbacks, the errors sent back."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import jax
import jax.numpy as jnp

from ..predictive_coding._landscape import weighed
from ..predictive_coding._problem import Problem
from ._batch import Batch
from ._samples import Samples


def refuse(rule: str, problem: Problem) -> None:
    """Refuse what rules that work on errors can't take: they need each hidden energy to be a squared error."""
    if problem.extra is not None:
        raise ValueError(
            f"{rule}: the model has an energy of its own beside its nodes', which no node's error stands for"
        )
    for name in problem.free:
        if problem.nodes[name].energy != "squared":
            raise ValueError(f"{rule}: the energy of {name} must be a squared error (pxc.se_energy)")
    for name in problem.energy_ids:
        if name not in problem.cut:
            raise ValueError(f"{rule}: the energy of {name} depends on more than its value and its prediction")
        if problem.graph.parents[name] == () and problem.u_ids[name] is None:
            raise ValueError(f"{rule}: {name} has no prediction")
    if not problem.plain_start:
        raise ValueError(f"{rule}: every free node must start at its prediction (the ruleset sets h otherwise)")


class Forward:
    """A forward pass that remembers how to go back.

    **Attributes:**

    - `h`: `{node: value}` of free nodes; `u`: `{node: prediction}` of all.
    """

    def __init__(self, batch: Batch, errors: dict[str, Any] | None = None) -> None:
        p = batch.problem
        self.batch = batch
        self.inputs = p.known(*batch.arrays)
        self.h: dict[str, Any] = {}
        self.u: dict[str, Any] = {}
        self._back: dict[str, Any] = {}
        for name in p.graph.order:
            u, self._back[name] = jax.vjp(
                lambda above, own, name=name: self._predict(name, above, own),
                {n: self.h[n] for n in p.graph.parents[name]},
                {w: batch.weights[w] for w in p.weights_of(name)},
            )
            self.u[name] = u
            if name in p.free:
                self.h[name] = u if errors is None else u + errors[name]

    def _predict(self, name: str, above: dict[str, Any], own: dict[str, Any]) -> Any:
        p = self.batch.problem
        weights = p.program.inputs[0]
        at = dict(self.inputs)
        for path, value in own.items():
            at |= dict(zip(jax.tree.leaves(weights[path]), jax.tree.leaves(value), strict=True))
        return p.predict(name, at | {p.h_ids[n]: v for n, v in above.items()})

    def back(self, name: str, cotangent: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        """A cotangent of a node's prediction, carried to its parents' values and to its weights."""
        return self._back[name](cotangent)

    def weighted_back(self, name: str, cotangent: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        """As `back`, with the samples' weights in what goes to the weights, and none in what goes to the values; a
        sample of weight 0 sends nothing."""
        weight = self.batch.samples.weight
        if weight is None:
            return self.back(name, cotangent)
        # One pass serves both: what is carried back is a linear function of each sample's cotangent.
        above, own = self.back(name, self.batch.samples.weighted(cotangent))
        inverse = Samples(jnp.where(weight == 0, 0, jnp.reciprocal(jnp.maximum(weight, jnp.finfo(weight.dtype).tiny))))
        return {n: inverse.weighted(g) for n, g in above.items()}, own

    # Each node's energy, and its slope along the prediction, from the node's error. With squared errors both are
    # functions of the error alone, which keeps the digits that h - u would lose.
    def slope(self, name: str, error: Any) -> Any:
        """dE/du of a free node with that error, `[batch, *shape]`."""
        p = self.batch.precision.get(name)
        return -error if p is None else -p * error

    def energy(self, name: str, error: Any) -> Any:
        """The energy of a free node with that error, `[batch]`."""
        return error_energy(self.batch, name, error)

    def target(self, name: str, value: Any) -> tuple[Any, Any]:
        """The energy `[batch]` of a clamped node that is held at `value`, and its slope along the prediction."""

        def total(u: Any) -> Any:
            each = weigh(self.batch, name, self.elements(name, value, u))
            return jnp.sum(each), each

        (_, each), slope = jax.value_and_grad(total, has_aux=True)(self.u[name])
        return each, slope

    def elements(self, name: str, h: Any, u: Any) -> Any:
        """A node's energy, elementwise, from value and prediction."""
        return self.batch.problem.elements(name, h, u, self.inputs)

    def weight_gradient(self, slopes: dict[str, Any]) -> dict[str, Any]:
        """The gradient of the batch's mean energy with respect to the weights, given each node's dE/du."""
        parts: dict[str, list[Any]] = {}
        for name, slope in slopes.items():
            slope = self.batch.samples.weighted(slope)
            for path, part in self.back(name, slope)[1].items():
                parts.setdefault(path, []).append(part)
        return mean_gradient(self.batch, parts)


def error_energy(batch: Batch, name: str, error: Any) -> Any:
    """The energy of a free node with that error, `[batch]`."""
    return weigh(batch, name, 0.5 * jnp.square(error))


def weigh(batch: Batch, name: str, elements: Any) -> Any:
    """A node's energy `[batch]` from its elementwise one, with its precision; of an output, zero for a sample without a
    target."""
    if name in batch.problem.outputs:
        elements = batch.samples.masked(elements)
    return weighed(elements, batch.precision.get(name), batch.problem.nodes[name].size)


def mean_gradient(batch: Batch, parts: dict[str, list[Any]]) -> dict[str, Any]:
    """Sums the parts of each weight's gradient, and divides by the batch; zero for weights without a part."""

    def whole(path: str, value: Any) -> Any:
        if path not in parts:
            return jax.tree.map(jnp.zeros_like, value)
        return jax.tree.map(lambda *a: sum(a[1:], a[0]) / batch.problem.size, *parts[path])

    return {path: whole(path, value) for path, value in batch.weights.items()}


def add(into: dict[str, Any], new: Iterable[tuple[str, Any]]) -> None:
    """Add values by name."""
    for name, value in new:
        into[name] = value if name not in into else into[name] + value
