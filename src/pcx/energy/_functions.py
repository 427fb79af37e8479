"""The local functions of a problem at given arrays: predictions and energies by the names of nodes.

A problem is a jaxpr that is cut at the values of its nodes. Here alone the numbers of its values are matched with
arrays.
"""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

import jax.numpy as jnp
import jax.tree_util as jtu
from jax import Array
from jaxtyping import PyTree

from ._local_gradients import added_gradients
from ._types import Inputs, Nodes, NodesIn

if TYPE_CHECKING:
    from ._problem import Problem

OWN = ""
"""The name under which energies stand that modules add to those of their nodes."""


class Functions:
    """Predictions and energies as functions of the nodes' values, with weights and batch fixed.

    Made by `Problem.at`.

    **Arguments:**

    - `problem`: the problem.
    - `inputs`: its arrays.

    **Attributes:**

    - `known`: the arrays by the number of the input that each is.
    """

    def __init__(self, problem: Problem, inputs: Inputs) -> None:
        self.problem, self.inputs = problem, inputs
        self._wiring = problem.wiring
        self._program = self._wiring.program
        self._weights: Mapping[str, Sequence[int]] = problem.weight_numbers
        self.known: Mapping[int, Array] = problem.matched(inputs)
        self._wanted = {**self._wiring.energy, **({} if problem.own_energy is None else {OWN: problem.own_energy})}

    def _at(self, values: NodesIn, weights: Mapping[str, PyTree] = {}) -> Mapping[int, Array]:
        """Return what is known at values of nodes, with other weights in the place of some."""
        known: dict[int, Array] = {}
        for path, value in weights.items():
            known.update(zip(self._weights[path], jtu.tree_leaves(value), strict=True))
        known.update({self._wiring.h[n]: v for n, v in values.items()})
        return ChainMap(known, self.known)  # pyright: ignore[reportArgumentType]  (it is only read)

    def predict(self, name: str, values: NodesIn, weights: Mapping[str, PyTree] = {}) -> Array | None:
        """Return a node's prediction.

        **Arguments:**

        - `name`: the node.
        - `values`: of the node's parents at least, `{node: [batch, *shape]}`.
        - `weights`: those that stand in the place of the problem's own, `{path: array}`.

        **Returns:** `[batch, *shape]`; None if it has none.
        """
        u = self._wiring.u[name]
        return None if u is None else self._program.evaluate([u], self._at(values, weights))[0]

    def elements(self, name: str, h: Array, u: Array, weights: Mapping[str, PyTree] = {}) -> Array:
        """Return a local energy from value and prediction.

        **Arguments:**

        - `name`: the node.
        - `h`, `u`: its value and prediction, `[batch, *shape]` each.
        - `weights`: as in `predict`.

        **Returns:** elementwise as a rule, `[batch, *shape]`; or `[batch]`.
        """
        number = self._wiring.u[name]
        assert number is not None, "an energy is local only where there is a prediction"
        at = ChainMap({number: u}, self._at({name: h}, weights))  # pyright: ignore[reportArgumentType]
        return self._program.evaluate([self._wiring.energy[name]], at)[0]

    def energies(
        self, values: NodesIn, names: Iterable[str] | None = None, weights: Mapping[str, PyTree] = {}
    ) -> Nodes:
        """Return the energies of all nodes that have one, or of some. What the modules' own energies add stands under
        the name "".

        **Arguments:**

        - `values`: of all nodes, `{node: [batch, *shape]}`.
        - `names`: of nodes; by default all that have an energy.
        - `weights`: as in `predict`.

        **Returns:** elementwise as a rule, `{node: [batch, *shape]}`; or `[batch]`, as under "".
        """
        wanted = self._wanted if names is None else {n: self._wanted[n] for n in names}
        found = self._program.evaluate(list(wanted.values()), self._at(values, weights))
        return dict(zip(wanted, found, strict=True))

    def energies_by(
        self, moving: Sequence[str], values: NodesIn, names: Iterable[str] | None = None
    ) -> Callable[[NodesIn], Nodes]:
        """Return the energies that some nodes reach, as a function of the values of these.

        What depends on none of them is computed here and now, so that a loop over the function does not compute it
        again.

        **Arguments:**

        - `moving`: the nodes.
        - `values`: of all others, `{node: [batch, *shape]}`; or of those that the energies depend on.
        - `names`: of nodes, whose energies are wanted; by default all that have one.

        **Returns:** a function from the moving nodes' values to energies, as of `energies`.
        """
        numbers = [self._wiring.h[n] for n in moving]
        known = self._at({n: v for n, v in values.items() if n not in set(moving)})
        reached = self._program.reached(numbers, stop=known)
        among = self._wanted if names is None else {n: self._wanted[n] for n in names}
        wanted = {n: i for n, i in among.items() if i in reached or n == OWN}
        fixed = self._program.hoisted(list(wanted.values()), known, numbers)

        def at(values: NodesIn) -> Nodes:
            known = fixed | {i: values[n] for i, n in zip(numbers, moving, strict=True)}
            return dict(zip(wanted, self._program.evaluate(list(wanted.values()), known), strict=True))

        return at

    def gradient_by(
        self, moving: Sequence[str], values: NodesIn, summed: Callable[[Array], Array]
    ) -> Callable[[NodesIn], Nodes]:
        """Return the gradient of the sum of all energies, by the values of some nodes and as a function of these.

        What depends on none of them is computed here and now, as by `energies_by`.

        **Arguments:**

        - `moving`: the nodes.
        - `values`: of all others, `{node: [batch, *shape]}`.
        - `summed`: the sum of the elements of one energy, always the same function.

        **Returns:** a function from the moving nodes' values to their gradients, `{node: [batch, *shape]}`.
        """
        places = {self._wiring.h[n]: n for n in moving}
        known = self._at({n: v for n, v in values.items() if n not in set(moving)})
        reached = self._program.reached(places, stop=known)
        wanted = [i for i in self._wanted.values() if i in reached]
        fixed = self._program.hoisted(wanted, known, places)
        gradients = [self._wiring.gradients.of(i, fixed, places, summed) for i in wanted]

        def at(values: NodesIn) -> Nodes:
            known = fixed | {i: values[n] for i, n in places.items()}
            found = added_gradients(gradients, known)
            return {n: found[i] if i in found else jnp.zeros_like(values[n]) for i, n in places.items()}

        return at
