"""Pooling."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike

from ..core import Whole, whole
from ._layer import Layer
from ._sizes import Padding, Size, paddings, sizes
from ._windows import largest


def _nothing(x: object) -> bool:
    # Pooling has nothing to learn, even where its initial value is given as an array.
    return False


def _windows(call: str, kernel_size: Size, stride: Size, padding: Padding, axes: int) -> tuple[Any, ...]:
    """Return the windows' sizes, how far apart they are, and what is added at the edges."""
    if isinstance(padding, str):
        raise ValueError(f"{call}: padding must be of whole numbers, got {padding!r}")
    step = sizes(call, "stride", stride, axes)
    return sizes(call, "kernel_size", kernel_size, axes), step, paddings(call, padding, axes)


class Pool(Layer):
    """Pooling: the reduction of every window of `[channels, d_1, ..., d_N]` to one value,
    giving `[channels, e_1, ..., e_N]`.

    **Arguments:**

    - `init`: the value each reduction starts from.
    - `operation`: the reduction of two values to one, such as `jax.lax.add`.
    - `num_spatial_dims`: the number `N` of spatial axes.
    - `kernel_size`, `stride`: one integer for all spatial axes, or one for each.
    - `padding`: one integer for all spatial axes, or one or a pair (before, after) for each.
    - `use_ceil`: whether a window that is cut off at the end counts.
    - `kwargs`: passed on to `equinox.nn.Pool`.
    """

    def __init__(
        self,
        init: ArrayLike,
        operation: Callable[[jax.Array, jax.Array], jax.Array],
        num_spatial_dims: Whole,
        kernel_size: Size,
        stride: Size = 1,
        padding: Padding = 0,
        use_ceil: bool = False,
        **kwargs: object,
    ):
        axes = whole("Pool", "num_spatial_dims", num_spatial_dims, 1)
        windows = _windows("Pool", kernel_size, stride, padding, axes)
        super().__init__(eqx.nn.Pool, init, operation, axes, *windows, use_ceil, filter=_nothing, **kwargs)


class _MaxPool2d(eqx.nn.MaxPool2d):
    """Equinox's layer, whose gradient costs less where windows lie side by side."""

    def __call__(self, x: jax.Array | np.ndarray, *, key: jax.Array | None = None) -> jax.Array:
        padded = any(n for pair in self.padding for n in pair)
        if x.ndim != 3 or self.kernel_size != self.stride or padded or self.use_ceil:
            return super().__call__(jnp.asarray(x), key=key)
        return jnp.moveaxis(largest(jnp.moveaxis(x, 0, -1), tuple(self.kernel_size)), -1, 0)


class MaxPool2d(Layer):
    """The largest value of every window, from `[channels, d_1, d_2]` to `[channels, e_1, e_2]`. Of equal values in a
    window the first one has the gradient.

    **Arguments:**

    - `kernel_size`, `stride`, `padding`, `use_ceil`: see `Pool`.
    """

    def __init__(self, kernel_size: Size, stride: Size = 1, padding: Padding = 0, use_ceil: bool = False):
        windows = _windows("MaxPool2d", kernel_size, stride, padding, 2)
        super().__init__(_MaxPool2d, *windows, use_ceil, filter=_nothing)


class AvgPool2d(Layer):
    """The mean of every window, padding counted as zeros, from `[channels, d_1, d_2]` to `[channels, e_1, e_2]`.

    **Arguments:**

    - `kernel_size`, `stride`, `padding`, `use_ceil`: see `Pool`.
    """

    def __init__(self, kernel_size: Size, stride: Size = 1, padding: Padding = 0, use_ceil: bool = False):
        windows = _windows("AvgPool2d", kernel_size, stride, padding, 2)
        super().__init__(eqx.nn.AvgPool2d, *windows, use_ceil, filter=_nothing)


class AdaptivePool(Layer):
    """Pooling to a given shape: each spatial axis of `[channels, d_1, ..., d_N]` is divided into as many parts as asked
    for, and each part is reduced.

    **Arguments:**

    - `target_shape`: the number of parts, one integer for all spatial axes or one for each.
    - `num_spatial_dims`: the number `N` of spatial axes.
    - `operation`: the reduction of a vector to a scalar, applied along one axis after the other.

    **Raises:** `ValueError` if `target_shape` doesn't have `N` entries.
    """

    def __init__(self, target_shape: Size, num_spatial_dims: Whole, operation: Callable[[jax.Array], jax.Array]):
        axes = whole("AdaptivePool", "num_spatial_dims", num_spatial_dims, 1)
        parts = sizes("AdaptivePool", "target_shape", target_shape, axes)
        super().__init__(eqx.nn.AdaptivePool, parts, axes, operation, filter=_nothing)


class AdaptiveAvgPool2d(Layer):
    """Means over an even division of the image, from `[channels, d_1, d_2]` to `[channels, *target_shape]`.

    **Arguments:**

    - `target_shape`: one integer for both axes, or a pair.
    """

    def __init__(self, target_shape: Size):
        parts = sizes("AdaptiveAvgPool2d", "target_shape", target_shape, 2)
        super().__init__(eqx.nn.AdaptiveAvgPool2d, parts, filter=_nothing)


class AdaptiveMaxPool2d(Layer):
    """Maxima over an even division of the image, from `[channels, d_1, d_2]` to `[channels, *target_shape]`.

    **Arguments:**

    - `target_shape`: one integer for both axes, or a pair.
    """

    def __init__(self, target_shape: Size):
        parts = sizes("AdaptiveMaxPool2d", "target_shape", target_shape, 2)
        super().__init__(eqx.nn.AdaptiveMaxPool2d, parts, filter=_nothing)
