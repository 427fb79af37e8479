"""Monte Carlo predictive coding (MCPC)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Unpack

import jax.tree_util as jtu
from jax import Array

from ..core import Choice, whole
from ..energy import Bound, ForwardPass, PolicyLike
from ..inference import Descent, DescentLike, Langevin, Schedule, Solver, is_transformation, settle
from ..nn import LayerParam
from ._clamp import Phase
from ._pc import PredictiveCoding
from ._rule import Memory, Rule
from ._start import Start
from ._types import Call, Count, EqualLayers, Optimiser, PCOptions, PrecisionLike
from ._update import Update


class MonteCarloPC(PredictiveCoding):
    """The weights learn from the mean gradient over a chain of values, see `mcpc`."""

    def __init__(
        self,
        optim_w: Optimiser,
        optim_h: DescentLike,
        T: Count,
        burn_in: Count,
        **options: Unpack[PCOptions],
    ) -> None:
        super().__init__(optim_w, optim_h, T, **options)
        self.burn_in = whole(self.name, "burn_in", burn_in, 0)
        if self.stop.early:
            raise ValueError(f"{self.name}: a chain needs a fixed number of steps, T an int or pxi.Steps(...)")
        if self.solver.descent is None:
            raise ValueError(f"mcpc needs steps, but {type(self.descent).__name__} integrates a flow")
        if self.burn_in >= self.stop.steps:
            raise ValueError(f"{self.name}: burn_in={burn_in} leaves none of T={self.stop.steps} steps to learn from")

    in_stacks = True
    by_layer = True
    repeats_that_pay = 48

    @property
    def name(self) -> str:
        return "mcpc"

    def learn(self, bound: Bound, forward: ForwardPass, memory: Memory) -> Update:
        key = self.draw_if_random(bound)
        landscape = self.coordinates.landscape(bound, forward, Phase(forward.targets))
        start = self.begin(bound, landscape, memory, key)
        # One chain, which is only looked at later: momentum, moments and rates go on through the burn-in.
        solution = settle(
            landscape,
            start,
            self.solver,
            self.stop,
            key=key,
            observe=lambda nodes: landscape.weight_gradient(nodes).gradient,
            unobserved=self.burn_in,
        )
        gradient = jtu.tree_map(lambda g: g / (self.stop.steps - self.burn_in), solution.observed)
        end = landscape.weight_gradient(solution.nodes)
        before = landscape.energies_before(start)
        return Update(
            gradient,
            end.energies,
            end.elements,
            before,
            landscape.went_uphill(solution.nodes, before, end.energies, self.descent.temperature),
            solution.steps,
            solution.first_bad,
            self._memory(bound.problem, memory, solution.nodes),
        )


def mcpc(
    optim_w: Optimiser,
    step: Array | float | DescentLike,
    T: Count,
    *,
    burn_in: Count = 0,
    variance: Array | float | None = None,
    momentum: float = 0.0,
    schedule: Schedule | None = None,
    start: Start | None = None,
    learn: Choice = LayerParam,
    call: Call | None = None,
    precision: PrecisionLike = None,
    dtype: PolicyLike = None,
    equal_layers: EqualLayers = "auto",
) -> Rule:
    """Monte Carlo PC: values follow Langevin dynamics and so sample the posterior,

    `h <- h - n dE/dh + sqrt(2 n s^2) xi`, with xi from the standard normal distribution;

    the weights learn from the mean gradient over the T values of the chain after the burn-in. The chain's distribution
    is the posterior `exp(-E / s^2)` for n -> 0 and T -> infinity.

    Cost: 2 T + 1 passes of backpropagation, of which the burn-in takes one a step.

    **Arguments:**

    - `optim_w`: an Optax transformation for the weights, see `Rule`.
    - `step`: n, above 0; or a transformation or descent of one's own, see `pc`, whose values are the samples.
    - `T`: the number of inference steps.
    - `burn_in`: the number of steps at the beginning that the gradients are not taken from.
    - `variance`, `momentum`: s^2, by default 1, and a number in [0, 1), see `pcx.inference.Langevin`.
    - `schedule`, `start`, `learn`, `call`, `precision`, `dtype`, `equal_layers`: see `pc`. `Kept()` goes on with the
        chain.

    **Returns:** the rule.

    **Raises:** `TypeError` or `ValueError` for parts that don't go together, with the reason.

    **Reference:**

    ```bibtex
    @article{oliviers2024learning,
        author  = {Gaspard Oliviers and Rafal Bogacz and Alexander Meulemans},
        title   = {Learning Probability Distributions of Sensory Inputs with Monte Carlo Predictive Coding},
        journal = {PLOS Computational Biology}, volume = {20}, number = {10}, year = {2024},
    }
    ```
    """
    if isinstance(step, (Descent, Solver, Mapping)) or is_transformation(step):
        if momentum != 0.0 or variance is not None:
            raise ValueError("mcpc: variance and momentum are those of Langevin dynamics: give a number as the step")
        descent = step
    else:
        number: Any = step
        descent = Langevin(number, 1.0 if variance is None else variance, momentum)
    options = {"learn": learn, "call": call, "precision": precision, "dtype": dtype, "equal_layers": equal_layers}
    return MonteCarloPC(optim_w, descent, T, burn_in, schedule=schedule, start=start, **options)
