"""Transposed convolutions."""

from __future__ import annotations

from typing import Any, ClassVar

import equinox as eqx
from jax.typing import DTypeLike

from ..core import RKG, RandomKeyGenerator, Whole
from ._layer import Layer
from ._sizes import Padding, Size, checked_axes, checked_groups, one_of, paddings, sizes


class ConvTranspose(Layer):
    """Transposed convolution, from `[in_channels, d_1, ..., d_N]` to `[out_channels, e_1, ..., e_N]`.

    The arguments are those of the convolution whose connections it has in the opposite direction, but for the
    channels, which are its own. `nn.weight` is `[out_channels, in_channels / groups, k_1, ..., k_N]`.

    **Arguments:**

    - `num_spatial_dims`, `in_channels`, `out_channels`, `kernel_size`, `stride`, `padding`: as in `Conv`.
    - `dilation`, `groups`, `use_bias`, `dtype`, `rkg`: as in `Conv`.
    - `output_padding`: how much larger the output is made at its end, as several input sizes of a strided convolution
        have one output size. Smaller than the stride.
    - `padding_mode`: `"ZEROS"` or `"CIRCULAR"`.
    - `kwargs`: passed on to `equinox.nn.ConvTranspose`.

    **Raises:** `ValueError` for sizes that are no whole numbers of 1 or more, if `groups` doesn't divide the channels,
    or for an output padding that is too large.
    """

    def __init__(
        self,
        num_spatial_dims: Whole,
        in_channels: Whole,
        out_channels: Whole,
        kernel_size: Size,
        stride: Size = 1,
        padding: Padding = 0,
        output_padding: Size = 0,
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
        beyond = sizes(call, "output_padding", output_padding, axes, 0)
        longer, strides = (n if isinstance(n, tuple) else (n,) * axes for n in (beyond, step))
        if any(b >= s for b, s in zip(longer, strides, strict=True)):
            raise ValueError(f"{call}: output_padding={output_padding} must be smaller than stride={stride}")
        mode = one_of(call, "padding_mode", padding_mode, ("ZEROS", "CIRCULAR"))
        form = (checked_groups(call, groups, channels), use_bias, mode, dtype)
        super().__init__(
            eqx.nn.ConvTranspose, axes, *channels, kernel, step, pad, beyond, spread, *form, key=rkg(), **kwargs
        )


class _ConvTransposeOver(ConvTranspose):
    """`ConvTranspose` over as many spatial axes as the class says."""

    _axes: ClassVar[int]

    def __init__(
        self,
        in_channels: Whole,
        out_channels: Whole,
        kernel_size: Size,
        stride: Size = 1,
        padding: Padding = 0,
        output_padding: Size = 0,
        dilation: Size = 1,
        groups: Whole = 1,
        use_bias: bool = True,
        padding_mode: str = "ZEROS",
        dtype: DTypeLike | None = None,
        *,
        rkg: RandomKeyGenerator = RKG,
        **kwargs: Any,
    ):
        sizes = (kernel_size, stride, padding, output_padding, dilation)
        form = (groups, use_bias, padding_mode, dtype)
        super().__init__(self._axes, in_channels, out_channels, *sizes, *form, rkg=rkg, **kwargs)


class ConvTranspose1d(_ConvTransposeOver):
    """`ConvTranspose` with one spatial axis, from `[in_channels, d_1]` to `[out_channels, e_1]`.

    **Arguments:**

    - `in_channels`, `out_channels`, `kernel_size`, `stride`, `padding`, `output_padding`, `dilation`, `groups`,
        `use_bias`, `padding_mode`, `dtype`, `rkg`, `kwargs`: see `ConvTranspose`.

    **Raises:** `ValueError` as `ConvTranspose`.
    """

    _axes = 1


class ConvTranspose2d(_ConvTransposeOver):
    """`ConvTranspose` with two spatial axes, from `[in_channels, d_1, d_2]` to `[out_channels, e_1, e_2]`.

    **Arguments:**

    - `in_channels`, `out_channels`, `kernel_size`, `stride`, `padding`, `output_padding`, `dilation`, `groups`,
        `use_bias`, `padding_mode`, `dtype`, `rkg`, `kwargs`: see `ConvTranspose`.

    **Raises:** `ValueError` as `ConvTranspose`.
    """

    _axes = 2


class ConvTranspose3d(_ConvTransposeOver):
    """`ConvTranspose` with three spatial axes, from `[in_channels, d_1, d_2, d_3]` to `[out_channels, e_1, e_2, e_3]`.

    **Arguments:**

    - `in_channels`, `out_channels`, `kernel_size`, `stride`, `padding`, `output_padding`, `dilation`, `groups`,
        `use_bias`, `padding_mode`, `dtype`, `rkg`, `kwargs`: see `ConvTranspose`.

    **Raises:** `ValueError` as `ConvTranspose`.
    """

    _axes = 3
