"""Small networks, and what is known of them by dense linear algebra."""

import itertools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree

import pcx as px
import pcx.energy as pxe
import pcx.learning as pxl
import pcx.models as pxm
import pcx.nn as pxnn
import pcx.predictive_coding as pxc


class Skip(pxc.EnergyModule):
    """A skip over a layer, and one of two ways to the output."""

    def __init__(self):
        super().__init__()
        self.layers = [pxnn.Linear(a, b) for a, b in itertools.pairwise([5, 6, 6, 6, 3])]
        self.vodes = [pxc.Vode() for _ in self.layers[1:]] + [pxc.Vode(output=True)]

    def __call__(self, x):
        first = self.vodes[0](jnp.tanh(self.layers[0](x)))
        second = self.vodes[1](jnp.tanh(self.layers[1](first)))
        third = self.vodes[2](jnp.tanh(self.layers[2](second)) + first)
        return self.vodes[3](self.layers[3](third))


class Normed(pxc.EnergyModule):
    """Samples that meet in a batch's statistics."""

    def __init__(self):
        super().__init__()
        self.layers = [pxnn.Linear(5, 6), pxnn.Linear(6, 3)]
        self.norm = pxnn.BatchNorm(6, axis_name="batch")
        self.vodes = [pxc.Vode(), pxc.Vode(output=True)]

    def __call__(self, x):
        h: Any = self.vodes[0](self.layers[0](x))
        return self.vodes[1](self.layers[1](jnp.tanh(self.norm(h))))


def mlp() -> Any:
    return pxm.MLP([5, 8, 7, 6, 3], act=jnp.tanh)


def conv() -> Any:
    return pxm.VGG([2, 3], [True, False], [1, 1], (2, 4, 4), 3)


def chain() -> Any:
    return pxm.MLP([5, 6, 6, 6, 6, 3], act=jnp.tanh)


SHAPES = {conv: (2, 4, 4)}


def bound(make: Callable[[], Any], batch: int = 3, seed: int = 0) -> pxl.Bound:
    """A network with weights from a seed, in the precision that is enabled, bound to a batch of normal numbers."""
    kept = px.RKG.key.get()
    px.RKG.seed(seed)
    try:
        model = make()
    finally:
        px.RKG.key.set(kept)
    for p in jax.tree.leaves(model, is_leaf=lambda p: isinstance(p, px.BaseParam)):
        if isinstance(p, pxnn.LayerParam):
            p.set(p.get().astype(jnp.result_type(float)))
    return pxl.bind(model, (normal(1, batch, *SHAPES.get(make, (5,))), normal(2, batch, 3)))


def normal(seed: int, *shape: int) -> Any:
    return jnp.asarray(np.random.default_rng(seed).normal(size=shape))


def landscape(bound: pxl.Bound, over: str = "values") -> Any:
    targets = jax.jit(lambda: bound.start().targets)()
    return bound.landscape(targets) if over == "values" else pxe.OverErrors(bound, targets)


def moved(landscape: Any, by: float = 0.3) -> dict[str, Any]:
    """Coordinates away from the start."""
    start = landscape.start()
    return {n: start[n] + by * normal(7 + i, *start[n].shape).astype(start[n].dtype) for i, n in enumerate(start)}


def dense(landscape: Any, at: dict[str, Any], names: Any = None) -> np.ndarray:
    """The Hessian of the total energy, entry by entry."""
    flat, back = ravel_pytree({n: at[n] for n in names or landscape.free})
    return np.asarray(jax.jit(jax.hessian(lambda f: landscape.total({**at, **back(f)})))(flat))


def eigenvalues(landscape: Any, at: dict[str, Any], names: Any = None) -> np.ndarray:
    return np.linalg.eigvalsh(dense(landscape, at, names))
