"""The rules of the literature by name: each chooses its parts."""

from __future__ import annotations

from typing import Any

import optax

from ..inference._descent import Langevin
from ..inference._schedule import Schedule
from ..inference._stop import Stop
from ._backprop import Backprop
from ._clamp import Clamp, Nudged
from ._errors import EPC, FPA
from ._joint import Joint
from ._rule import Rule
from ._settled import PredictiveCoding
from ._start import Start
from ._sweep import HIL, ZIL
from ._timing import ChainAverage, EveryStep

Optimiser = optax.GradientTransformation


def pc(
    optim_w: Optimiser,
    optim_h: Any,
    T: int | Stop,
    *,
    schedule: Schedule | None = None,
    clamp: Clamp | None = None,
    start: Start | None = None,
    **options: Any,
) -> Rule:
    """Predictive coding, or inference learning: values start at a forward pass, settle for T steps of
    `h <- h - g dE/dh`, then each weight takes one step down the energy at the settled values.

    The first layer learns nothing for T < L - 1; a true equilibrium takes many more steps.

    Rao & Ballard 1999; Whittington & Bogacz 2017, doi:10.1162/NECO_a_00949.

    **Arguments:** see `PredictiveCoding`.
    """
    return PredictiveCoding(optim_w, optim_h, T, schedule=schedule, clamp=clamp, start=start, **options)


def ipc(optim_w: Optimiser, optim_h: Any, T: int, **options: Any) -> Rule:
    """Incremental PC: at each of T steps the gradients with respect to values and weights are taken at one point, and
    both move. The weight optimiser's state lives through the T steps, so `optim_w` takes T steps a batch.

    Salvatori et al., arXiv 2212.00720.

    **Arguments:** see `PredictiveCoding`.
    """
    return PredictiveCoding(optim_w, optim_h, T, timing=EveryStep(), **options)


def zil(optim_w: Optimiser, optim_h: Any = None, *, level: bool = False, **options: Any) -> Rule:
    """Zero-divergence inference learning: backpropagation's update, exactly, by local steps.

    Song et al., "Can the brain do backpropagation?", NeurIPS 2020; Salvatori et al., arXiv 2103.04689.

    **Arguments:** see `ZIL`.
    """
    return ZIL(optim_w, optim_h, level=level, **options)


def hil(optim_w: Optimiser, optim_h: Any = None, T: int = 8, **options: Any) -> Rule:
    """The hybrid of Z-IL and PC: Z-IL's update while the error travels, then PC's from the settled values.

    **Arguments:** see `HIL`.
    """
    return HIL(optim_w, optim_h, T, **options)


def fpa(optim_w: Optimiser, optim_h: Any, T: int | Stop, **options: Any) -> Rule:
    """Fixed-prediction assumption: errors relax under the Jacobians of the forward pass, and tend to backpropagation's.

    Millidge et al., arXiv 2006.04182.

    **Arguments:** see `FPA`.
    """
    return FPA(optim_w, optim_h, T, **options)


def nudged(
    optim_w: Optimiser,
    optim_h: Any,
    T: int | Stop,
    beta: Any,
    *,
    centred: bool = False,
    alternate: bool = False,
    follow: bool = False,
    **options: Any,
) -> Rule:
    """Nudged PC: the output is clamped near its prediction, `u - b (u - y)`, and the weight gradient divided by b.
    Positive (b > 0), negative (b < 0), centred (both, and their difference) or alternating from batch to batch.

    Pinchetti et al., arXiv 2407.01163; Scellier & Bengio 2017 for equilibrium propagation.

    **Arguments:** `beta`, `centred`, `alternate`, `follow` see `Nudged`; the others see `PredictiveCoding`.
    """
    return PredictiveCoding(optim_w, optim_h, T, clamp=Nudged(beta, centred, alternate, follow), **options)


def epc(optim_w: Optimiser, optim_h: Any, T: int | Stop, **options: Any) -> Rule:
    """PC with errors as coordinates: the same equilibria, reached in far fewer steps in deep networks.

    arXiv 2505.20137.

    **Arguments:** see `EPC`.
    """
    return EPC(optim_w, optim_h, T, **options)


def mcpc(
    optim_w: Optimiser,
    step: Any,
    T: int,
    *,
    burn_in: int = 0,
    variance: Any = 1.0,
    momentum: float = 0.0,
    **options: Any,
) -> Rule:
    """Monte Carlo PC: values follow Langevin dynamics and so sample the posterior; the weights learn from the mean
    gradient over the chain.

    Oliviers, Bogacz & Meulemans 2024, "Learning probability distributions of sensory inputs with Monte Carlo predictive
    coding".

    **Arguments:**

    - `step`, `variance`, `momentum`: see `pcx.inference.Langevin`.
    - `burn_in`: steps that the gradients are not taken from.
    - others: see `PredictiveCoding`.
    """
    descent = Langevin(step, variance, momentum)
    return PredictiveCoding(optim_w, descent, T, timing=ChainAverage(burn_in), **options)


def hybrid(optim_w: Optimiser, optim_h: Any, T: int | Stop, **options: Any) -> Rule:
    """Hybrid (amortised) PC: latents start at a recognition network's output and settle on the generative energy; the
    generative weights learn from the errors at the settled values, the recognition weights regress to them locally.

    Tschantz et al. 2023, doi:10.1371/journal.pcbi.1011280.

    **Arguments:** see `Joint`.
    """
    return Joint(optim_w, optim_h, T, both=False, **options)


def bpc(
    optim_w: Optimiser, optim_h: Any, T: int | Stop, *, generative: Any = 1.0, discriminative: Any = 1.0, **options: Any
) -> Rule:
    """Bidirectional PC: values settle on `sum a_g/2 |x_l - W f(x_l+1)|^2 + a_d/2 |x_l - V f(x_l-1)|^2` from a bottom-up
    sweep; both directions learn.

    arXiv 2505.23415.

    **Arguments:**

    - `generative`, `discriminative`: a_g and a_d.
    - others: see `Joint`; V is the model's `recognition` part.
    """
    return Joint(optim_w, optim_h, T, both=True, factors=(generative, discriminative), **options)


def backprop(optim_w: Optimiser, **options: Any) -> Rule:
    """Backpropagation: the same network, its output energy as the loss.

    **Arguments:** see `Backprop`.
    """
    return Backprop(optim_w, **options)
