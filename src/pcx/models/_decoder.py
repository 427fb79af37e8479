"""Decoders: networks that predict images from latents, for autoencoding without an encoder."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from typing import Any, Literal

import jax
import jax.numpy as jnp

from ..core import Whole, static, whole
from ..nn import ConvTranspose2d, Linear
from ..predictive_coding import EnergyFn, EnergyModule, Vode, se_energy, zero_energy
from ._sizes import channels_of, image_of, shape_of, widths_of

Prior = Literal["flat", "normal"]
Act = Callable[[jax.Array], jax.Array]


class Decoder(EnergyModule):
    """A multilayer perceptron from a latent to an image. Nothing is given but the image, at which the output is
    clamped: the latent and the hidden values settle, and what they settle to is the code of the image. With two widths
    it is linear.

    Batches are `(None, images)`. A forward pass predicts the image of the latent zero, and says nothing of how well
    images are encoded. Their reconstruction is the prediction at the settled values, see docs/models.md; and images of
    which a part is missing are filled in by `rule.predict(decoder, None, settle=True, hold={"image": (known,
    images)})`.

    Nodes: `latent`, `[widths[0]]`; `vodes[i]`, `[widths[i + 1]]`, each after a layer and its activation; `image`, the
    output, of `shape`. The benchmark's autoencoder is `Decoder([64, 128, 128, 784])`, with 4 value nodes and 125,968
    weights.

    Source: Pinchetti et al., "Benchmarking predictive coding networks -- made simple", 2024, arXiv 2407.01163.

    **Arguments:**

    - `widths`: from the latent to the image, two or more.
    - `act`: the activation function of the hidden layers.
    - `energy`: the energy of the image.
    - `prior`: of the latent: `"flat"`, without an energy, or `"normal"`, a Gaussian around zero.
    - `shape`: of one image, with `widths[-1]` elements; a vector if left out.
    - `bias`: whether layers have a bias.

    **Raises:** `ValueError` for other widths, a shape of another size, or an unknown prior.
    """

    def __init__(
        self,
        widths: Sequence[Whole],
        act: Act = jax.nn.gelu,
        energy: EnergyFn = se_energy,
        prior: Prior = "flat",
        shape: Sequence[Whole] | None = None,
        bias: bool = True,
    ):
        super().__init__()
        widths = widths_of("Decoder", widths, 2)
        self.act, self.size = static(act), static(widths[0])
        self.shape = static(shape_of("Decoder", shape, widths[-1]))
        self.layers = [Linear(a, b, bias) for a, b in itertools.pairwise(widths)]
        self.latent = latent_of("Decoder", prior)
        self.vodes = [Vode() for _ in widths[1:-1]]
        self.image = Vode(energy, output=True)

    def __call__(self, x: object = None, y: jax.Array | None = None) -> jax.Array:
        """Predict ONE image from the latent.

        **Arguments:**

        - `x`: nothing; a batch is `(None, images)`.
        - `y`: the image to clamp the output to, of `shape`; None leaves it as it is.

        **Returns:** the prediction, of `shape`.

        **Raises:** `ValueError` for an input.
        """
        check_no_input("Decoder", x)
        h: Any = self.latent(jnp.zeros(self.size.get()))
        for layer, vode in zip(self.layers[:-1], self.vodes, strict=True):
            h = vode(self.act(layer(h)))
        self.image(self.layers[-1](h).reshape(self.shape.get()))
        if y is not None:
            self.image.set("h", y)
        return self.image.get("u")


class DeconvDecoder(EnergyModule):
    """Transposed convolutions from a latent to an image: a linear layer to a small image of many channels, then 4x4
    transposed convolutions, each of which doubles height and width. It is used as `Decoder` is.

    Nodes: `latent`, `[latent]`; `vodes[i]`, `[channels[i], height, width]`, each after a layer and its activation;
    `image`, the output, of `shape`. By default it has 5 value nodes and 298,595 weights.

    Source: Pinchetti et al., "Benchmarking predictive coding networks -- made simple", 2024, arXiv 2407.01163, decode
    images so by predictive coding; the form of the layers is that of Radford, Metz & Chintala, "Unsupervised
    representation learning with deep convolutional generative adversarial networks", 2015, arXiv 1511.06434.

    **Arguments:**

    - `latent`: the width of the latent.
    - `channels`: before each transposed convolution. With n of them, height and width of the image must be multiples of
        2^n.
    - `shape`: of one image, `(channels, height, width)`.
    - `act`, `energy`, `prior`: as in `Decoder`.

    **Raises:** `ValueError` for sizes that are no whole numbers of 1 or more, images that can't be halved so often, or
    an unknown prior.
    """

    def __init__(
        self,
        latent: Whole = 64,
        channels: Sequence[Whole] = (128, 64, 32),
        shape: Sequence[Whole] = (3, 32, 32),
        act: Act = jax.nn.gelu,
        energy: EnergyFn = se_energy,
        prior: Prior = "flat",
    ):
        super().__init__()
        size = whole("DeconvDecoder", "latent", latent, 1)
        depths = channels_of("DeconvDecoder", channels)
        last, *sides = image_of("DeconvDecoder", shape)
        times = 2 ** len(depths)
        if any(side % times for side in sides):
            raise ValueError(
                f"DeconvDecoder: {len(depths)} transposed convolutions double an image so often: height and width "
                f"must be multiples of {times}, got shape {tuple(shape)}"
            )
        first = (depths[0], *[side // times for side in sides])
        self.act, self.size, self.first = static(act), static(size), static(first)
        self.linear = Linear(size, math.prod(first))
        self.convs = [ConvTranspose2d(a, b, 4, 2, 1) for a, b in itertools.pairwise([*depths, last])]
        self.latent = latent_of("DeconvDecoder", prior)
        self.vodes = [Vode() for _ in depths]
        self.image = Vode(energy, output=True)

    def __call__(self, x: object = None, y: jax.Array | None = None) -> jax.Array:
        """Predict ONE image from the latent.

        **Arguments:**

        - `x`: nothing; a batch is `(None, images)`.
        - `y`: the image to clamp the output to, of `shape`; None leaves it as it is.

        **Returns:** the prediction, of `shape`.

        **Raises:** `ValueError` for an input.
        """
        check_no_input("DeconvDecoder", x)
        h: Any = self.latent(jnp.zeros(self.size.get()))
        h = self.vodes[0](self.act(self.linear(h)).reshape(self.first.get()))
        for conv, vode in zip(self.convs[:-1], self.vodes[1:], strict=True):
            h = vode(self.act(conv(h)))
        self.image(self.convs[-1](h))
        if y is not None:
            self.image.set("h", y)
        return self.image.get("u")


def latent_of(call: str, prior: Prior) -> Vode:
    """Return a value node for a latent.

    **Arguments:**

    - `call`: the model to name in errors.
    - `prior`: as it is given to it.

    **Raises:** `ValueError` for an unknown prior.
    """
    if prior not in ("flat", "normal"):
        raise ValueError(f'{call}: prior must be "flat" or "normal", got {prior!r}')
    return Vode(zero_energy if prior == "flat" else se_energy)


def check_no_input(call: str, x: object) -> None:
    """Refuse an input for a model that has none.

    **Raises:** `ValueError`.
    """
    if x is not None:
        raise ValueError(f"{call}: nothing is predicted from an input: give batches (None, images)")
