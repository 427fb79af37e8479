"""AlexNet in its form for small images."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import Any

import jax

from ..core import Whole, static, whole
from ..nn import Conv2d, Linear, MaxPool2d
from ..predictive_coding import EnergyFn, EnergyModule, Vode, se_energy
from ._sizes import channels_of, image_of, is_left

_STRIDES = (2, 1, 1, 1, 1)
_POOLS = (True, True, False, False, True)


class AlexNet(EnergyModule):
    """Five convolutions and three linear layers, with a value node after each layer, its activation and its pooling.

    All convolutions are 3x3 with padding 1; the first moves by 2, and the first, the second and the last are followed
    by 2x2 max pooling. That is the usual form for CIFAR: the published one has windows of 11x11 that move by 4, for
    images of 224x224. There is no dropout.

    Nodes: `vodes[0]` to `vodes[4]`, `[channels, height, width]`; `vodes[5]` and on, `[hidden]`; the last one,
    `[classes]`, is the output.

    Source: Krizhevsky, Sutskever & Hinton, "ImageNet classification with deep convolutional neural networks", NeurIPS
    2012.

    **Arguments:**

    - `channels`: of the five convolutions.
    - `hidden`: the widths of the linear layers before the last.
    - `shape`: of one sample, `(channels, height, width)`.
    - `classes`: size of the output.
    - `act`: the activation function.
    - `energy`: the energy of the output node.

    **Raises:** `ValueError` for sizes that are no whole numbers of 1 or more, other than five channels, or samples of
    which nothing is left.
    """

    def __init__(
        self,
        channels: Sequence[Whole] = (64, 192, 384, 256, 256),
        hidden: Sequence[Whole] = (4096, 4096),
        shape: Sequence[Whole] = (3, 32, 32),
        classes: Whole = 10,
        act: Callable[[jax.Array], jax.Array] = jax.nn.relu,
        energy: EnergyFn = se_energy,
    ):
        super().__init__()
        depths = channels_of("AlexNet", channels, 5)
        depth, height, width = image_of("AlexNet", shape)
        between, ends = [whole("AlexNet", "hidden", n, 1) for n in hidden], whole("AlexNet", "classes", classes, 1)
        self.act = static(act)
        self.pool = MaxPool2d(2, 2)
        self.convs = []
        for out, stride, pooled in zip(depths, _STRIDES, _POOLS, strict=True):
            self.convs.append(Conv2d(depth, out, 3, stride, padding=1))
            depth = out
            height, width = [(side - 1) // stride + 1 for side in (height, width)]
            if pooled:
                height, width = height // 2, width // 2
            is_left("AlexNet", shape, (height, width), len(self.convs))
        widths = [depth * height * width, *between, ends]
        self.linears = [Linear(a, b) for a, b in itertools.pairwise(widths)]
        self.vodes = [Vode() for _ in (*depths, *between)] + [Vode(energy, output=True)]

    def __call__(self, x: jax.Array, y: jax.Array | None = None) -> jax.Array:
        """Predict the output of ONE sample.

        **Arguments:**

        - `x`: the sample, `[channels, height, width]`.
        - `y`: the value to clamp the output to, `[classes]`; None leaves it as it is.

        **Returns:** the prediction, `[classes]`.
        """
        h: Any = x
        for conv, pooled, vode in zip(self.convs, _POOLS, self.vodes[:5], strict=True):
            u = self.act(conv(h))
            h = vode(self.pool(u) if pooled else u)
        h = h.reshape(-1)
        for linear, vode in zip(self.linears[:-1], self.vodes[5:-1], strict=True):
            h = vode(self.act(linear(h)))
        self.vodes[-1](self.linears[-1](h))
        if y is not None:
            self.vodes[-1].set("h", y)
        return self.vodes[-1].get("u")


def alexnet(**options: Any) -> AlexNet:
    """Make the usual AlexNet: 64, 192, 384, 256 and 256 channels, and two layers of 4096 before the output.

    For CIFAR-10 it has 8 value nodes and 23,272,266 weights.

    **Arguments:**

    - `options`: those of `AlexNet` from `shape` on.

    **Returns:** an `AlexNet`.

    **Raises:** `ValueError` for samples of which nothing is left.
    """
    return AlexNet(**options)
