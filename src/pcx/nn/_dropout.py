"""Dropout."""

from __future__ import annotations

import equinox as eqx

from ..core import real
from ._layer import Layer


class Dropout(Layer):
    """A layer that sets each entry to zero with probability `p` and scales the others by `1 / (1 - p)`; any shape.

    Active until `eval()` is called, and again after `train()`. The key comes from `pcx.RKG` unless one is given in
    the call, so each lane of a `pcx.functional.vmap` drops other entries.

    Source: Srivastava et al., "Dropout: a simple way to prevent neural networks from overfitting", Journal of Machine
    Learning Research 15, 2014.

    **Arguments:**

    - `p`: the probability, in `[0, 1]`; 1 leaves nothing.
    - `inference`: True starts it inactive, as if `eval()` had been called.

    **Raises:** `TypeError` for what is no number, `ValueError` for one that is no probability.
    """

    def __init__(self, p: float = 0.5, inference: bool = False):
        real("Dropout", "p", p, lambda p: (p >= 0) & (p <= 1), "in [0, 1]")
        super().__init__(eqx.nn.Dropout, p, inference)
