"""Hierarchies of Gaussian latents over data."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp

from ..core import Whole, static
from ..nn import LayerParam, Linear
from ..predictive_coding import EnergyFn, EnergyModule, Vode, se_energy
from ._decoder import check_no_input
from ._sizes import shape_of, widths_of


class GenerativeHierarchy(EnergyModule):
    """A hierarchy of Gaussian latents, the top one around a mean that is learned, over data: from the top,

    `h_0 ~ N(m, 1)`, `h_l ~ N(W_l act(h_(l-1)) + b_l, 1)`, of which the last is the data.

    Its energy is the negative logarithm of the joint density: so Monte Carlo PC, `pxl.mcpc`, samples the latents of
    data and learns to make the data likely. With a mask of no data it samples the latents of the model,
    `rule.predict(model, None, settle=True, hold={"data": (none, zeros)}, key=seed)`, as many as `zeros` has, and gives
    the mean of the data at these. Batches are `(None, data)`. Trained to few images by `pxl.pc`, it is an associative
    memory: with part of an image held, the rest is recalled.

    Nodes: `latents[i]`, `[widths[i]]`; `data`, the output, of `shape`. The Gaussian in one dimension is
    `GenerativeHierarchy([1, 1], act=lambda h: h)`, with 2 value nodes and 3 weights.

    Source: Oliviers, Bogacz & Meulemans, "Learning probability distributions of sensory inputs with Monte Carlo
    predictive coding", PLOS Computational Biology 20(10), 2024. As a memory: Salvatori et al., "Associative memories
    via predictive coding", 2021, arXiv 2109.08063.

    **Arguments:**

    - `widths`: from the top latent to the data, two or more.
    - `act`: the activation function, of all latents.
    - `energy`: the energy of the data.
    - `shape`: of one sample, with `widths[-1]` elements; a vector if left out.
    - `bias`: whether layers have a bias.

    **Raises:** `ValueError` for other widths, or a shape of another size.
    """

    def __init__(
        self,
        widths: Sequence[Whole],
        act: Callable[[jax.Array], jax.Array] = jnp.tanh,
        energy: EnergyFn = se_energy,
        shape: Sequence[Whole] | None = None,
        bias: bool = True,
    ):
        super().__init__()
        widths = widths_of("GenerativeHierarchy", widths, 2)
        self.act = static(act)
        self.shape = static(shape_of("GenerativeHierarchy", shape, widths[-1]))
        self.mean = LayerParam(jnp.zeros(widths[0]))
        self.layers = [Linear(a, b, bias) for a, b in itertools.pairwise(widths)]
        self.latents = [Vode() for _ in widths[:-1]]
        self.data = Vode(energy, output=True)

    def __call__(self, x: object = None, y: jax.Array | None = None) -> jax.Array:
        """Predict ONE sample from the latents.

        **Arguments:**

        - `x`: nothing; a batch is `(None, data)`.
        - `y`: the sample to clamp the data to, of `shape`; None leaves them as they are.

        **Returns:** the prediction, of `shape`.

        **Raises:** `ValueError` for an input.
        """
        check_no_input("GenerativeHierarchy", x)
        h: Any = self.latents[0](self.mean.get())
        for layer, vode in zip(self.layers[:-1], self.latents[1:], strict=True):
            h = vode(layer(self.act(h)))
        self.data(self.layers[-1](self.act(h)).reshape(self.shape.get()))
        if y is not None:
            self.data.set("h", y)
        return self.data.get("u")
