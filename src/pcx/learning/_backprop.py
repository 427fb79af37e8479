"""Backpropagation, with the signature of all rules."""

from __future__ import annotations

import warnings
from typing import Any

import jax
import jax.numpy as jnp

from ._batch import Batch
from ._gradient import output_energy
from ._local import weighed
from ._precision import learns, values_of
from ._rule import Learned, Rule
from ._state import State


def _warn(what: str) -> None:
    warnings.warn(f"backprop: {what}", stacklevel=4)


class Backprop(Rule):
    """The same network, its output energy as the loss.

    **Arguments:** see `Rule`; a precision counts for output nodes alone.
    """

    def _admit(self, problem: Any) -> None:
        super()._admit(problem)
        for name in problem.clamped:
            if name in problem.energy_ids and name not in problem.cut:
                raise ValueError(f"backprop: the energy of {name} depends on more than its target and its prediction")
        if learns(self.precision):
            raise ValueError(
                f"backprop: {type(self.precision).__name__} would never learn, for nothing settles: leave it out, or "
                "give outputs precisions that are fixed"
            )
        idle = [n for n in values_of(self.precision, problem) if n not in problem.clamped]
        if idle:
            _warn(f"the precision of {', '.join(idle)} has no effect: only that of output nodes counts")
        if problem.extra is not None:
            _warn("what the model adds to its nodes' energies has no effect: the loss is the output's energy")

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
