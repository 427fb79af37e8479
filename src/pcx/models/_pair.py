"""Pairs of networks over the same values, one in each direction."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp

from ..core import Whole, static
from ..nn import Linear
from ..predictive_coding import EnergyFn, EnergyModule, Vode, se_energy
from ._mlp import MLP
from ._sizes import shape_of, widths_of

Act = Callable[[jax.Array], jax.Array]


class _Recognition(MLP):
    """A multilayer perceptron whose last value settles like the others where it is a latent."""

    def __init__(self, widths: list[int], act: Act, energy: EnergyFn, bias: bool, latent: bool):
        super().__init__(widths, act, energy, bias)
        if latent:
            self.vodes[-1] = Vode(energy)


class _Generative(EnergyModule):
    """A multilayer perceptron from labels, or from a latent with a Gaussian prior, to the data."""

    def __init__(self, widths: list[int], act: Act, shape: tuple[int, ...], bias: bool, latent: bool):
        super().__init__()
        self.act, self.size, self.shape = static(act), static(widths[0]), static(shape)
        self.layers = [Linear(a, b, bias) for a, b in itertools.pairwise(widths)]
        self.latent = Vode() if latent else None
        self.vodes = [Vode() for _ in widths[1:-1]]
        self.data = Vode(output=True)

    def __call__(self, y: jax.Array | None) -> jax.Array:
        h: Any = y
        if self.latent is not None:
            h = self.latent(jnp.zeros(self.size.get()))
        for layer, vode in zip(self.layers[:-1], self.vodes, strict=True):
            h = vode(self.act(layer(h)))
        self.data(self.layers[-1](h).reshape(self.shape.get()))
        return self.data.get("u")


class Pair(EnergyModule):
    """A recognition network from data to labels or to a latent, and a generative one back, over the same hidden values:
    what `pxl.hybrid` (amortised PC) and `pxl.bpc` (bidirectional PC) learn. Both are multilayer perceptrons, with a
    value node after each layer and its activation; the last layer of each is linear.

    With labels, batches are `(x, y)`, y class numbers or vectors of `widths[-1]`: `rule.predict(model, x)` recognises,
    and `pxl.backprop(optim_w).predict(model.generative, labels)` draws what belongs to one-hot labels. With
    `latent=True`, batches are `(x, None)`: the last values of recognition are a latent, with a Gaussian around zero as
    its prior, that settles as the hidden ones do.

    Nodes: `recognition.vodes[i]`, `[widths[i + 1]]`; `generative.latent` if there is one; `generative.vodes[i]`, the
    same values in reverse order; `generative.data`, of `shape`. `Pair([784, 256, 256, 10])` has 6 value nodes and
    539,418 weights.

    Source: Tschantz et al., "Hybrid predictive coding: inferring, fast and slow", PLOS Computational Biology 19(8),
    2023; Oliviers, Tang & Bogacz, "Bidirectional predictive coding", 2025, arXiv 2505.23415.

    **Arguments:**

    - `widths`: from the data to the labels or the latent, two or more; three or more with labels, for hidden values.
    - `act`: the activation function of hidden layers.
    - `energy`: of what recognition predicts last.
    - `latent`: whether that is a latent, and no label that batches give.
    - `shape`: of one sample, with `widths[0]` elements; a vector if left out.
    - `bias`: whether layers have a bias.

    **Raises:** `ValueError` for other widths, or a shape of another size.
    """

    def __init__(
        self,
        widths: Sequence[Whole],
        act: Act = jnp.tanh,
        energy: EnergyFn = se_energy,
        latent: bool = False,
        shape: Sequence[Whole] | None = None,
        bias: bool = True,
    ):
        super().__init__()
        sizes = widths_of("Pair", widths, 2 if latent else 3)
        sides = shape_of("Pair", shape, sizes[0])
        self.recognition = _Recognition(sizes, act, energy, bias, latent)
        self.generative = _Generative(sizes[::-1], act, sides, bias, latent)
