"""A hierarchy of latents over data: the generative network of the memory and of Monte Carlo PC."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp

from ..core import static
from ..nn import LayerParam, Linear
from ..predictive_coding import EnergyModule, Vode


class Hierarchy(EnergyModule):
    """A mean that is learned predicts the first latents, each latents the next, and the last ones the data:

    `h_0 ~ N(m, 1)`, `h_l ~ N(W_l act(h_(l-1)) + b_l, 1)`, of which the last is the data.

    **Arguments:**

    - `widths`: of the latents from the first on, and of the data.
    - `act`: the activation function, of all latents.
    - `bias`: whether layers have a bias.
    """

    def __init__(
        self, widths: Sequence[int], act: Callable[[jax.Array], jax.Array] = jnp.tanh, bias: bool = True
    ) -> None:
        super().__init__()
        self.act = static(act)
        self.mean = LayerParam(jnp.zeros(widths[0]))
        self.layers = [Linear(a, b, bias) for a, b in itertools.pairwise(widths)]
        self.latents = [Vode() for _ in widths[:-1]]
        self.data = Vode(output=True)

    def __call__(self, x: None) -> jax.Array:
        """Predict ONE sample: there is no input."""
        h: Any = self.mean.get()
        for layer, vode in zip(self.layers, self.latents, strict=True):
            h = layer(self.act(vode(h)))
        return self.data(h)
