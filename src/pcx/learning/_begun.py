"""The first state of the weights' optimiser."""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.tree_util as jtu
import numpy as np
from jax.core import Tracer
from jaxtyping import PyTree

from ..inference import made_of_nothing


def first_state(init: Callable[..., PyTree], weights: PyTree) -> PyTree:
    """Return the state of an optimiser before its first step, `init(weights)`.

    Most begin with zeros and counts, whatever the weights are. These are made without the programs of single operations
    that JAX would compile for each shape.

    **Arguments:**

    - `init`: of the transformation.
    - `weights`: `{path: array}`, in stacks or not.
    """
    if _are_here(weights):
        made = made_of_nothing(init, weights)
        if made is not None:
            return jtu.tree_map(jax.device_put, made)
    return init(weights)


def _are_here(weights: PyTree) -> bool:
    """Return whether all weights are arrays where JAX puts new ones; zeros like others belong where these are."""
    leaves = jtu.tree_leaves(weights)
    if any(not isinstance(a, jax.Array) or isinstance(a, Tracer) for a in leaves):
        return False
    with jax.ensure_compile_time_eval():  # weights may be whole arrays while something else is traced
        here = jax.device_put(np.zeros(())).devices()
    return all(a.devices() == here for a in leaves)
