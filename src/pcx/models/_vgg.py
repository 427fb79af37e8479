"""VGG networks of the benchmark of predictive coding."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import jax

from ..core import Whole, static, whole
from ..nn import Conv2d, Linear, MaxPool2d
from ..predictive_coding import EnergyFn, EnergyModule, Vode, se_energy
from ._sizes import channels_of, image_of, is_left


class VGG(EnergyModule):
    """3x3 convolutions, each followed by its activation, by 2x2 max pooling where `pools` says so, and by a value node;
    then one linear layer.

    Nodes: `vodes[i]`, `[channels, height, width]` after each convolution; the last one, `[classes]`, is the output.

    Source: Pinchetti et al., "Benchmarking predictive coding networks -- made simple", 2024, arXiv 2407.01163.

    **Arguments:**

    - `channels`: the channels of each convolution.
    - `pools`: whether each is followed by pooling.
    - `padding`: the padding of each.
    - `shape`: of one sample, `(channels, height, width)`.
    - `classes`: size of the output.
    - `act`: the activation function.
    - `energy`: the energy of the output node.

    **Raises:** `ValueError` for lists of different lengths, sizes that are no whole numbers, or samples of which
    nothing is left.
    """

    def __init__(
        self,
        channels: Sequence[Whole],
        pools: Sequence[bool],
        padding: Sequence[Whole],
        shape: Sequence[Whole] = (3, 32, 32),
        classes: Whole = 10,
        act: Callable[[jax.Array], jax.Array] = jax.nn.gelu,
        energy: EnergyFn = se_energy,
    ):
        super().__init__()
        if not len(channels) == len(pools) == len(padding):
            raise ValueError("VGG: channels, pools and padding must be of one length")
        channels, classes = channels_of("VGG", channels), whole("VGG", "classes", classes, 1)
        depth, height, width = image_of("VGG", shape)
        self.act = static(act)
        self.pools = static(tuple(bool(p) for p in pools))
        self.pool = MaxPool2d(2, 2)
        self.convs = []
        for out, pooled, each in zip(channels, pools, padding, strict=True):
            pad = whole("VGG", "padding", each, 0)
            self.convs.append(Conv2d(depth, out, 3, padding=pad))
            depth = out
            height, width = (side + 2 * pad - 2 for side in (height, width))
            if pooled:
                height, width = height // 2, width // 2
            is_left("VGG", shape, (height, width), len(self.convs))
        self.linear = Linear(depth * height * width, classes)
        self.vodes = [Vode() for _ in channels] + [Vode(energy, output=True)]

    def __call__(self, x: jax.Array, y: jax.Array | None = None) -> jax.Array:
        """Predict the output of ONE sample.

        **Arguments:**

        - `x`: the sample, `[channels, height, width]`.
        - `y`: the value to clamp the output to, `[classes]`; None leaves it as it is.

        **Returns:** the prediction, `[classes]`.
        """
        h: Any = x
        for conv, pooled, vode in zip(self.convs, self.pools.get(), self.vodes[:-1], strict=True):
            u = self.act(conv(h))
            h = vode(self.pool(u) if pooled else u)
        self.vodes[-1](self.linear(h.reshape(-1)))
        if y is not None:
            self.vodes[-1].set("h", y)
        return self.vodes[-1].get("u")


def vgg5(**options: Any) -> VGG:
    """Make a VGG-5: 128, 256, 512 and 512 channels, each pooled.

    For CIFAR-10 it has 5 value nodes and 3,859,210 weights.

    **Arguments:**

    - `options`: those of `VGG` from `shape` on.

    **Returns:** a `VGG`.

    **Raises:** `ValueError` for samples of which nothing is left.
    """
    return VGG((128, 256, 512, 512), (True,) * 4, (1,) * 4, **options)


def vgg7(**options: Any) -> VGG:
    """Make a VGG-7: 128 pooled, 128, 256 pooled, 256 without padding, 512 pooled, 512 without padding.

    For CIFAR-10 it has 7 value nodes and 4,581,514 weights.

    **Arguments:**

    - `options`: those of `VGG` from `shape` on.

    **Returns:** a `VGG`.

    **Raises:** `ValueError` for samples of which nothing is left.
    """
    return VGG((128, 128, 256, 256, 512, 512), (True, False, True, False, True, False), (1, 1, 1, 0, 1, 0), **options)


def vgg9(**options: Any) -> VGG:
    """Make a VGG-9: pairs of convolutions with 128, 256, 512 and 512 channels, padded, the first of each pair pooled.

    For CIFAR-10 it has 9 value nodes and 9,316,490 weights. The literature has several networks of this name; this one
    goes on as VGG-7 begins, with all images padded, so that a fourth pair finds something left.

    **Arguments:**

    - `options`: those of `VGG` from `shape` on.

    **Returns:** a `VGG`.

    **Raises:** `ValueError` for samples of which nothing is left.
    """
    return VGG((128, 128, 256, 256, 512, 512, 512, 512), (True, False) * 4, (1,) * 8, **options)
