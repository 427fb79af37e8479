"""Energies of value nodes. All are unreduced: one value for each element of `h`."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp

from ..core import RKG, RandomKeyGenerator


def _state_and_prediction(call: str, vode: Any) -> tuple[Any, Any]:
    h, u = vode.get("h"), vode.get("u")
    for name, value in (("h", h), ("u", u)):
        if value is None:
            raise ValueError(
                f"{call}: the vode's {name!r} was read before it was set; run the forward pass first "
                "(under pxc.STATUS.INIT it sets both h and u)"
            )
    if jnp.shape(h) != jnp.shape(u):
        raise ValueError(f"{call}: the vode's h has shape {jnp.shape(h)}, its prediction u {jnp.shape(u)}")
    return h, u


def se_energy(vode: Any, rkg: RandomKeyGenerator = RKG) -> jax.Array:
    """Squared error, `0.5 * (h - u)**2`, of h's shape: a Gaussian with unit variance around the prediction
    (Whittington & Bogacz 2017).

    **Raises:** `ValueError` if h or u isn't set, or their shapes differ.
    """
    h, u = _state_and_prediction("se_energy", vode)
    return 0.5 * jnp.square(h - u)


def ce_energy(vode: Any, rkg: RandomKeyGenerator = RKG) -> jax.Array:
    """Cross entropy, `-h * log_softmax(u)` over the last axis, of h's shape: h holds probabilities (one-hot, as a
    rule), u logits.

    **Raises:** `ValueError` if h or u isn't set, or their shapes differ.
    """
    h, u = _state_and_prediction("ce_energy", vode)
    return -h * jax.nn.log_softmax(u)


def zero_energy(vode: Any, rkg: RandomKeyGenerator = RKG) -> jax.Array:
    """Zeros of h's shape: the vode has no part in the energy.

    **Raises:** `ValueError` if h isn't set.
    """
    h = vode.get("h")
    if h is None:
        raise ValueError("zero_energy: the vode's 'h' was read before it was set; run the forward pass first")
    return jnp.zeros_like(h)
