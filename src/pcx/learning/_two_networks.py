"""Rules for pairs of networks that share their values."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Unpack

import jax
import jax.numpy as jnp
import jax.tree_util as jtu
from jax import Array
from jaxtyping import PyTree

from ..energy import (
    Bound,
    Form,
    ForwardPass,
    Landscape,
    ModelArrays,
    Nodes,
    OverSharedValues,
    Problem,
    Samples,
    Structure,
    no_model,
)
from ..inference import AllNodes, SolverLike, Stop, relax
from ..predictive_coding import EnergyModule
from ._checks import taken_batch
from ._clamp import Phase
from ._coordinates import Coordinates
from ._dtypes import casts_of
from ._guards import bad_data
from ._idle import from_any_energy
from ._joint_problem import PARTS, JointProblem, JointStructure, generative_of, recognition_of
from ._pc import PredictiveCoding
from ._reach import check_moves
from ._state import State
from ._types import Count, Optimiser, RuleOptions


class SharedValues(Coordinates):
    """The values that two networks share, from the forward pass of the recognition network.

    **Arguments:**

    - `factors`: of the generative and the recognition energy.
    - `both`: whether values settle on the sum of both energies, or on the generative one alone.
    """

    travels = False
    in_stacks = True

    def __init__(self, factors: tuple[Any, Any], both: bool) -> None:
        self.factors, self.both = factors, both

    def landscape(self, bound: Bound, forward: ForwardPass, phase: Phase) -> Landscape:
        joint: Any = bound.problem
        above, below = joint.parts_of(bound)
        # Values do not start at the generative predictions: nothing is known of where its errors are.
        one = above.landscape({n: phase.targets[n] for n in above.problem.clamped}, wave=False)
        two = below.landscape({n: phase.targets[n] for n in below.problem.clamped})
        return OverSharedValues(one, two, joint.pairs, self.factors, self.both, forward.h)


class TwoNetworks(PredictiveCoding):
    """Two networks over the same values: `recognition`, bottom-up from x, and `generative`, top-down, which predicts x.
    Values start at the recognition network's forward pass and settle; then both learn, each from its own local errors.

    `predict` gives the recognition network's output; with `settle=True` the settled values of its last node, which must
    be a value node of both parts, both called without y.

    The model is one energy module that holds both. On one sample, `model.recognition(x, y)` is called and
    `model.generative(y, x)`, or with the first alone where a part takes one argument; without y (None), the generative
    network gets None. y may be class numbers where recognition's output is a vector over the classes: the generative
    network then gets them as one-hot vectors. The free nodes of the one, in order, are those of the other in reverse.

    **Arguments:**

    - `optim_w`, `optim_h`, `T`: see `pc`.
    - `factors`, `both`: of the energies, see `SharedValues`.
    - `parts`: `(generative, recognition)`, functions of the model that give its two parts.
    """

    settles_outputs = False
    by_layer = False  # the layers of one network lie in the other order than those of the other
    repeats_that_pay = 48

    def __init__(
        self,
        optim_w: Optimiser,
        optim_h: SolverLike,
        T: Count | Stop,
        *,
        factors: tuple[Any, Any] = (1.0, 1.0),
        both: bool,
        parts: tuple[Callable[[Any], Any], Callable[[Any], Any]] | None = None,
        **options: Unpack[RuleOptions],
    ) -> None:
        if options.pop("call", None) is not None:
            raise TypeError(f"{self.name}: the parts are called as generative(y, x) and recognition(x, y)")
        super().__init__(optim_w, optim_h, T, coordinates=SharedValues(factors, both), schedule=AllNodes(), **options)
        pair = (generative_of, recognition_of) if parts is None else parts
        if not isinstance(pair, (tuple, list)) or len(pair) != 2 or not all(callable(part) for part in pair):
            raise TypeError(
                f"{self.name}: parts must be two functions of the model, (generative, recognition), got {parts!r}"
            )
        self.parts = pair[0], pair[1]

    def form(self, problem: Any) -> Form | None:
        # Where a part has nothing that repeats, the other one says.
        parts = [part for part in (problem.generative, problem.recognition) if part.runs]
        forms: set[Form | None] = {super(TwoNetworks, self).form(part) for part in parts}
        return forms.pop() if len(forms) == 1 else None

    def structure(self, model: EnergyModule) -> Any:
        if not isinstance(model, EnergyModule):
            raise no_model(f"{self.name}: ", model)
        for name, part in zip(PARTS, self.parts, strict=True):
            try:
                found = part(model)
            except AttributeError as e:
                raise ValueError(
                    f"{type(model).__name__} lacks a part, the {name} one: {e}. The model holds `generative` and "
                    "`recognition`, or name them by parts=(function, function)"
                ) from None
            if not isinstance(found, EnergyModule):
                raise ValueError(
                    f"{self.name}: the {name} part of {type(model).__name__} must be a pxc.EnergyModule, got "
                    f"{type(found).__name__}"
                )
        return JointStructure.of(model, self.learned_params, self.parts, casts_of(self.dtype))

    def problem(self, structure: Any, arrays: ModelArrays, x: PyTree, y: PyTree, training: bool = True) -> Any:
        if training:
            return JointProblem(structure, arrays, x, y, training)
        try:
            joint = JointProblem(structure, arrays, x, y, training)
            _ = joint.pairs
        except (AttributeError, TypeError, ValueError) as e:
            raise ValueError(
                f"{self.name}: to predict by settling, both parts are called without y, and what is predicted must be "
                f"a value node of both: {e}"
            ) from e
        return joint

    def check(self, problem: Any) -> None:
        if not problem.generative.clamped:
            raise ValueError(
                f"{self.name}: no node of the generative part is clamped to the data; mark the one that predicts x, "
                f"model.{list(problem.generative.nodes)[-1]}, by pxc.Vode(output=True)"
            )
        _ = problem.pairs
        self.descent.check(self.name, problem.generative.free, problem.generative.nodes)
        check_moves(self.name, problem.generative, self.solver.descent, self.stop.steps, settles_outputs=False)

    def learning_weights(self, problem: Any) -> set[str]:
        return from_any_energy(problem.generative) | from_any_energy(problem.recognition)

    def _check_samples(self, problem: Problem, samples: Samples) -> None:
        if samples.known is not None:
            raise ValueError(f"{self.name}: every sample needs both x and y; give batches of those that do")
        super()._check_samples(problem, samples)

    def predicting(self, model: EnergyModule | State) -> tuple[Structure, ModelArrays]:
        structure, arrays = super().predicting(model)
        whole: Any = structure
        return whole.recognition, arrays

    def loss(self, bound: Bound, forward: ForwardPass) -> Array:
        joint: Any = bound.problem
        above, below = joint.parts_of(bound)
        if joint.recognition.clamped:
            return below.output_energy(forward.u, forward.targets)
        # Without y the latents that are recognised are judged by the prediction of x that is made from them.
        clamped = {n: forward.targets[n] for n in joint.generative.clamped}
        return above.output_energy(above.predictions(forward.h, clamped), forward.targets)

    def evaluate(self, state: State | EnergyModule, batch: tuple[PyTree, PyTree]) -> tuple[Any, Array]:
        shown, energy = super().evaluate(state, batch)
        x, y, samples = taken_batch(self.name, "evaluate", batch)
        if jtu.tree_leaves(y):
            return shown, energy
        whole, arrays = super().predicting(state)
        structure: Any = whole
        key = state.key if isinstance(state, State) else jax.random.PRNGKey(0)
        problem: Any = JointProblem(structure, arrays, x, y, training=False)
        bound = Bound(problem, arrays.weights, arrays.rest, key, x, y, {}, samples)
        return shown, self.loss(bound, bound.start())

    def bad_start(self, bound: Bound, forward: ForwardPass) -> Array:
        # Values may have been pulled by a prediction of the generative part that was bad before they moved.
        joint: Any = bound.problem
        above, _ = joint.parts_of(bound)
        clamped = {n: forward.targets[n] for n in joint.generative.clamped}
        first = super().bad_start(bound, forward)
        second = bad_data(joint.nodes, above.predictions(forward.h, clamped), {})
        return jnp.where(first >= 0, first, second).astype(jnp.int32)

    def settle(
        self,
        bound: Bound,
        forward: ForwardPass,
        outputs: tuple[str, ...],
        hold: Mapping[str, tuple[Array, Array]],
    ) -> tuple[Nodes, Array | None]:
        joint: Any = bound.problem
        landscape = self.coordinates.landscape(bound, forward, Phase(forward.targets))
        start = landscape.begin(landscape.start())
        solution = relax(landscape, start, descent=self.solver, stop=self.stop, key=self.draw_if_random(bound))
        last = joint.recognition.free[-1]
        return {last: next(solution.nodes[n] for n, m in joint.pairs.items() if m == last)}, solution.result
