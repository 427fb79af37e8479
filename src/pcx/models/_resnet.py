"""Residual networks in their form for small images."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal

import jax
import jax.numpy as jnp

from ..core import Module, Whole, static, whole
from ..nn import BatchNorm, Conv2d, Linear
from ..predictive_coding import EnergyFn, EnergyModule, Vode, se_energy
from ._sizes import channels_of, image_of

Skips = Literal["levelled", "plain"]
Norm = Literal["batch"] | None
Act = Callable[[jax.Array], jax.Array]


class _Conv(Module):
    """A convolution, normalised over the batch or with a bias."""

    def __init__(self, inputs: int, outputs: int, size: int, stride: int, norm: Norm):
        super().__init__()
        self.conv = Conv2d(inputs, outputs, size, stride, size // 2, use_bias=norm is None)
        # As in the literature, a tenth of what is kept is of the newest batch.
        self.norm = None if norm is None else BatchNorm(outputs, "batch", momentum=0.9, mode="batch")

    def __call__(self, x: jax.Array) -> jax.Array:
        u = self.conv(x)
        return u if self.norm is None else self.norm(u)


class _Block(EnergyModule):
    """Two convolutions beside a skip."""

    def __init__(self, inputs: int, outputs: int, stride: int, act: Act, skips: Skips, norm: Norm):
        super().__init__()
        self.act = static(act)
        self.convs = [_Conv(inputs, outputs, 3, stride, norm), _Conv(outputs, outputs, 3, 1, norm)]
        same = inputs == outputs and stride == 1
        self.projection = None if same else _Conv(inputs, outputs, 1, stride, norm)
        self.inner = Vode()
        self.skip = Vode() if skips == "levelled" else None
        self.out = Vode()

    def __call__(self, h: jax.Array) -> jax.Array:
        inner = self.inner(self.act(self.convs[0](h)))
        past = h if self.projection is None else self.projection(h)
        if self.skip is not None:
            past = self.skip(past)
        return self.out(self.act(self.convs[1](inner) + past))


class ResNet(EnergyModule):
    """A residual network: a 3x3 convolution; stages of blocks of two 3x3 convolutions, each beside a skip; the mean
    over the image; and a linear layer. The first block of every stage but the first halves height and width. Where a
    block changes the shape, its skip is a 1x1 convolution, otherwise it is the identity.

    That is the usual form for CIFAR: the published one begins with a window of 7x7 that moves by 2, and with pooling.

    With `skips="levelled"` what passes by has a value node of its own, so that all ways from a node to the output have
    the same number of nodes. Errors of both ways then meet at the same step, and Z-IL is backpropagation. With
    `skips="plain"` a value is read one node further on, as residual networks are usually turned into predictive coding
    networks; Z-IL then needs `level=True`.

    Nodes: `first`, after the first convolution and its activation; of each block `inner`, after the first convolution
    and its activation, `skip`, what passes by, and `out`, after the sum and its activation, all
    `[channels, height, width]`; `output`, `[classes]`.

    Source: He, Zhang, Ren & Sun, "Deep residual learning for image recognition", 2015, arXiv 1512.03385. With
    predictive coding: Salvatori et al., 2021, arXiv 2103.04689 (Z-IL); Goemaere et al., 2025, arXiv 2505.20137 (ePC).

    **Arguments:**

    - `blocks`: the number of blocks of each stage.
    - `channels`: the channels of each stage.
    - `shape`: of one sample, `(channels, height, width)`.
    - `classes`: size of the output.
    - `act`: the activation function.
    - `energy`: the energy of the output node.
    - `skips`: `"levelled"` or `"plain"`.
    - `norm`: `"batch"`, for batch normalisation of every convolution; the samples of a batch then have a part in each
        other's predictions. None for biases in its place.

    **Raises:** `ValueError` for sizes that are no whole numbers of 1 or more, other than one number of channels for
    each stage, or unknown `skips` or `norm`.
    """

    def __init__(
        self,
        blocks: Sequence[Whole] = (2, 2, 2, 2),
        channels: Sequence[Whole] = (64, 128, 256, 512),
        shape: Sequence[Whole] = (3, 32, 32),
        classes: Whole = 10,
        act: Act = jax.nn.relu,
        energy: EnergyFn = se_energy,
        skips: Skips = "levelled",
        norm: Norm = "batch",
    ):
        super().__init__()
        if skips not in ("levelled", "plain"):
            raise ValueError(f'ResNet: skips must be "levelled" or "plain", got {skips!r}')
        if norm not in ("batch", None):
            raise ValueError(f'ResNet: norm must be "batch" or None, got {norm!r}')
        counts = [whole("ResNet", "blocks", n, 1) for n in blocks]
        depths = channels_of("ResNet", channels, len(counts))
        inputs, _, _ = image_of("ResNet", shape)
        self.act = static(act)
        self.stem = _Conv(inputs, depths[0], 3, 1, norm)
        self.first = Vode()
        self.blocks = []
        before = depths[0]
        for stage, (depth, count) in enumerate(zip(depths, counts, strict=True)):
            for i in range(count):
                self.blocks.append(_Block(before, depth, 2 if stage and not i else 1, act, skips, norm))
                before = depth
        self.linear = Linear(depths[-1], whole("ResNet", "classes", classes, 1))
        self.output = Vode(energy, output=True)

    def __call__(self, x: jax.Array, y: jax.Array | None = None) -> jax.Array:
        """Predict the output of ONE sample.

        **Arguments:**

        - `x`: the sample, `[channels, height, width]`.
        - `y`: the value to clamp the output to, `[classes]`; None leaves it as it is.

        **Returns:** the prediction, `[classes]`.
        """
        h: Any = self.first(self.act(self.stem(x)))
        for block in self.blocks:
            h = block(h)
        self.output(self.linear(jnp.mean(h, axis=(1, 2))))
        if y is not None:
            self.output.set("h", y)
        return self.output.get("u")


def resnet18(**options: Any) -> ResNet:
    """Make a ResNet-18: four stages of two blocks, with 64, 128, 256 and 512 channels.

    For CIFAR-10 it has 26 value nodes, or 18 with plain skips, and 11,173,962 weights, or 11,169,162 without
    normalisation.

    **Arguments:**

    - `options`: those of `ResNet` from `shape` on.

    **Returns:** a `ResNet`.

    **Raises:** `ValueError` for unknown `skips` or `norm`.
    """
    return ResNet(**options)
