"""A convolutional autoencoder, for backpropagation: what a `DeconvDecoder` is compared with."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

import jax

from ..core import static
from ..nn import Conv2d, ConvTranspose2d, Linear
from ..predictive_coding import EnergyModule, Vode


class Encoded(EnergyModule):
    """Convolutions, each of which halves height and width, and a linear layer to a latent; then the layers of a
    `DeconvDecoder`, the same in reverse. Only the output has a value node: it is for backpropagation.

    **Arguments:**

    - `latent`, `channels`, `shape`: as of `DeconvDecoder`.
    """

    def __init__(self, latent: int, channels: Sequence[int], shape: Sequence[int]) -> None:
        super().__init__()
        last, *sides = shape
        first = (channels[0], *[side // 2 ** len(channels) for side in sides])
        down = list(itertools.pairwise([*channels, last]))
        self.first = static(first)
        self.down = [Conv2d(b, a, 4, 2, 1) for a, b in reversed(down)]
        self.encode = Linear(math.prod(first), latent)
        self.decode = Linear(latent, math.prod(first))
        self.up = [ConvTranspose2d(a, b, 4, 2, 1) for a, b in down]
        self.image = Vode(output=True)

    def __call__(self, x: jax.Array) -> jax.Array:
        """Predict ONE image from itself.

        **Arguments:**

        - `x`: the image, `[channels, height, width]`.

        **Returns:** the prediction, of the same shape.
        """
        h = x
        for conv in self.down:
            h = jax.nn.gelu(conv(h))
        h = jax.nn.gelu(self.decode(self.encode(h.reshape(-1)))).reshape(self.first.get())
        for conv in self.up[:-1]:
            h = jax.nn.gelu(conv(h))
        return self.image(self.up[-1](h))
