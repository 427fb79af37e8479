"""Networks and batches to look at."""

from typing import Any

import jax.numpy as jnp
import numpy as np
import optax

import pcx as px
import pcx.models as pxm
import pcx.predictive_coding as pxc

W = optax.sgd(0.1)


def net(sizes, act=jnp.tanh, seed=0, kind: Any = pxm.MLP, samples=16, dtype=jnp.float32):
    px.RKG.seed(seed)
    r = np.random.default_rng(0)
    x, y = r.normal(size=(samples, sizes[0])), r.normal(size=(samples, sizes[-1]))
    return kind(list(sizes), act=act), (jnp.asarray(x, dtype), jnp.asarray(y, dtype))


def linear(x):
    return x


class Pair(pxc.EnergyModule):
    """Two networks over the same values."""

    def __init__(self):
        super().__init__()
        self.generative = pxm.MLP([2, 4, 4, 3], jnp.tanh)
        self.recognition = pxm.MLP([3, 4, 4, 2], jnp.tanh)
