"""Predictive coding with errors as coordinates (ePC)."""

from __future__ import annotations

from collections.abc import Mapping

from jax import Array

from ..core import Choice
from ..energy import Bound, ForwardPass, Nodes, PolicyLike, Problem
from ..inference import AllNodes, SolverLike, Stop
from ..nn import LayerParam
from ._clamp import Clamp
from ._coordinates import Errors
from ._idle import from_any_energy, from_outputs
from ._pc import PredictiveCoding
from ._rule import Rule
from ._start import Start
from ._types import Call, Count, EqualLayers, Optimiser, PrecisionLike


class OnErrors(PredictiveCoding):
    """Predictive coding over errors: without a target no error has a cause, so that predictions by settling are those
    of the forward pass."""

    settles_outputs = False
    repeats_that_pay = 48

    def learning_weights(self, problem: Problem) -> set[str]:
        return from_outputs(problem) if self._waits(problem) else from_any_energy(problem)

    def settle(
        self,
        bound: Bound,
        forward: ForwardPass,
        outputs: tuple[str, ...],
        hold: Mapping[str, tuple[Array, Array]],
    ) -> tuple[Nodes, Array | None]:
        return {n: forward.u[n] for n in outputs}, None


class EPC(OnErrors):
    """PC over errors, see `epc`."""

    @property
    def name(self) -> str:
        return "epc"


def epc(
    optim_w: Optimiser,
    optim_h: SolverLike,
    T: Count | Stop,
    *,
    clamp: Clamp | None = None,
    start: Start | None = None,
    learn: Choice = LayerParam,
    call: Call | None = None,
    precision: PrecisionLike = None,
    dtype: PolicyLike = None,
    equal_layers: EqualLayers = "auto",
) -> Rule:
    """PC with errors as coordinates: values follow errors, `s = u(parents) + e`, all errors zero at first; T steps of

    `e <- e - g dE/de`, with `E = sum of p/2 |e|^2 + Loss(u_L, y)`,

    each one pass of backpropagation through the states; then, with the states fixed, each weight learns from its local
    energy. The equilibria are those of `pc`, reached in far fewer steps in deep networks. One step of size g is g times
    backpropagation, up to O(g). Stable for g < 2 / (1 + s^2), with s the largest singular value of the network's
    Jacobian, which grows as training goes on. Hidden energies must be squared errors.

    Cost: T + 1 passes of backpropagation.

    **Arguments:**

    - `optim_w`: an Optax transformation for the weights, see `Rule`.
    - `optim_h`: how errors move, see `pc`.
    - `T`: the number of inference steps, or a `pcx.inference.Stop`.
    - `clamp`, `start`, `learn`, `call`, `precision`, `dtype`, `equal_layers`: see `pc`; `Kept()` keeps errors.

    **Returns:** the rule.

    **Raises:** `TypeError` or `ValueError` for parts that don't go together, with the reason.

    **Reference:**

    ```bibtex
    @article{goemaere2025error,
        author = {C\\'edric Goemaere and Gaspard Oliviers and Rafal Bogacz and Thomas Demeester},
        title  = {Error Optimization: Overcoming Exponential Signal Decay in Deep Predictive Coding Networks},
        journal = {arXiv:2505.20137}, year = {2025},
    }
    ```
    """
    options = {"learn": learn, "call": call, "precision": precision, "dtype": dtype, "equal_layers": equal_layers}
    return EPC(optim_w, optim_h, T, coordinates=Errors(), schedule=AllNodes(), clamp=clamp, start=start, **options)
