"""Multilayer perceptrons."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import Any

import jax

from ..core import Whole, static
from ..nn import Linear
from ..predictive_coding import EnergyFn, EnergyModule, Vode, se_energy
from ._sizes import widths_of


class MLP(EnergyModule):
    """A multilayer perceptron: a value node after each layer and its activation, `h = vode(act(linear(h)))`; the last
    layer is linear, and its node is the output. The benchmark's is `MLP([784, 128, 128, 128, 10])`, with 4 value nodes
    and 134,794 weights.

    Nodes: `vodes[i]`, `[widths[i + 1]]`, of which the last is the output.

    Source: Pinchetti et al., "Benchmarking predictive coding networks -- made simple", 2024, arXiv 2407.01163.

    **Arguments:**

    - `widths`: the widths from the input to the output, two or more.
    - `act`: the activation function.
    - `energy`: the energy of the output node: `pxc.se_energy`, or `pxc.ce_energy` for classes.
    - `bias`: whether layers have a bias.

    **Raises:** `ValueError` for other widths.
    """

    def __init__(
        self,
        widths: Sequence[Whole],
        act: Callable[[jax.Array], jax.Array] = jax.nn.gelu,
        energy: EnergyFn = se_energy,
        bias: bool = True,
    ):
        super().__init__()
        widths = widths_of("MLP", widths, 2)
        self.act = static(act)
        self.layers = [Linear(a, b, bias) for a, b in itertools.pairwise(widths)]
        self.vodes = [Vode() for _ in widths[2:]] + [Vode(energy, output=True)]

    def __call__(self, x: jax.Array, y: jax.Array | None = None) -> jax.Array:
        """Predict the output of ONE sample.

        **Arguments:**

        - `x`: the sample, of any shape with `widths[0]` elements.
        - `y`: the value to clamp the output to, `[widths[-1]]`; None leaves it as it is.

        **Returns:** the prediction, `[widths[-1]]`.
        """
        h: Any = x.reshape(-1)
        for layer, vode in zip(self.layers[:-1], self.vodes[:-1], strict=True):
            h = vode(self.act(layer(h)))
        self.vodes[-1](self.layers[-1](h))
        if y is not None:
            self.vodes[-1].set("h", y)
        return self.vodes[-1].get("u")
