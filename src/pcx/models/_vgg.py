"""VGG networks of the benchmark of predictive coding."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import jax

from ..core import static
from ..nn import Conv2d, Linear, MaxPool2d
from ..predictive_coding import EnergyFn, EnergyModule, Vode, se_energy


class VGG(EnergyModule):
    """3x3 convolutions, each followed by its activation, by 2x2 max pooling where `pools` says so, and by a value node;
    then one linear layer.

    Source: Pinchetti et al., "Benchmarking predictive coding networks -- made simple", 2024, arXiv 2407.01163.

    **Arguments:**

    - `channels`: the channels of each convolution.
    - `pools`: whether each is followed by pooling.
    - `padding`: the padding of each.
    - `shape`: of one sample, `(channels, height, width)`.
    - `classes`: size of the output.
    - `act`: the activation function.
    - `energy`: the energy of the output node.

    **Raises:** `ValueError` for lists of different lengths, or samples of which nothing is left.
    """

    def __init__(
        self,
        channels: Sequence[int],
        pools: Sequence[bool],
        padding: Sequence[int],
        shape: tuple[int, int, int] = (3, 32, 32),
        classes: int = 10,
        act: Callable[[jax.Array], jax.Array] = jax.nn.gelu,
        energy: EnergyFn = se_energy,
    ):
        super().__init__()
        if not len(channels) == len(pools) == len(padding):
            raise ValueError("VGG: channels, pools and padding must be of one length")
        self.act = static(act)
        self.pools = static(tuple(bool(p) for p in pools))
        self.pool = MaxPool2d(2, 2)
        depth, height, width = shape
        self.convs = []
        for out, pooled, pad in zip(channels, pools, padding, strict=True):
            self.convs.append(Conv2d(depth, out, 3, padding=pad))
            depth = out
            height, width = (side + 2 * pad - 2 for side in (height, width))
            if pooled:
                height, width = height // 2, width // 2
            if min(height, width) < 1:
                raise ValueError(
                    f"VGG: nothing is left of samples of shape {shape} after {len(self.convs)} convolutions"
                )
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

    **Arguments:**

    - `options`: those of `VGG` from `shape` on.

    **Returns:** a `VGG`.

    **Raises:** `ValueError` for samples of which nothing is left.
    """
    return VGG((128, 256, 512, 512), (True,) * 4, (1,) * 4, **options)


def vgg7(**options: Any) -> VGG:
    """Make a VGG-7: 128 pooled, 128, 256 pooled, 256 without padding, 512 pooled, 512 without padding.

    **Arguments:**

    - `options`: those of `VGG` from `shape` on.

    **Returns:** a `VGG`.

    **Raises:** `ValueError` for samples of which nothing is left.
    """
    return VGG((128, 128, 256, 256, 512, 512), (True, False, True, False, True, False), (1, 1, 1, 0, 1, 0), **options)
