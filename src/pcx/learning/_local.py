"""Local functions of a model at its forward values: predictions, their pullbacks, the errors sent back."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import jax
import jax.numpy as jnp

from ..energy._landscape import weighed
from ..energy._problem import Problem
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
            raise ValueError(
                f"{rule}: the energy of {name} must be a squared error (pxc.se_energy) of its value and prediction, "
                "with no rule of its ruleset that transforms either as it is read"
            )
    for name in problem.energy_ids:
        if name not in problem.cut:
            raise ValueError(f"{rule}: the energy of {name} depends on more than its value and its prediction")
        if problem.graph.parents[name] == () and problem.u_ids[name] is None:
            raise ValueError(f"{rule}: {name} has no prediction")
    if not problem.plain_start:
        raise ValueError(f"{rule}: every free node must start at its prediction (the ruleset sets h otherwise)")


class Forward:
    """A forward pass that remembers how to go back. What is predicted from a held node is predicted from what it is
    held at, and no error goes through it.

    **Attributes:**

    - `h`: `{node: value}`; `u`: `{node: prediction}`.
    """

    def __init__(self, batch: Batch, targets: Mapping[str, Any], errors: dict[str, Any] | None = None) -> None:
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
            self.h[name] = targets[name] if name in targets else u if errors is None else u + errors[name]

    def _predict(self, name: str, above: dict[str, Any], own: dict[str, Any]) -> Any:
        p = self.batch.problem
        return p.predict(name, self.inputs | known_weights(p, own) | {p.h_ids[n]: v for n, v in above.items()})

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

    def own_gradient(self, name: str, value: Any) -> dict[str, Any]:
        """The slope of a clamped node's energy along the weights that are in the energy itself, such as a variance, by
        path."""
        p = self.batch.problem

        def total(own: dict[str, Any]) -> Any:
            elements = p.elements(name, value, self.u[name], self.inputs | known_weights(p, own))
            return jnp.sum(self.batch.samples.weighted(weigh(self.batch, name, elements)))

        own = {w: self.batch.weights[w] for w in p.weights_in_energy(name)}
        return jax.grad(total)(own) if own else {}

    def elements(self, name: str, h: Any, u: Any) -> Any:
        """A node's energy, elementwise, from value and prediction."""
        return self.batch.problem.elements(name, h, u, self.inputs)

    def weight_gradient(self, slopes: dict[str, Any], targets: Mapping[str, Any]) -> dict[str, Any]:
        """The gradient of the batch's mean energy with respect to the weights, given each node's dE/du and what the
        clamped ones are held at."""
        parts: dict[str, list[Any]] = {}
        for name, slope in slopes.items():
            add_parts(parts, self.back(name, self.batch.samples.weighted(slope))[1])
            if name in targets:
                add_parts(parts, self.own_gradient(name, targets[name]))
        return mean_gradient(self.batch, parts)


def known_weights(problem: Problem, weights: Mapping[str, Any]) -> dict[int, Any]:
    """Weights by their numbers in the program."""
    ids = problem.program.inputs[0]
    return {i: v for w, a in weights.items() for i, v in zip(jax.tree.leaves(ids[w]), jax.tree.leaves(a), strict=True)}


def forward_predictions(batch: Batch, first: Forward) -> dict[str, Any]:
    """The predictions of the model's own forward pass, in which held nodes send on their predictions and not what they
    are held at: those of `first`, where nothing is predicted from a held node."""
    p = batch.problem
    return p.start(*batch.arrays).u if any(p.graph.children[n] for n in p.clamped) else first.u


def add_parts(parts: dict[str, list[Any]], new: Mapping[str, Any]) -> None:
    """Add what each weight's gradient is summed of, by path."""
    for path, part in new.items():
        parts.setdefault(path, []).append(part)


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
