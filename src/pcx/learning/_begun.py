"""The first state of the weights' optimiser."""

from __future__ import annotations

import jax
import jax.tree_util as jtu
import numpy as np
from jax.core import Tracer
from jaxtyping import PyTree

from ..energy import Weights
from ..inference import made_of_nothing
from ._types import Optimiser


def first_state(optimiser: Optimiser, weights: Weights) -> PyTree:
    """Return the state of an optimiser before its first step, `optimiser.init(weights)`.

    Most begin with zeros and counts, whatever the weights are. These are made without the programs of single operations
    that JAX would compile for each shape.

    **Arguments:**

    - `optimiser`: the transformation.
    - `weights`: `{path: array}`.
    """
    if _are_here(weights):
        made = made_of_nothing(optimiser.init, weights)
        if made is not None:
            return jtu.tree_map(jax.device_put, made)
    return optimiser.init(weights)


def _are_here(weights: Weights) -> bool:
    """Return whether all weights are arrays where JAX puts new ones; zeros like others belong where these are."""
    leaves = jtu.tree_leaves(weights)
    if any(not isinstance(a, jax.Array) or isinstance(a, Tracer) for a in leaves):
        return False
    with jax.ensure_compile_time_eval():  # weights may be whole arrays while something else is traced
        here = jax.device_put(np.zeros(())).devices()
    return all(a.devices() == here for a in leaves)
