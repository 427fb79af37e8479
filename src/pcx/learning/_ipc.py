"""Incremental predictive coding (iPC)."""

from __future__ import annotations

from typing import Any, Unpack

import jax
import jax.numpy as jnp
from jax import Array
from jaxtyping import PyTree

from ..core import Choice
from ..energy import Bound, ForwardPass, PolicyLike, Problem, blocks_of, blockwise, in_blocks, mapped, scan
from ..inference import AllNodes, DescentLike, Descents, Schedule, find_bad, stands_still, take_step
from ..nn import LayerParam
from ._clamp import Phase
from ._pc import PredictiveCoding
from ._reach import warn_of_layers_out_of_reach
from ._rule import Memory, Rule
from ._start import Start
from ._types import Call, Count, EqualLayers, Optimiser, PCOptions, PrecisionLike
from ._update import Update


class IncrementalPC(PredictiveCoding):
    """Values and weights move together at every step, see `ipc`."""

    def __init__(self, optim_w: Optimiser, optim_h: DescentLike, T: Count, **options: Unpack[PCOptions]) -> None:
        super().__init__(optim_w, optim_h, T, **options)
        if self.stop.early:
            raise ValueError(
                f"{self.name}: values and weights move together, which needs a fixed number of steps, T an int or "
                "pxi.Steps(...)"
            )
        if self.solver.descent is None:
            raise ValueError(
                f"{self.name}: a step moves values and weights, but {type(self.descent).__name__} integrates a flow; "
                "give a descent such as optax.sgd(0.1)"
            )
        if not self.schedule.together:
            raise ValueError(f"{self.name}: all values and weights move at one point: schedule must be AllNodes()")

    in_stacks = True
    by_layer = True
    repeats_that_pay = 48

    @property
    def name(self) -> str:
        return "ipc"

    def _warn_of_reach(self, problem: Problem, schedule: Schedule, descent: Descents) -> None:
        # At every step the gradient is taken before the move: the last one is of no use to the weights.
        warn_of_layers_out_of_reach(self.name, problem, AllNodes(), descent, self.stop.steps, late=1)

    def learn(self, bound: Bound, forward: ForwardPass, memory: Memory) -> Update:
        phase = Phase(forward.targets)
        first = self.coordinates.landscape(bound, forward, phase)
        key = self.draw_if_random(bound)
        start = self.begin(bound, first, memory, key)
        descent = self.solver.descent
        assert descent is not None
        plan = AllNodes().prepare(first, start, self.stop, descent)
        groups, wave = plan.segments[0].groups, plan.wave
        if wave is not None and not stands_still(self.optim_w.update, bound.weights, memory["optim"]):
            wave = wave.at_once()  # weights that move give nodes errors, wherever these are

        def step(carry: PyTree, i: Array) -> tuple[Any, None]:
            nodes, states, weights, optim, bad, key = carry
            key, draw = (None, None) if key is None else jax.random.split(key)
            now = bound.at(weights)
            landscape = self.coordinates.landscape(now, forward, phase)
            found = landscape.weight_gradient(nodes)
            sweep = landscape.sweep(nodes, None)
            nodes, states, _ = take_step(landscape, descent, groups, nodes, states, i, key=draw, wave=wave, sweep=sweep)
            nodes, states = in_blocks(blocks, nodes), in_blocks(blocks, states)
            weights, optim = self.apply(found.gradient, optim, weights, now, found.energies)
            bad = find_bad(first.names, blocks_of(nodes), i + 1, bad)
            return (nodes, states, weights, optim, bad, key), None

        start = first.arranged(start, descent.kind)
        states = blockwise(start, lambda names, v: mapped(descent.at(names[0]).init, names)(v))
        blocks = [names for names, _ in blocks_of(start)]
        carry = start, states, bound.weights, memory["optim"], jnp.int32(-1), key
        carry, _ = scan(step, carry, jnp.arange(self.stop.steps, dtype=jnp.int32))
        nodes, _, weights, optim, bad, _ = carry
        end = self.coordinates.landscape(bound.at(weights), forward, phase).weight_gradient(nodes)
        # Values and weights descend on one energy.
        before = first.energies_before(start)
        return Update(
            None,
            end.energies,
            end.elements,
            before,
            first.went_uphill(nodes, before, end.energies, self.descent.temperature),
            jnp.int32(self.stop.steps),
            bad,
            {"optim": optim, **self._memory(bound.problem, memory, nodes)},
            weights=weights,
        )


def ipc(
    optim_w: Optimiser,
    optim_h: DescentLike,
    T: Count,
    *,
    start: Start | None = None,
    schedule: Schedule | None = None,
    learn: Choice = LayerParam,
    call: Call | None = None,
    precision: PrecisionLike = None,
    dtype: PolicyLike = None,
    equal_layers: EqualLayers = "auto",
) -> Rule:
    """Incremental PC: at each of T steps the gradients of the energy by values and weights are taken at one point, and
    both move. The weight optimiser's state lives through the T steps, so `optim_w` takes T steps a batch.

    Cost: T + 1 passes of backpropagation, and T steps of the weights' optimiser.

    **Arguments:**

    - `optim_w`: an Optax transformation for the weights, see `Rule`; it takes T steps a batch.
    - `optim_h`: how values move, see `pc`.
    - `T`: the number of inference steps.
    - `start`, `learn`, `call`, `precision`, `dtype`, `equal_layers`: see `pc`.
    - `schedule`: `pcx.inference.AllNodes()`, or None: values and weights move at one point.

    **Returns:** the rule.

    **Raises:** `TypeError` or `ValueError` for parts that don't go together, with the reason.

    **Reference:**

    ```bibtex
    @inproceedings{salvatori2024stable,
        author    = {Tommaso Salvatori and Yuhang Song and Yordan Yordanov and Beren Millidge and Lei Sha and
                     Cornelius Emde and Zhenghua Xu and Rafal Bogacz and Thomas Lukasiewicz},
        title     = {A Stable, Fast, and Fully Automatic Learning Algorithm for Predictive Coding Networks},
        booktitle = {International Conference on Learning Representations}, year = {2024}, note = {arXiv:2212.00720},
    }
    ```
    """
    options = {"learn": learn, "call": call, "precision": precision, "dtype": dtype, "equal_layers": equal_layers}
    return IncrementalPC(optim_w, optim_h, T, start=start, schedule=schedule, **options)
