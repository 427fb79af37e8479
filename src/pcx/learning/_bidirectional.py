"""Bidirectional predictive coding (bPC)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from jax import Array

from ..core import Choice, positive
from ..energy import PolicyLike
from ..inference import SolverLike, Stop
from ..nn import LayerParam
from ._rule import Rule
from ._two_networks import TwoNetworks
from ._types import Count, EqualLayers, Optimiser, PrecisionLike, RuleOptions


class Bidirectional(TwoNetworks):
    """Values settle on the energies of both directions, see `bpc`."""

    @property
    def name(self) -> str:
        return "bpc"


def bpc(
    optim_w: Optimiser,
    optim_h: SolverLike,
    T: Count | Stop,
    *,
    generative: Array | float = 1.0,
    discriminative: Array | float = 1.0,
    parts: tuple[Callable[[Any], Any], Callable[[Any], Any]] | None = None,
    learn: Choice = LayerParam,
    precision: PrecisionLike = None,
    dtype: PolicyLike = None,
    equal_layers: EqualLayers = "auto",
) -> Rule:
    """Bidirectional PC: values settle on

    `E = sum a_g/2 |x_l - W f(x_l+1)|^2 + a_d/2 |x_l - V f(x_l-1)|^2`

    from a bottom-up sweep of V; then the weights of both directions learn from the same energy.

    The model is one energy module with the parts `recognition`, V, and `generative`, W; see `hybrid` for how they are
    called, and what `predict` gives.

    Cost: 2 (T + 1) passes of backpropagation.

    **Arguments:**

    - `optim_w`, `optim_h`, `T`, `learn`, `precision`, `dtype`, `equal_layers`: see `pc`.
    - `generative`, `discriminative`: a_g and a_d, above 0.
    - `parts`: see `hybrid`.

    **Returns:** the rule.

    **Raises:** `TypeError` or `ValueError` for parts that don't go together, with the reason.

    **Reference:**

    ```bibtex
    @article{oliviers2025bidirectional,
        author = {Gaspard Oliviers and Mufeng Tang and Rafal Bogacz},
        title  = {Bidirectional Predictive Coding}, journal = {arXiv:2505.23415}, year = {2025},
    }
    ```
    """
    factors = positive("bpc", "generative", generative), positive("bpc", "discriminative", discriminative)
    options: RuleOptions = {"learn": learn, "precision": precision, "dtype": dtype, "equal_layers": equal_layers}
    return Bidirectional(optim_w, optim_h, T, both=True, factors=factors, parts=parts, **options)
