"""Backpropagation, with the signature of all rules."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp

from ._batch import Batch
from ._gradient import output_energy
from ._local import weighed
from ._rule import Learned, Rule
from ._state import State


class Backprop(Rule):
    """The same network, its output energy as the loss.

    **Arguments:** see `Rule`; a precision counts for output nodes alone.
    """

    def _admit(self, problem: Any) -> None:
        super()._admit(problem)
        for name in problem.clamped:
            if name in problem.energy_ids and name not in problem.cut:
                raise ValueError(f"backprop: the energy of {name} depends on more than its target and its prediction")

    def _learn(self, batch: Batch, targets: dict[str, Any], state: State) -> Learned:
        p = batch.problem

        def mean(weights: Any) -> Any:
            now = batch._replace(weights=weights)
            u = p.start(*now.arrays).u
            known = p.known(*now.arrays)
            energies = {}
            for name in p.clamped:
                if name in p.energy_ids:
                    each = batch.samples.masked(p.elements(name, targets[name], u[name], known))
                    energies[name] = weighed(each, batch.precision.get(name), each[0].size)
            return sum(jnp.sum(batch.samples.weighted(e)) for e in energies.values()) / p.size, (energies, u)

        gradient, (energies, u) = jax.grad(mean, has_aux=True)(batch.weights)
        weights, optim = self._updated(gradient, state.optim, batch.weights, batch, energies)
        loss, memory = output_energy(batch, u, targets), dict(state.memory)
        return Learned(weights, optim, memory, energies, u, p.outputs, loss, 0, jnp.int32(-1))
