"""Convolutions."""

from __future__ import annotations

from typing import Any, ClassVar

import equinox as eqx
from jax.typing import DTypeLike

from ..core import RKG, RandomKeyGenerator, Whole
from ._layer import Layer
from ._sizes import Padding, Size, checked_axes, checked_groups, one_of, paddings, sizes


class Conv(Layer):
    """Convolution, from `[in_channels, d_1, ..., d_N]` to `[out_channels, e_1, ..., e_N]`.

    `nn.weight` is `[out_channels, in_channels / groups, k_1, ..., k_N]`, `nn.bias` is `[out_channels, 1, ..., 1]`.

    **Arguments:**

    - `num_spatial_dims`: the number `N` of spatial axes.
    - `in_channels`, `out_channels`: the numbers of channels.
    - `kernel_size`, `stride`, `dilation`: one integer for all spatial axes, or one for each.
    - `padding`: one integer for all spatial axes, one or a pair (before, after) for each, `"VALID"`, `"SAME"` or
        `"SAME_LOWER"`.
    - `groups`: into how many independent groups the input channels are divided.
    - `use_bias`: whether there is a bias.
    - `padding_mode`: what is padded with: `"ZEROS"`, `"REFLECT"`, `"REPLICATE"` or `"CIRCULAR"`.
    - `dtype`: of weight and bias; JAX's default float if left out.
    - `rkg`: where the key of the initialisation comes from.
    - `kwargs`: passed on to `equinox.nn.Conv`.

    **Raises:** `ValueError` for sizes that are no whole numbers of 1 or more, if `groups` doesn't divide the channels,
    or for an unknown padding mode.
    """

    def __init__(
        self,
        num_spatial_dims: Whole,
        in_channels: Whole,
        out_channels: Whole,
        kernel_size: Size,
        stride: Size = 1,
        padding: Padding = 0,
        dilation: Size = 1,
        groups: Whole = 1,
        use_bias: bool = True,
        padding_mode: str = "ZEROS",
        dtype: DTypeLike | None = None,
        *,
        rkg: RandomKeyGenerator = RKG,
        **kwargs: Any,
    ):
        call = type(self).__name__
        axes, channels = checked_axes(call, num_spatial_dims, in_channels, out_channels)
        kernel, step = (sizes(call, *each, axes) for each in (("kernel_size", kernel_size), ("stride", stride)))
        pad, spread = paddings(call, padding, axes), sizes(call, "dilation", dilation, axes)
        mode = one_of(call, "padding_mode", padding_mode, ("ZEROS", "REFLECT", "REPLICATE", "CIRCULAR"))
        form = (checked_groups(call, groups, channels), use_bias, mode, dtype)
        super().__init__(eqx.nn.Conv, axes, *channels, kernel, step, pad, spread, *form, key=rkg(), **kwargs)


class _ConvOver(Conv):
    """`Conv` over as many spatial axes as the class says."""

    _axes: ClassVar[int]

    def __init__(
        self,
        in_channels: Whole,
        out_channels: Whole,
        kernel_size: Size,
        stride: Size = 1,
        padding: Padding = 0,
        dilation: Size = 1,
        groups: Whole = 1,
        use_bias: bool = True,
        padding_mode: str = "ZEROS",
        dtype: DTypeLike | None = None,
        *,
        rkg: RandomKeyGenerator = RKG,
        **kwargs: Any,
    ):
        sizes = (kernel_size, stride, padding, dilation)
        form = (groups, use_bias, padding_mode, dtype)
        super().__init__(self._axes, in_channels, out_channels, *sizes, *form, rkg=rkg, **kwargs)


class Conv1d(_ConvOver):
    """`Conv` with one spatial axis, from `[in_channels, d_1]` to `[out_channels, e_1]`.

    **Arguments:**

    - `in_channels`, `out_channels`, `kernel_size`, `stride`, `padding`, `dilation`, `groups`, `use_bias`,
        `padding_mode`, `dtype`, `rkg`, `kwargs`: see `Conv`.

    **Raises:** `ValueError` as `Conv`.
    """

    _axes = 1


class Conv2d(_ConvOver):
    """`Conv` with two spatial axes, from `[in_channels, d_1, d_2]` to `[out_channels, e_1, e_2]`.

    **Arguments:**

    - `in_channels`, `out_channels`, `kernel_size`, `stride`, `padding`, `dilation`, `groups`, `use_bias`,
        `padding_mode`, `dtype`, `rkg`, `kwargs`: see `Conv`.

    **Raises:** `ValueError` as `Conv`.
    """

    _axes = 2


class Conv3d(_ConvOver):
    """`Conv` with three spatial axes, from `[in_channels, d_1, d_2, d_3]` to `[out_channels, e_1, e_2, e_3]`.

    **Arguments:**

    - `in_channels`, `out_channels`, `kernel_size`, `stride`, `padding`, `dilation`, `groups`, `use_bias`,
        `padding_mode`, `dtype`, `rkg`, `kwargs`: see `Conv`.

    **Raises:** `ValueError` as `Conv`.
    """

    _axes = 3
