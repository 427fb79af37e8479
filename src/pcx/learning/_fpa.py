"""The fixed-prediction assumption (FPA)."""

from __future__ import annotations

from ..core import Choice
from ..energy import PolicyLike
from ..inference import Schedule, SolverLike, Stop
from ..nn import LayerParam
from ._clamp import Clamp
from ._coordinates import FixedErrors
from ._epc import OnErrors
from ._rule import Rule
from ._start import Start
from ._types import Call, Count, EqualLayers, Optimiser, PrecisionLike


class FPA(OnErrors):
    """PC over errors with fixed predictions, see `fpa`."""

    @property
    def name(self) -> str:
        return "fpa"


def fpa(
    optim_w: Optimiser,
    optim_h: SolverLike,
    T: Count | Stop,
    *,
    schedule: Schedule | None = None,
    clamp: Clamp | None = None,
    start: Start | None = None,
    learn: Choice = LayerParam,
    call: Call | None = None,
    precision: PrecisionLike = None,
    dtype: PolicyLike = None,
    equal_layers: EqualLayers = "auto",
) -> Rule:
    """Fixed-prediction assumption: predictions u and Jacobians J stay at their forward values, and the errors relax,

    `e <- e - g (p e - J' p e_below)`,

    then each weight learns from its error. Tends to backpropagation's gradient for any stable g < 2, and is that,
    exactly, from T = L - 1 steps on with g = 1 and p = 1. Hidden energies must be squared errors.

    Cost: at most T + 1 backward passes, and one forward pass.

    **Arguments:**

    - `optim_w`: an Optax transformation for the weights, see `Rule`.
    - `optim_h`: how errors move, see `pc`.
    - `T`: the number of inference steps, or a `pcx.inference.Stop`.
    - `schedule`, `clamp`, `start`, `learn`, `call`, `precision`, `dtype`, `equal_layers`: see `pc`.

    **Returns:** the rule.

    **Raises:** `TypeError` or `ValueError` for parts that don't go together, with the reason.

    **Reference:**

    ```bibtex
    @article{millidge2022predictive,
        author  = {Beren Millidge and Alexander Tschantz and Christopher L. Buckley},
        title   = {Predictive Coding Approximates Backprop Along Arbitrary Computation Graphs},
        journal = {Neural Computation}, volume = {34}, number = {6}, year = {2022}, note = {arXiv:2006.04182},
    }
    ```
    """
    options = {"learn": learn, "call": call, "precision": precision, "dtype": dtype, "equal_layers": equal_layers}
    return FPA(optim_w, optim_h, T, coordinates=FixedErrors(), schedule=schedule, clamp=clamp, start=start, **options)
