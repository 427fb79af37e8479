"""Linear layers."""

from __future__ import annotations

from typing import Any, Literal

import equinox as eqx

from ..core import RKG, RandomKeyGenerator, Whole, whole
from ._layer import Layer


class Linear(Layer):
    """A linear layer, `weight @ x + bias`, from `[in_features]` to `[out_features]`.

    `nn.weight` is `[out_features, in_features]`, `nn.bias` is `[out_features]`, both drawn uniformly from
    `(-1/sqrt(in_features), 1/sqrt(in_features))`.

    **Arguments:**

    - `in_features`, `out_features`: the sizes, or `"scalar"` for a value of shape `[]`.
    - `bias`: whether there is a bias.
    - `rkg`: where the key of the initialisation comes from.
    - `kwargs`: passed on to `equinox.nn.Linear` (`dtype`). Its `use_bias` is taken for `bias`.

    **Raises:** `ValueError` for sizes that are no whole numbers of 1 or more.
    """

    def __init__(
        self,
        in_features: Whole | Literal["scalar"],
        out_features: Whole | Literal["scalar"],
        bias: bool = True,
        *,
        rkg: RandomKeyGenerator = RKG,
        **kwargs: Any,
    ):
        bias = kwargs.pop("use_bias", bias)  # as Equinox and the convolutions call it
        given: dict[str, Any] = {"in_features": in_features, "out_features": out_features}
        ends = [n if n == "scalar" else whole("Linear", name, n, 1) for name, n in given.items()]
        super().__init__(eqx.nn.Linear, *ends, bias, key=rkg(), **kwargs)
