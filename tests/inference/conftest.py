"""What several files settle."""

import jax.numpy as jnp
import numpy as np
import pytest

import pcx as px
import pcx.learning as pxl
import pcx.models as pxm


@pytest.fixture(scope="module")
def posed():
    """A chain with four hidden nodes and a batch: bound, its landscape, and the values of a forward pass."""
    px.RKG.seed(0)
    model = pxm.MLP([4, 5, 5, 5, 5, 2], jnp.tanh)
    rng = np.random.default_rng(0)
    x, y = jnp.asarray(rng.normal(size=(6, 4)), jnp.float32), jnp.asarray(rng.normal(size=(6, 2)), jnp.float32)
    bound = pxl.bind(model, (x, y))
    start = bound.start()
    return bound, bound.landscape(start.targets), start.h
