"""The size of values at a forward pass of new weights, by theory and as measured."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.typing import ArrayLike
from jaxtyping import Float

from ..energy import Bound
from ..models import MLP, MuMLP
from ._networks import check_bound

_Z, _W = np.polynomial.hermite_e.hermegauss(127)
_POINTS, _WEIGHTS = _Z, _W / np.sqrt(2 * np.pi)
STEPS = 200
"""Steps of the limit of infinite depth."""


def activity(bound: Bound) -> dict[str, Float[Array, ""]]:
    """Return the mean square of each node's prediction at a forward pass, over its elements and the batch.

    **Arguments:**

    - `bound`: a network and a batch, from `pxl.bind`; `jax.vmap` takes it over the weights of several networks,
        `lambda weights: pxa.activity(bound.at(weights))`.

    **Returns:** `{node: mean square}`, of the nodes that have a prediction.

    **Raises:** `TypeError` for what is no bound network.
    """
    check_bound("activity", bound)
    u = bound.start(effects=False).u
    found = {n: u[n] for n in bound.problem.nodes}
    return {n: jnp.mean(jnp.square(a)) for n, a in found.items() if a is not None}


def expected_activity(model: MLP | MuMLP, x: Float[ArrayLike, "batch ..."]) -> dict[str, Float[Array, ""]]:
    """Return what `activity` is in expectation over new weights, in the limit of wide layers: sums over many inputs are
    normally distributed, and each layer's mean square follows from that of the one before.

    With q the mean square of a layer's values and `f(q)` that of `act(sqrt(q) z)`, z normal:

    - `pxm.MLP`, width n below: `(q + 1 / n) / 3` before the activation, or `q / 3` without biases; weights and biases
      are drawn uniformly from +-1/sqrt(n).
    - `pxm.MuMLP` with L layers of width N: `|x|^2 / N_0` in the first, `q + f(q) / L` in those with a skip, `f(q)` in
      those without, `f(q) / N` in the output.

    Of linear networks this is exact at any width.

    **Arguments:**

    - `model`: the network; of its weights, the shapes alone count.
    - `x`: the inputs, `[batch, ...]`.

    **Returns:** `{node: mean square}`, averaged over the batch.

    **Raises:** `TypeError` for another network.
    """
    start = _mean_squares(model, "expected_activity", x)
    found = _of_mu(model, start) if isinstance(model, MuMLP) else _of_mlp(model, start)
    return {f"vodes[{i}]": jnp.mean(q) for i, q in enumerate(found)}


def deep_activity(model: MuMLP, x: Float[ArrayLike, "batch ..."]) -> Float[Array, ""]:
    """Return what the mean square of the last hidden values of a muPC network with skips tends to as it gets deeper: at
    time 1, the solution of `dq/dt = f(q)` that starts at the first layer's, with f as in `expected_activity`.

    Of linear networks it is e times the first layer's, with `jax.nn.relu` e^(1/2) times: it stays finite at any depth.

    **Arguments:**

    - `model`: the network; its depth, width and weights don't count.
    - `x`: the inputs, `[batch, ...]`.

    **Returns:** a scalar, averaged over the batch.

    **Raises:** `TypeError` for another network, `ValueError` for one without skips, which has no such limit.
    """
    if not isinstance(model, MuMLP):
        raise TypeError(f"deep_activity: the limit is one of pxm.MuMLP, got {type(model).__name__}")
    if not model.skips.get():
        raise ValueError("deep_activity: without skips values shrink or grow with each layer, and have no limit")
    q, act, dt = _mean_squares(model, "deep_activity", x), model.act.get(), 1 / STEPS
    for _ in range(STEPS):  # the midpoint rule
        q = q + dt * _after(act, q + dt / 2 * _after(act, q))
    return jnp.mean(q)


def _mean_squares(model: object, call: str, x: ArrayLike) -> Array:
    """Return the mean square of each sample."""
    if not isinstance(model, MLP | MuMLP):
        raise TypeError(
            f"{call}: theory is there for pxm.MLP and pxm.MuMLP, got {type(model).__name__}; pxa.activity measures any "
            "network"
        )
    x = jnp.asarray(x)
    x = x.astype(jnp.result_type(float)) if not jnp.issubdtype(x.dtype, jnp.floating) else x
    return jnp.mean(jnp.square(x.reshape(len(x), -1)), axis=1)


def _after(act: Any, q: Array) -> Array:
    """Return the mean square of the activation of normal numbers with mean square q, by quadrature."""
    z = jnp.asarray(_POINTS, q.dtype)
    return jnp.sum(jnp.asarray(_WEIGHTS, q.dtype) * jnp.square(act(jnp.sqrt(q)[..., None] * z)), axis=-1)


def _of_mlp(model: MLP, q: Array) -> list[Array]:
    act, found = model.act.get(), []
    for layer in model.layers:
        inputs = layer.nn.weight.get().shape[1]
        q = (q + (0 if layer.nn.bias is None else 1 / inputs)) / 3
        if layer is not model.layers[-1]:
            q = _after(act, q)
        found.append(q)
    return found


def _of_mu(model: MuMLP, q: Array) -> list[Array]:
    act, skips, found = model.act.get(), model.skips.get(), [q]
    depth, width = len(model.weights), model.weights[-1].get().shape[1]
    for _ in model.weights[1:-1]:
        q = q + _after(act, q) / depth if skips else _after(act, q)
        found.append(q)
    return [*found, _after(act, q) / width]
