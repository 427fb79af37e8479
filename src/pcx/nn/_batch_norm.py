"""Batch normalisation."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Any, Literal

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import DTypeLike

from ..core import Whole, not_negative, whole
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

    def __call__(
        self,
        x: jax.Array | np.ndarray,
        state: eqx.nn.State,
        *,
        key: jax.Array | None = None,
        inference: bool | None = None,
    ) -> tuple[jax.Array, eqx.nn.State]:
        x = jnp.asarray(x)
        if not jnp.issubdtype(x.dtype, jnp.floating) or jnp.finfo(x.dtype).bits >= 32:
            return self._normalised(x, state, self.inference if inference is None else inference)
        # Means over a batch of 16-bit numbers are taken in the dtype of the running ones, as Equinox's other norms do.
        index: Any = self.ema_state_index if self.batch_state_index is None else self.batch_state_index
        wide = x.astype(jnp.promote_types(x.dtype, state.get(index)[0].dtype))
        out, state = self._normalised(wide, state, self.inference if inference is None else inference)
        return out.astype(x.dtype), state

    def _normalised(self, x: jax.Array, state: eqx.nn.State, inference: bool) -> tuple[jax.Array, eqx.nn.State]:
        if not inference or self.batch_state_index is None or self.batch_counter is None:
            return super().__call__(x, state, inference=inference)
        mean, var = state.get(self.batch_state_index)
        at_first = state.get(self.batch_counter) == 0
        state = state.set(self.batch_state_index, (mean, jnp.where(at_first, 1, var)))
        out, state = super().__call__(x, state, inference=True)
        return out, state.set(self.batch_state_index, (mean, var))


class BatchNorm(StatefulLayer):
    """Batch normalisation, `(x - mean) / sqrt(var + eps) * weight + bias` for each channel of
    `[input_size, d_1, ..., d_N]`, with mean and variance over the batch and the spatial axes.

    A training call moves the running mean and (biased) variance, `running = momentum * running + (1 - momentum) *
    batch`, and must be inside a vmap whose batch axis has the name `axis_name`. An evaluation call uses the running
    ones. What a training call itself uses is a matter of `mode`:

    - `"ema"`: the running values, once they have moved. The first training call makes them those of its batch. Before
        it, they are 0 and 1.
    - `"batch"`: those of the batch. The running values start from zero, and evaluation divides them by `1 - momentum^n`
        after n training calls (as Adam's moments are), which makes them a weighted mean of what the batches had; before
        the first training call they are 0 and 1.

    Source: Ioffe & Szegedy, "Batch normalization", 2015, arXiv 1502.03167.

    `momentum` is the weight of the OLD running value, as in Equinox: 0.1 keeps 10% of it. (In PyTorch it is the weight
    of the new batch.)

    **Arguments:**

    - `input_size`: the number of channels.
    - `axis_name`: the name of the batch axis, or several names.
    - `eps`: added to the variance.
    - `channelwise_affine`: whether there are weight (at first 1) and bias (at first 0), both `[input_size]`.
    - `momentum`: the weight of the old value in the running mean and variance, in `[0, 1)`.
    - `inference`: True starts it in evaluation, as if `eval()` had been called.
    - `dtype`: of weight, bias and running values; JAX's default float if left out.
    - `mode`: `"ema"` or `"batch"`, as described above.
    - `kwargs`: passed on to `equinox.nn.BatchNorm`.

    **Raises:** `ValueError` for a size that is no whole number of 1 or more, a negative eps, a momentum outside
    `[0, 1)` or an unknown mode; `NameError` in a training call if no
    surrounding vmap has an axis of that name.
    """

    def __init__(
        self,
        input_size: Whole,
        axis_name: Hashable | Sequence[Hashable],
        eps: float = 1e-5,
        channelwise_affine: bool = True,
        momentum: float = 0.1,
        inference: bool = False,
        dtype: DTypeLike | None = None,
        *,
        mode: Literal["ema", "batch"] = "ema",
        **kwargs: Any,
    ):
        input_size = whole("BatchNorm", "input_size", input_size, 1)
        not_negative("BatchNorm", "eps", eps)
        if not 0 <= momentum < 1:
            raise ValueError(f"BatchNorm: momentum is the weight of the old value, in [0, 1); got {momentum}")
        super().__init__(
            _BatchNorm,
            input_size,
            axis_name,
            eps,
            channelwise_affine,
            momentum,
            inference,
            dtype,
            mode=mode,
            **kwargs,
        )
