"""Backpropagation, with the signature of all rules."""

from __future__ import annotations

import jax.numpy as jnp
from jax import Array

from ..core import Choice, warn
from ..energy import Bound, Energies, ForwardPass, PolicyLike, Problem, Weights, added, grad_of_mean, weighed
from ..nn import LayerParam
from ._idle import from_outputs
from ._precision import learns, values_of
from ._rule import Memory, Rule
from ._types import Call, EqualLayers, Optimiser, PrecisionLike
from ._update import Update


class Backprop(Rule):
    """The output energy as the loss, see `backprop`."""

    in_stacks = True

    @property
    def name(self) -> str:
        return "backprop"

    def check(self, problem: Problem) -> None:
        super().check(problem)
        for name in problem.clamped:
            if not problem.nodes[name].silent and not problem.nodes[name].local:
                raise ValueError(
                    f"backprop: the energy of {name} depends on more than its target and its prediction, so that it "
                    "is no loss; settle, as by pxl.pc"
                )
        if learns(self.precision):
            raise ValueError(
                f"backprop: {type(self.precision).__name__} would never learn, for nothing settles: leave it out, or "
                "give outputs precisions that are fixed"
            )
        idle = [n for n in values_of(self.precision, problem) if n not in problem.clamped]
        if idle:
            _warn(f"the precision of {', '.join(idle)} has no effect: only that of output nodes counts")
        if problem.has_own_energy:
            _warn("what the model adds to its nodes' energies has no effect: the loss is the output's energy")

    def learning_weights(self, problem: Problem) -> set[str]:
        return from_outputs(problem)

    def learn(self, bound: Bound, forward: ForwardPass, memory: Memory) -> Update:
        p = bound.problem

        def summed(weights: Weights) -> tuple[Array, Energies]:
            now = bound.at(weights)
            u = now.start(effects=False).u
            energies = {}
            for name in p.clamped:
                if not p.nodes[name].silent:
                    each = now.functions.elements(name, forward.targets[name], u[name])
                    each = bound.samples.masked(each) if name in p.optional else each
                    energies[name] = weighed(each, bound.precision.get(name), each[0].size)
            return added([jnp.sum(bound.samples.weighted(e)) for e in energies.values()]), energies

        gradient, energies = grad_of_mean(summed, p.size, p.structure.dtypes)(bound.weights)
        return Update(gradient, energies)


def _warn(what: str) -> None:
    warn(f"backprop: {what}")


def backprop(
    optim_w: Optimiser,
    *,
    learn: Choice = LayerParam,
    call: Call | None = None,
    precision: PrecisionLike = None,
    dtype: PolicyLike = None,
    equal_layers: EqualLayers = "auto",
) -> Rule:
    """Backpropagation: the same network, its output energy as the loss, `dLoss/dW` through all layers.

    Cost: one forward and one backward pass; what all other costs are counted in.

    **Arguments:**

    - `optim_w`: an Optax transformation for the weights, see `Rule`.
    - `learn`, `call`, `dtype`, `equal_layers`: see `Rule`.
    - `precision`: as in `pc`; it counts for output nodes alone.

    **Returns:** the rule.

    **Raises:** `TypeError` for an `optim_w` that is no transformation; `TypeError` or `ValueError` for what is no
    precision.

    **Reference:**

    ```bibtex
    @article{rumelhart1986learning,
        author  = {David E. Rumelhart and Geoffrey E. Hinton and Ronald J. Williams},
        title   = {Learning Representations by Back-propagating Errors},
        journal = {Nature}, volume = {323}, year = {1986},
    }
    ```
    """
    return Backprop(optim_w, learn=learn, call=call, precision=precision, dtype=dtype, equal_layers=equal_layers)
