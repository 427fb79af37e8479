"""The weight gradients of a rule and of backpropagation on the same batch, and how far each moves the outputs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import jax.tree_util as jtu
import optax
from jax import Array
from jaxtyping import Float, PyTree

from ..energy import Bound, ForwardPass, Weights, apart, in_stacks_of
from ..learning import Update, backprop
from ._alike import of_each

Scalars = dict[str, Float[Array, ""]]


class Compared(NamedTuple):
    """Two gradients of the weights, compared, each by path.

    **Attributes:**

    - `products`: their inner products over the product of their norms; NaN where one is zero.
    - `norms`, `others`: the norms of the first and of the second.
    """

    products: Scalars
    norms: Scalars
    others: Scalars


def predicting(bound: Bound) -> Bound | None:
    """Return the part of a problem that predicts the targets; None if nothing does."""
    parts = getattr(bound.problem, "parts_of", None)
    found = bound if parts is None else parts(bound)[1]
    return found if any(not found.problem.nodes[n].silent for n in found.problem.clamped) else None


def gradient_of(bound: Bound, update: Update) -> Weights:
    """Return the weight gradient of a rule; of one that takes steps of its own, the way back from where they went.

    **Arguments:**

    - `bound`: the problem.
    - `update`: what the rule made of it.
    """
    if update.gradient is not None:
        return apart(update.gradient)
    assert update.weights is not None
    return jtu.tree_map(jnp.subtract, dict(apart(bound.weights)), dict(apart(update.weights)))


def backprop_gradient(bound: Bound, forward: ForwardPass) -> Weights:
    """Return backpropagation's weight gradient on the same batch; zeros where nothing predicts the targets.

    **Arguments:**

    - `bound`, `forward`: the problem, and its forward pass.
    """
    below = predicting(bound)
    if below is None:
        return jtu.tree_map(jnp.zeros_like, dict(apart(bound.weights)))
    found = backprop(optax.identity()).learn(below, forward, {})
    return apart(found.gradient)


def compared(one: Weights, two: Weights) -> Compared:
    """Compare two gradients, path by path.

    **Arguments:**

    - `one`, `two`: `{path: array}`.
    """

    def both(a: PyTree, b: PyTree) -> tuple[Array, Array, Array]:
        x, y = _unit(a), _unit(b)
        return _cosine(x[0], y[0]), x[1], y[1]

    found = of_each(both, one, two)
    return Compared(*[{path: numbers[i] for path, numbers in found.items()} for i in range(3)])


def _unit(tree: PyTree) -> tuple[list[Array], Array]:
    """Return arrays over the largest number in them, and their norm: squares of small numbers underflow."""
    leaves = jtu.tree_leaves(tree)
    largest = jnp.max(jnp.stack([jnp.max(jnp.abs(a), initial=0.0) for a in leaves]))
    scaled = [a / jnp.where(largest > 0, largest, 1) for a in leaves]
    return scaled, largest * length(scaled)


def _cosine(a: list[Array], b: list[Array]) -> Array:
    """Return the cosine between two lists of arrays; NaN where one has no length."""
    both = length(a) * length(b)
    product = sum([jnp.sum(x * y) for x, y in zip(a, b, strict=True)], jnp.zeros(()))
    return jnp.where(both > 0, product / jnp.where(both > 0, both, 1), jnp.nan)


def length(tree: PyTree) -> Array:
    """Return the norm of all arrays of a tree together."""
    return jnp.sqrt(sum([jnp.sum(jnp.square(a)) for a in jtu.tree_leaves(tree)], jnp.zeros(())))


def alignments(bound: Bound, forward: ForwardPass, gradients: Sequence[Weights]) -> list[Float[Array, ""]]:
    """Return the target alignment of a step against each gradient g, `cos(J (-g), -dE/du)`: the cosine, over all
    samples and outputs, between the change of the outputs' predictions u by a small step `-g` of the weights, with J
    their Jacobian, and the error `-dE/du`: for squared errors `y - u`, for cross-entropy `y - softmax(u)`. This is our
    reading of arXiv 2605.11911.

    **Arguments:**

    - `bound`, `forward`: the problem, and its forward pass.
    - `gradients`: each by the weights, `{path: array}`. The network is gone through once for all of them.

    **Returns:** a scalar for each; NaN where nothing predicts the targets, or one of the two is zero.
    """
    below = predicting(bound)
    if below is None:
        return [jnp.array(jnp.nan)] * len(gradients)
    p = below.problem
    names = [n for n in p.clamped if p.nodes[n].local and not p.nodes[n].silent and forward.u.get(n) is not None]

    def predictions(weights: Weights) -> dict[str, Array]:
        u: Any = below.at(weights).start(effects=False).u
        return {n: u[n] for n in names}

    def energy(u: dict[str, Array]) -> Array:
        elements = {n: below.functions.elements(n, forward.targets[n], u[n]) for n in names}
        return sum([jnp.sum(below.node_energy(n, e)) for n, e in elements.items()], jnp.zeros(()))

    u, change_by = jax.linearize(predictions, below.weights)
    error = _unit(jtu.tree_map(jnp.negative, jax.grad(energy)(u)))[0]
    found = []
    for gradient in gradients:
        # A step of length 1, which tiny gradients would underflow in.
        largest = jnp.max(jnp.stack(list(of_each(lambda g: _unit(g)[1], gradient).values())))
        back = jtu.tree_map(lambda g, most=largest: -g / jnp.where(most > 0, most, 1), dict(gradient))
        found.append(_cosine(_unit(change_by(in_stacks_of(below.weights, back)))[0], error))
    return found
