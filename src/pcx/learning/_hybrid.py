"""Hybrid (amortised) predictive coding."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..core import Choice
from ..energy import PolicyLike
from ..inference import SolverLike, Stop
from ..nn import LayerParam
from ._rule import Rule
from ._two_networks import TwoNetworks
from ._types import Count, EqualLayers, Optimiser, PrecisionLike, RuleOptions


class Hybrid(TwoNetworks):
    """Values settle on the generative energy, see `hybrid`."""

    @property
    def name(self) -> str:
        return "hybrid"


def hybrid(
    optim_w: Optimiser,
    optim_h: SolverLike,
    T: Count | Stop,
    *,
    parts: tuple[Callable[[Any], Any], Callable[[Any], Any]] | None = None,
    learn: Choice = LayerParam,
    precision: PrecisionLike = None,
    dtype: PolicyLike = None,
    equal_layers: EqualLayers = "auto",
) -> Rule:
    """Hybrid (amortised) PC: values start at a recognition network's forward pass and settle on the generative energy,

    `h <- h - g dE/dh`, with `E = sum of p/2 |h - u|^2` over the generative network;

    the generative weights learn from the errors at the settled values, the recognition weights regress to these.

    The model is one energy module with the parts `recognition`, called on a sample as `recognition(x, y)`, and
    `generative`, called as `generative(y, x)`, or with the first alone where a part takes one argument. y may be class
    numbers where recognition's output is a vector over the classes: the generative part gets them as one-hot vectors.
    The free nodes of the one, in order, are those of the other in reverse. `predict` gives the recognition part's
    output; with `settle=True` the settled values of its last node, which must be a value node of both parts.

    Cost: T + 2 passes of backpropagation.

    **Arguments:**

    - `optim_w`, `optim_h`, `T`, `learn`, `precision`, `dtype`, `equal_layers`: see `pc`.
    - `parts`: `(generative, recognition)`, functions of the model that give its two parts; by default its attributes of
        those names.

    **Returns:** the rule.

    **Raises:** `TypeError` or `ValueError` for parts that don't go together, with the reason.

    **Reference:**

    ```bibtex
    @article{tschantz2023hybrid,
        author  = {Alexander Tschantz and Beren Millidge and Anil K. Seth and Christopher L. Buckley},
        title   = {Hybrid Predictive Coding: Inferring, Fast and Slow},
        journal = {PLOS Computational Biology}, volume = {19}, number = {8}, year = {2023},
        doi     = {10.1371/journal.pcbi.1011280},
    }
    ```
    """
    options: RuleOptions = {"learn": learn, "precision": precision, "dtype": dtype, "equal_layers": equal_layers}
    return Hybrid(optim_w, optim_h, T, both=False, parts=parts, **options)
