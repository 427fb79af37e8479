"""Batch normalisation."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Any, Literal

import equinox as eqx
import jax.numpy as jnp

from ._stateful import StatefulLayer


class _BatchNorm(eqx.nn.BatchNorm):
    # Equinox (0.13.0 to 0.13.8) starts the running variance of mode "batch" at one but corrects it as if from zero:
    # it reports (1 - m^n) * var + m^n, divided by 1 - m^n. So it starts at zero here, and the one that is used before
    # the first training call is put in when it is read.

    def __init__(self, *args: Any, **kwargs: Any):
        super().__init__(*args, **kwargs)
        index: Any = self.batch_state_index
        if index is not None:
            mean, var = index.init
            self.batch_state_index = eqx.nn.StateIndex((mean, jnp.zeros_like(var)))

    def __call__(self, x: Any, state: eqx.nn.State, *, key: Any = None, inference: bool | None = None) -> Any:
        if inference is None:
            inference = self.inference
        if not inference or self.batch_state_index is None or self.batch_counter is None:
            return super().__call__(x, state, inference=inference)
        mean, var = state.get(self.batch_state_index)
        at_first = state.get(self.batch_counter) == 0
        state = state.set(self.batch_state_index, (mean, jnp.where(at_first, 1, var)))
        out, state = super().__call__(x, state, inference=True)
        return out, state.set(self.batch_state_index, (mean, var))


class BatchNorm(StatefulLayer):
    """`(x - mean) / sqrt(var + eps) * weight + bias` for each channel of `[input_size, d_1, ..., d_N]`, with mean and
    variance over the batch and the spatial axes.

    In training, mean and (biased) variance are those of the batch, and the running ones move towards them:
    `running = (1 - momentum) * running + momentum * batch`, from zero. In evaluation the running ones are used, divided
    by `1 - (1 - momentum)^n` after n training calls (as Adam's moments are), which makes them a weighted mean of what
    the batches had; before the first training call they are 0 and 1. A training call must be inside a vmap whose
    batch axis has the name `axis_name`.

    `momentum` is the weight of the NEW batch, as in PyTorch. Equinox's own `momentum` is the weight of the old value,
    `1 - momentum`.

    **Arguments:**

    - `input_size`: the number of channels.
    - `axis_name`: the name of the batch axis, or several names.
    - `eps`: added to the variance.
    - `channelwise_affine`: whether there are weight (at first 1) and bias (at first 0), both `[input_size]`.
    - `momentum`: the weight of the new batch in the running mean and variance, in `(0, 1)`.
    - `inference`: True starts it in evaluation, as if `eval()` had been called.
    - `dtype`: of weight, bias and running values; JAX's default float if left out.
    - `mode`: `"batch"`, described above; or Equinox's `"ema"`, which normalises with the running values in training too
        (the first call takes those of the batch) and doesn't correct them.
    - `kwargs`: passed on to `equinox.nn.BatchNorm`.

    **Raises:** `ValueError` for a momentum outside `(0, 1)` or an unknown mode; `NameError` in a training call if no
    surrounding vmap has an axis of that name.
    """

    def __init__(
        self,
        input_size: int,
        axis_name: Hashable | Sequence[Hashable],
        eps: float = 1e-5,
        channelwise_affine: bool = True,
        momentum: float = 0.1,
        inference: bool = False,
        dtype: Any = None,
        *,
        mode: Literal["batch", "ema"] = "batch",
        **kwargs: Any,
    ):
        if not 0 < momentum < 1:
            raise ValueError(f"BatchNorm: momentum is the weight of the new batch, in (0, 1); got {momentum}")
        super().__init__(
            _BatchNorm,
            input_size,
            axis_name,
            eps,
            channelwise_affine,
            1 - momentum,
            inference,
            dtype,
            mode=mode,
            **kwargs,
        )
