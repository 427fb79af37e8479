"""Convolutions and transposed convolutions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import equinox as eqx

from ..core import RKG, RandomKeyGenerator
from ._layer import Layer

_Size = int | Sequence[int]
_Padding = str | int | Sequence[int] | Sequence[Sequence[int]]


def _tuple(x: Any) -> Any:
    # Equinox keeps these as constants of the layer, which must be hashable.
    return tuple([_tuple(v) for v in x]) if isinstance(x, (list, tuple)) else x


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

    **Raises:** `ValueError` if `groups` doesn't divide the channels, or for an unknown padding mode.
    """

    def __init__(
        self,
        num_spatial_dims: int,
        in_channels: int,
        out_channels: int,
        kernel_size: _Size,
        stride: _Size = 1,
        padding: _Padding = 0,
        dilation: _Size = 1,
        groups: int = 1,
        use_bias: bool = True,
        padding_mode: str = "ZEROS",
        dtype: Any = None,
        *,
        rkg: RandomKeyGenerator = RKG,
        **kwargs: Any,
    ):
        super().__init__(
            eqx.nn.Conv,
            num_spatial_dims,
            in_channels,
            out_channels,
            kernel_size=_tuple(kernel_size),
            stride=_tuple(stride),
            padding=_tuple(padding),
            dilation=_tuple(dilation),
            groups=groups,
            use_bias=use_bias,
            padding_mode=padding_mode,
            dtype=dtype,
            key=rkg(),
            **kwargs,
        )


class Conv1d(Conv):
    """`Conv` with one spatial axis."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: _Size,
        stride: _Size = 1,
        padding: _Padding = 0,
        dilation: _Size = 1,
        groups: int = 1,
        use_bias: bool = True,
        padding_mode: str = "ZEROS",
        dtype: Any = None,
        *,
        rkg: RandomKeyGenerator = RKG,
        **kwargs: Any,
    ):
        super().__init__(
            1,
            in_channels,
            out_channels,
            kernel_size,
            stride,
            padding,
            dilation,
            groups,
            use_bias,
            padding_mode,
            dtype,
            rkg=rkg,
            **kwargs,
        )


class Conv2d(Conv):
    """`Conv` with two spatial axes."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: _Size,
        stride: _Size = 1,
        padding: _Padding = 0,
        dilation: _Size = 1,
        groups: int = 1,
        use_bias: bool = True,
        padding_mode: str = "ZEROS",
        dtype: Any = None,
        *,
        rkg: RandomKeyGenerator = RKG,
        **kwargs: Any,
    ):
        super().__init__(
            2,
            in_channels,
            out_channels,
            kernel_size,
            stride,
            padding,
            dilation,
            groups,
            use_bias,
            padding_mode,
            dtype,
            rkg=rkg,
            **kwargs,
        )


class Conv3d(Conv):
    """`Conv` with three spatial axes."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: _Size,
        stride: _Size = 1,
        padding: _Padding = 0,
        dilation: _Size = 1,
        groups: int = 1,
        use_bias: bool = True,
        padding_mode: str = "ZEROS",
        dtype: Any = None,
        *,
        rkg: RandomKeyGenerator = RKG,
        **kwargs: Any,
    ):
        super().__init__(
            3,
            in_channels,
            out_channels,
            kernel_size,
            stride,
            padding,
            dilation,
            groups,
            use_bias,
            padding_mode,
            dtype,
            rkg=rkg,
            **kwargs,
        )


class ConvTranspose(Layer):
    """Transposed convolution, from `[in_channels, d_1, ..., d_N]` to `[out_channels, e_1, ..., e_N]`.

    The arguments are those of the convolution whose connections it has in the opposite direction, but for the
    channels, which are its own. `nn.weight` is `[out_channels, in_channels / groups, k_1, ..., k_N]`.

    **Arguments:**

    - `num_spatial_dims`, `in_channels`, `out_channels`, `kernel_size`, `stride`, `padding`, `dilation`, `groups`,
        `use_bias`, `dtype`, `rkg`: as in `Conv`.
    - `output_padding`: how much larger the output is made at its end, as several input sizes of a strided convolution
        have one output size. Smaller than the stride.
    - `padding_mode`: `"ZEROS"` or `"CIRCULAR"`.
    - `kwargs`: passed on to `equinox.nn.ConvTranspose`.

    **Raises:** `ValueError` if `groups` doesn't divide the channels, or for an output padding that is too large.
    """

    def __init__(
        self,
        num_spatial_dims: int,
        in_channels: int,
        out_channels: int,
        kernel_size: _Size,
        stride: _Size = 1,
        padding: _Padding = 0,
        output_padding: _Size = 0,
        dilation: _Size = 1,
        groups: int = 1,
        use_bias: bool = True,
        padding_mode: str = "ZEROS",
        dtype: Any = None,
        *,
        rkg: RandomKeyGenerator = RKG,
        **kwargs: Any,
    ):
        super().__init__(
            eqx.nn.ConvTranspose,
            num_spatial_dims,
            in_channels,
            out_channels,
            kernel_size=_tuple(kernel_size),
            stride=_tuple(stride),
            padding=_tuple(padding),
            output_padding=_tuple(output_padding),
            dilation=_tuple(dilation),
            groups=groups,
            use_bias=use_bias,
            padding_mode=padding_mode,
            dtype=dtype,
            key=rkg(),
            **kwargs,
        )


class ConvTranspose1d(ConvTranspose):
    """`ConvTranspose` with one spatial axis."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: _Size,
        stride: _Size = 1,
        padding: _Padding = 0,
        output_padding: _Size = 0,
        dilation: _Size = 1,
        groups: int = 1,
        use_bias: bool = True,
        padding_mode: str = "ZEROS",
        dtype: Any = None,
        *,
        rkg: RandomKeyGenerator = RKG,
        **kwargs: Any,
    ):
        super().__init__(
            1,
            in_channels,
            out_channels,
            kernel_size,
            stride,
            padding,
            output_padding,
            dilation,
            groups,
            use_bias,
            padding_mode,
            dtype,
            rkg=rkg,
            **kwargs,
        )


class ConvTranspose2d(ConvTranspose):
    """`ConvTranspose` with two spatial axes."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: _Size,
        stride: _Size = 1,
        padding: _Padding = 0,
        output_padding: _Size = 0,
        dilation: _Size = 1,
        groups: int = 1,
        use_bias: bool = True,
        padding_mode: str = "ZEROS",
        dtype: Any = None,
        *,
        rkg: RandomKeyGenerator = RKG,
        **kwargs: Any,
    ):
        super().__init__(
            2,
            in_channels,
            out_channels,
            kernel_size,
            stride,
            padding,
            output_padding,
            dilation,
            groups,
            use_bias,
            padding_mode,
            dtype,
            rkg=rkg,
            **kwargs,
        )


class ConvTranspose3d(ConvTranspose):
    """`ConvTranspose` with three spatial axes."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: _Size,
        stride: _Size = 1,
        padding: _Padding = 0,
        output_padding: _Size = 0,
        dilation: _Size = 1,
        groups: int = 1,
        use_bias: bool = True,
        padding_mode: str = "ZEROS",
        dtype: Any = None,
        *,
        rkg: RandomKeyGenerator = RKG,
        **kwargs: Any,
    ):
        super().__init__(
            3,
            in_channels,
            out_channels,
            kernel_size,
            stride,
            padding,
            output_padding,
            dilation,
            groups,
            use_bias,
            padding_mode,
            dtype,
            rkg=rkg,
            **kwargs,
        )
