"""A forward pass that keeps the vector-Jacobian product of each local prediction."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import jax.tree_util as jtu
from jax import Array
from jaxtyping import Float, PyTree

from ._samples import Samples
from ._types import Factors, Nodes, NodesIn, Weights

if TYPE_CHECKING:
    from ._bound import Bound


class LocalVJPs:
    """A forward pass in which every node's prediction has its vector-Jacobian product.

    What is predicted from a clamped node is predicted from the value that it is clamped at, and no error goes through
    it. Rules that carry errors, rather than values, are made of this: with squared errors a node's energy and its
    gradient are functions of the error alone, which keeps the digits that `h - u` would lose.

    **Arguments:**

    - `bound`: the problem and its arrays.
    - `clamped`: values of the clamped nodes, `{node: [batch, *shape]}`.
    - `errors`: h - u of the free nodes, likewise; by default zero.
    - `scale`: factors of the clamped nodes' energies, by name.

    **Attributes:**

    - `h`, `u`: values and predictions, `{node: [batch, *shape]}`.
    """

    def __init__(
        self,
        bound: Bound,
        clamped: NodesIn,
        errors: NodesIn | None = None,
        scale: Factors | None = None,
    ) -> None:
        p = bound.problem
        self.bound, self.clamped, self.scale = bound, dict(clamped), dict(scale or {})
        self.h: Nodes = {}
        self.u: Nodes = {}
        self._pullback = {}
        vjp: Any = jax.vjp
        for name in p.graph.order:
            made: Any
            made, self._pullback[name] = vjp(
                lambda above, own, name=name: bound.functions.predict(name, above, own),
                {n: self.h[n] for n in p.graph.parents[name]},
                {w: bound.weights[w] for w in p.weights_of(name)},
            )
            if made is not None:
                self.u[name] = made
            if name in clamped:
                self.h[name] = clamped[name]
            else:
                self.h[name] = self.u[name] if errors is None else self.u[name] + errors[name]

    def pullback(self, name: str, cotangent: Array) -> tuple[Nodes, Weights]:
        """Carry a cotangent of a node's prediction back through that prediction.

        **Arguments:**

        - `name`: the node.
        - `cotangent`: of its prediction, `[batch, *shape]`.

        **Returns:** the cotangents of its parents' values, `{node: [batch, *shape]}`, and of its weights, summed over
        the batch, `{path: array}`.
        """
        return self._pullback[name](cotangent)

    def weighted_pullback(self, name: str, cotangent: Array) -> tuple[Nodes, Weights]:
        """As `pullback`, with the samples' weights in what goes to the weights, and none in what goes to the values; a
        sample of weight 0 sends nothing.

        **Arguments:**

        - `name`, `cotangent`: see `pullback`.

        **Returns:** as `pullback`.
        """
        weight, samples = self.bound.samples.weight, self.bound.samples
        if weight is None:
            return self.pullback(name, cotangent)
        # One pass serves both: what is carried back is a linear function of each sample's cotangent.
        above, own = self.pullback(name, samples.weighted(cotangent))
        inverse = Samples(jnp.where(weight == 0, 0, jnp.reciprocal(jnp.maximum(weight, jnp.finfo(weight.dtype).tiny))))
        return {n: inverse.weighted(g) for n, g in above.items()}, own

    # -- free nodes, from their errors ----------------------------------------------------------------
    def grad_of_error(self, name: str, error: Array) -> Array:
        """Return dE/du of a free node with that error.

        **Arguments:**

        - `name`: the node.
        - `error`: its value minus its prediction, `[batch, *shape]`.

        **Returns:** `[batch, *shape]`.
        """
        precision = self.bound.precision.get(name)
        return -error if precision is None else -precision * error

    def energy_of_error(self, name: str, error: Array) -> Float[Array, " batch"]:
        """Return the energy of a free node with that error.

        **Arguments:**

        - `name`: the node.
        - `error`: its value minus its prediction, `[batch, *shape]`.

        **Returns:** one number for each sample.
        """
        return error_energy(self.bound, name, error)

    # -- clamped nodes --------------------------------------------------------------------------------
    def clamped_energy(self, name: str) -> tuple[Float[Array, " batch"], Array]:
        """Return the energy of a clamped node and its gradient.

        **Arguments:**

        - `name`: the node.

        **Returns:** the energy of each sample, and dE/du, `[batch, *shape]`.
        """

        return clamped_energy(self.bound, name, self.clamped[name], self.u[name], self.scale.get(name))

    def own_gradient(self, name: str) -> Weights:
        """Return the gradient of a clamped node's energy by the weights that are in the energy itself, such as a
        variance.

        **Arguments:**

        - `name`: the node.

        **Returns:** `{path: array}`, summed over the batch.
        """
        return own_gradient(self.bound, name, self.clamped[name], self.u[name], self.scale.get(name))

    def elements(self, name: str, u: Array | None = None) -> Array:
        """Return a clamped node's energy, elementwise.

        **Arguments:**

        - `name`: the node.
        - `u`: a prediction of it, `[batch, *shape]`; by default its own.

        **Returns:** `[batch, *shape]`, or `[batch]` for an energy that has one number for each sample.
        """
        return self.bound.functions.elements(name, self.clamped[name], self.u[name] if u is None else u)

    # -- all nodes ------------------------------------------------------------------------------------
    def weight_gradient(self, grads: NodesIn) -> Weights:
        """Return the gradient of the batch's mean energy by the weights.

        **Arguments:**

        - `grads`: dE/du of each node with an energy, `{node: [batch, *shape]}`.

        **Returns:** `{path: array}`.
        """
        parts: dict[str, list[PyTree]] = {}
        for name, grad in grads.items():
            add_parts(parts, self.pullback(name, self.bound.samples.weighted(grad))[1])
            if name in self.clamped:
                add_parts(parts, self.own_gradient(name))
        return mean_gradient(self.bound, parts)


def clamped_energy(
    bound: Bound, name: str, target: Array, u: Array, factor: Array | float | None = None
) -> tuple[Float[Array, " batch"], Array]:
    """Return the energy of a clamped node and its gradient by the prediction.

    **Arguments:**

    - `bound`: the problem and its arrays.
    - `name`: the node.
    - `target`, `u`: the value that it is clamped at, and its prediction, `[batch, *shape]`.
    - `factor`: of its energy; None for 1.
    """

    def total(u: Array) -> tuple[Array, Array]:
        each = bound.node_energy(name, bound.functions.elements(name, target, u))
        each = each if factor is None else factor * each
        return jnp.sum(each), each

    (_, each), grad = jax.value_and_grad(total, has_aux=True)(u)
    return each, grad


def own_gradient(bound: Bound, name: str, target: Array, u: Array, factor: Array | float | None = None) -> Weights:
    """Return the gradient of a clamped node's energy by the weights that are in the energy itself, such as a variance,
    summed over the batch, `{path: array}`; the arguments are those of `clamped_energy`."""
    weights = {w: bound.weights[w] for w in bound.problem.weights_in_energy(name)}

    def total(own: Weights) -> Array:
        each = bound.node_energy(name, bound.functions.elements(name, target, u, own))
        return jnp.sum(bound.samples.weighted(each if factor is None else factor * each))

    return jax.grad(total)(weights) if weights else {}


def error_energy(bound: Bound, name: str, error: Array) -> Float[Array, " batch"]:
    """Return the energy of a free node with that error, `[batch, *shape]`."""
    return bound.node_energy(name, 0.5 * jnp.square(error))


def add_parts(parts: dict[str, list[PyTree]], new: Mapping[str, PyTree]) -> None:
    """Add to the terms that each weight's gradient is the sum of, by path."""
    for path, part in new.items():
        parts.setdefault(path, []).append(part)


def mean_gradient(bound: Bound, parts: Mapping[str, list[PyTree]]) -> Weights:
    """Return the sums of each weight's terms over the size of the batch; zero for weights without a term."""

    def whole(path: str, value: PyTree) -> PyTree:
        if path not in parts:
            return jtu.tree_map(jnp.zeros_like, value)
        return jtu.tree_map(lambda *a: sum(a[1:], a[0]) / bound.problem.size, *parts[path])

    return {path: whole(path, value) for path, value in bound.weights.items()}


def add(into: Nodes, new: Iterable[tuple[str, Array]]) -> None:
    """Add values by name, in place."""
    for name, value in new:
        into[name] = value if name not in into else into[name] + value
