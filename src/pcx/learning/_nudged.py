"""Nudged predictive coding."""

from __future__ import annotations

from jax.typing import ArrayLike

from ..core import Choice
from ..energy import PolicyLike
from ..inference import Schedule, SolverLike, Stop
from ..nn import LayerParam
from ._clamp import Nudged
from ._pc import PredictiveCoding
from ._rule import Rule
from ._start import Start
from ._types import Call, Count, EqualLayers, Optimiser, PrecisionLike


class NudgedPC(PredictiveCoding):
    """PC with a nudged clamp, see `nudged`."""

    @property
    def name(self) -> str:
        return "nudged"


def nudged(
    optim_w: Optimiser,
    optim_h: SolverLike,
    T: Count | Stop,
    beta: ArrayLike,
    *,
    centred: bool = False,
    alternate: bool = False,
    follow: bool = False,
    schedule: Schedule | None = None,
    start: Start | None = None,
    learn: Choice = LayerParam,
    call: Call | None = None,
    precision: PrecisionLike = None,
    dtype: PolicyLike = None,
    equal_layers: EqualLayers = "auto",
) -> Rule:
    """Nudged PC: the output is clamped near its prediction, at `u - b (u - y)`, values settle as in `pc`, and the
    weight gradient is divided by b. Positive (b > 0), negative (b < 0), centred (both, and their difference) or
    alternating from batch to batch.

    With `follow`, for b -> 0 at equilibrium, the update is backpropagation's: with an error of O(b), or O(b^2) if
    centred. Without, the output resists, and it is not, whatever b (see `Nudged`).

    Cost: that of `pc`; twice that if centred.

    **Arguments:**

    - `optim_w`, `optim_h`, `T`, `schedule`, `start`, `learn`, `call`, `precision`, `dtype`, `equal_layers`: see `pc`.
    - `beta`: b, other than 0 and at most 1 in size.
    - `centred`: settle twice, at +b and -b, and take the difference over 2 b.
    - `alternate`: change the sign of b with every batch.
    - `follow`: let the clamp follow the prediction as values settle.

    **Returns:** the rule.

    **Raises:** `TypeError` or `ValueError` for parts that don't go together, with the reason.

    **Reference:**

    ```bibtex
    @article{pinchetti2024benchmarking,
        author = {Luca Pinchetti and Chang Qi and Oleh Lokshyn and Gaspard Olivers and Cornelius Emde and
                  Mufeng Tang and Amine M'Charrak and Simon Frieder and Bayar Menzat and Rafal Bogacz and
                  Thomas Lukasiewicz and Tommaso Salvatori},
        title  = {Benchmarking Predictive Coding Networks -- Made Simple}, journal = {arXiv:2407.01163}, year = {2024},
    }
    @article{scellier2017equilibrium,
        author  = {Benjamin Scellier and Yoshua Bengio},
        title   = {Equilibrium Propagation: Bridging the Gap between Energy-Based Models and Backpropagation},
        journal = {Frontiers in Computational Neuroscience}, volume = {11}, year = {2017},
    }
    ```
    """
    clamp = Nudged(beta, centred, alternate, follow)
    options = {"learn": learn, "call": call, "precision": precision, "dtype": dtype, "equal_layers": equal_layers}
    return NudgedPC(optim_w, optim_h, T, schedule=schedule, clamp=clamp, start=start, **options)
