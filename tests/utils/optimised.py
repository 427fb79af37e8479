"""Values and gradients of models that optimisers step."""

import jax.numpy as jnp
import jax.tree_util as jtu
import numpy as np

import pcx as px
import pcx.nn as pxnn


def values(tree):
    return [p.get() for p in px.tree_extract(tree)]


def gradients(model, t):
    """Gradients for every param: a copy of the model that holds them."""
    rng = np.random.default_rng(t)
    return jtu.tree_map(lambda p: jnp.asarray(rng.normal(size=p.shape), jnp.float32), model)


def assert_close(one, two, rtol=1e-6):
    for a, b in zip(one, two, strict=True):
        np.testing.assert_allclose(a, b, rtol=rtol, atol=1e-7)


def by_layer(node):
    return isinstance(node, pxnn.Layer)
