"""A decoder whose input is a latent: what autoencoding by predictive coding is made of."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp

from ..core import static
from ..nn import Linear
from ..predictive_coding import EnergyModule, Vode, zero_energy


class Decoder(EnergyModule):
    """Layers from a latent to the data, with a value node after each; the latent is a free node without an energy.

    **Arguments:**

    - `widths`: from that of the latent to that of the data.
    - `act`: the activation function; the last layer is linear.
    """

    def __init__(self, widths: Sequence[int], act: Callable[[jax.Array], jax.Array]) -> None:
        super().__init__()
        self.act, self.width = static(act), static(widths[0])
        self.layers = [Linear(a, b) for a, b in itertools.pairwise(widths)]
        self.latent = Vode(zero_energy)
        self.vodes = [Vode() for _ in widths[2:]] + [Vode(output=True)]

    def __call__(self, x: jax.Array | None) -> jax.Array:
        """Predict the data of ONE sample.

        **Arguments:**

        - `x`: the latent to begin with, `[widths[0]]`; None for zeros.

        **Returns:** the prediction, `[widths[-1]]`.
        """
        h = self.latent(jnp.zeros(self.width.get()) if x is None else x)
        for layer, vode in zip(self.layers[:-1], self.vodes[:-1], strict=True):
            h = vode(self.act(layer(h)))
        return self.vodes[-1](self.layers[-1](h))
