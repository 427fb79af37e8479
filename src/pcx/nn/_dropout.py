"""Dropout."""

from __future__ import annotations

import equinox as eqx

from ._layer import Layer


class Dropout(Layer):
    """A layer that sets each entry to zero with probability `p` and scales the others by `1 / (1 - p)`; any shape.

    Active until `eval()` is called, and again after `train()`. The key comes from `pcx.RKG` unless one is given in
    the call, so each lane of a `pcx.functional.vmap` drops other entries.

    **Arguments:**

    - `p`: the probability, in `[0, 1)`.
    - `inference`: True starts it inactive, as if `eval()` had been called.
    """

    def __init__(self, p: float = 0.5, inference: bool = False):
        super().__init__(eqx.nn.Dropout, p, inference)
