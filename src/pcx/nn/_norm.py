"""Normalisation of one sample."""

from __future__ import annotations

import warnings
from collections.abc import Sequence

import equinox as eqx
import jax
import jax.numpy as jnp
from jax.typing import ArrayLike, DTypeLike

from ..core import BaseParam, Whole, get, not_negative, static
from ._layer import Layer
from ._sizes import sizes


class LayerNorm(Layer):
    """Layer normalisation, `(x - mean(x)) / sqrt(var(x) + eps) * weight + bias` over all axes of one sample.

    Source: Ba, Kiros & Hinton, "Layer normalization", 2016, arXiv 1607.06450.

    **Arguments:**

    - `shape`: the shape of the sample, and of weight and bias. None takes samples of any shape, which is possible only
        without weight and bias.
    - `eps`: added to the (biased) variance.
    - `use_weight`, `use_bias`: whether there is a weight (at first 1), a bias (at first 0).
    - `dtype`: of weight and bias; JAX's default float if left out.
    - `elementwise_affine`: deprecated; sets both `use_weight` and `use_bias`.

    **Raises:** `ValueError` if there is a weight or bias and no shape, for sizes that are no whole numbers of 1 or
    more, or a negative eps; in the call, for a sample of another shape.
    """

    def __init__(
        self,
        shape: Whole | Sequence[Whole] | None = None,
        eps: float = 1e-5,
        use_weight: bool = True,
        use_bias: bool = True,
        dtype: DTypeLike | None = None,
        *,
        elementwise_affine: bool | None = None,
    ):
        if elementwise_affine is not None:
            warnings.warn(
                "LayerNorm(elementwise_affine=...) is deprecated: use `use_weight` and `use_bias`",
                DeprecationWarning,
                stacklevel=2,
            )
            use_weight = use_bias = elementwise_affine
        if shape is None and (use_weight or use_bias):
            raise ValueError(
                "LayerNorm: a weight or a bias needs the shape of the sample: give `shape`, or use_weight=False and "
                "use_bias=False"
            )
        sample = () if shape is None else sizes("LayerNorm", "shape", shape, None)
        not_negative("LayerNorm", "eps", eps)
        super().__init__(eqx.nn.LayerNorm, sample, eps, use_weight, use_bias, dtype)
        self.any_shape = static(shape is None)

    def __call__(self, x: ArrayLike | BaseParam, *, key: jax.Array | None = None) -> jax.Array:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Normalise ONE sample.

        **Arguments:**

        - `x`: the sample, of the layer's shape; of any shape if it has none.
        - `key`: ignored.

        **Returns:** of the shape of x.

        **Raises:** `ValueError` for a sample of another shape.
        """
        if not self.any_shape:
            return super().__call__(x)
        shape = jnp.shape(get(x))
        return eqx.nn.LayerNorm(shape, self.nn.eps, use_weight=False, use_bias=False)(get(x))
