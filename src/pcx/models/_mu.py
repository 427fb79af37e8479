"""Multilayer perceptrons in the parametrisation of muPC."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from typing import Any

import jax

from ..core import RKG, Whole, static
from ..nn import LayerParam
from ..predictive_coding import EnergyFn, EnergyModule, Vode, se_energy
from ._sizes import widths_of


class MuMLP(EnergyModule):
    """A multilayer perceptron in the parametrisation of muPC: weights from N(0, 1), scaled where they are used, so that
    learning rates carry over from width to width and from depth to depth. With width N, input width N_0 and L layers,

    `u_1 = N_0^(-1/2) W_1 x`, `u_l = h_(l-1) + (N L)^(-1/2) W_l act(h_(l-1))`, `u_L = N^(-1) W_L act(h_(L-1))`;

    without skips, `u_l = N^(-1/2) W_l act(h_(l-1))`. To be trained with Adam and about as many inference steps as there
    are hidden layers.

    Nodes: `vodes[i]`, `[widths[i + 1]]`, of which the last is the output. `MuMLP([784, *[128] * 127, 10])`, 128 layers
    deep, has 128 value nodes and 2,166,016 weights.

    Source: Innocenti et al., "muPC: scaling predictive coding to 100+ layer networks", 2025, arXiv 2505.13124.

    **Arguments:**

    - `widths`: the widths from the input to the output, three or more; hidden ones equal if there are skips.
    - `act`: the activation function.
    - `energy`: the energy of the output node.
    - `skips`: whether hidden layers add their input.

    **Raises:** `ValueError` for other widths.
    """

    def __init__(
        self,
        widths: Sequence[Whole],
        act: Callable[[jax.Array], jax.Array] = jax.nn.relu,
        energy: EnergyFn = se_energy,
        skips: bool = True,
    ):
        super().__init__()
        widths = widths_of("MuMLP", widths, 3)
        if skips and len(set(widths[1:-1])) > 1:
            raise ValueError(f"MuMLP: skips need hidden layers of one width, got {list(widths[1:-1])}")
        self.act = static(act)
        self.skips = static(skips)
        depth = len(widths) - 1
        hidden = [(a * depth if skips else a) ** -0.5 for a in widths[1:-2]]
        self.scales = static((widths[0] ** -0.5, *hidden, 1 / widths[-2]))
        self.weights = [LayerParam(jax.random.normal(RKG(), (b, a))) for a, b in itertools.pairwise(widths)]
        self.vodes = [Vode() for _ in widths[2:]] + [Vode(energy, output=True)]

    def __call__(self, x: jax.Array, y: jax.Array | None = None) -> jax.Array:
        """Predict the output of ONE sample.

        **Arguments:**

        - `x`: the sample, of any shape with `widths[0]` elements.
        - `y`: the value to clamp the output to, `[widths[-1]]`; None leaves it as it is.

        **Returns:** the prediction, `[widths[-1]]`.

        **Raises:** `ValueError` for a sample of another size.
        """
        x = x.reshape(-1)
        if x.size != math.prod(self.weights[0].shape[1:]):
            raise ValueError(f"MuMLP: a sample must have {self.weights[0].shape[1]} elements, got shape {x.shape}")
        scales = self.scales.get()
        h: Any = self.vodes[0](scales[0] * (self.weights[0].get() @ x))
        for weight, scale, vode in zip(self.weights[1:-1], scales[1:-1], self.vodes[1:-1], strict=True):
            u = scale * (weight.get() @ self.act(h))
            h = vode(h + u if self.skips.get() else u)
        self.vodes[-1](scales[-1] * (self.weights[-1].get() @ self.act(h)))
        if y is not None:
            self.vodes[-1].set("h", y)
        return self.vodes[-1].get("u")
