"""The arms of `both-ways`."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float, PyTree

from ..data import Scaling
from ..learning import bpc, hybrid, pc
from ._images import packed
from ._two_ways import Direction, TwoWays, layers_in, swept
from .frame import Data, Trained

if TYPE_CHECKING:
    from ._both_ways import BothWaysSettings


def directed(name: str, s: BothWaysSettings, data: Data) -> Trained:
    """Return an arm.

    **Arguments:**

    - `name`: one of the arms.
    - `s`, `data`: settings and data of the experiment.
    """
    widths = [data.train[0].shape[1], *s.hidden, data.classes]
    weights, values = optax.adam(s.lr), optax.sgd(s.state_lr)
    if name == "pc-classifies":
        return Trained(lambda: Direction(widths, jnp.tanh), pc(weights, values, s.T), data, s.epochs, s.batch_size)
    means, scaling = class_means(data), data.scaling
    count = len(widths) - 1
    if name == "pc-generates":
        hot = np.eye(data.classes, dtype=np.float32)
        turned = {n: (hot[split[1]], split[0]) for n, split in (("train", data.train), ("test", data.test))}
        return Trained(
            lambda: Direction(list(reversed(widths)), jnp.tanh),
            pc(weights, values, s.T),
            dataclasses.replace(data, **turned),
            s.epochs,
            s.batch_size,
            each=lambda state: _error(state, "", count, means, scaling),
            keep=lambda state: _kept(state, "", count, means, scaling),
        )
    both = bpc(weights, values, s.T, generative=s.generative, discriminative=s.discriminative)
    return Trained(
        lambda: TwoWays(widths, jnp.tanh),
        both if name == "bpc" else hybrid(weights, values, s.T),
        data,
        s.epochs,
        s.batch_size,
        each=lambda state: _error(state, "generative.", count, means, scaling),
        keep=lambda state: _kept(state, "generative.", count, means, scaling),
    )


def class_means(data: Data) -> Float[np.ndarray, "classes pixels"]:
    """Return the mean test image of each class, pixels from 0 to 1; of a class without images that of all.

    **Arguments:**

    - `data`: images and class numbers.
    """
    x, y = data.test
    every = x.mean(axis=0)
    found = [x[y == label].mean(axis=0) if np.any(y == label) else every for label in range(data.classes)]
    return _unscaled(np.stack(found), data.scaling)


def generated(state: PyTree, part: str, count: int, classes: int) -> Float[Array, "classes pixels"]:
    """Return the image of each class: a forward pass of the generative network.

    **Arguments:**

    - `state`: of a network.
    - `part`: of the network that generates, see `layers_in`.
    - `count`, `classes`: how many layers it has, and classes there are.
    """
    return swept(layers_in(dict(state.weights), part, count), jnp.tanh, jnp.eye(classes))[-1]


A = TypeVar("A", np.ndarray, jax.Array)


def _unscaled(images: A, scaling: Scaling | None) -> A:
    return images if scaling is None else images * np.float32(scaling.std[0]) + np.float32(scaling.mean[0])


def _error(
    state: PyTree, part: str, count: int, means: Float[np.ndarray, "classes pixels"], scaling: Scaling | None
) -> dict[str, jax.Array]:
    made = _unscaled(generated(state, part, count, len(means)), scaling)
    return {"generation_error": jnp.sqrt(jnp.mean(jnp.square(made - means)))}


def _kept(
    state: PyTree, part: str, count: int, means: Float[np.ndarray, "classes pixels"], scaling: Scaling | None
) -> dict[str, Any]:
    made = {"means": means, "generated": _unscaled(generated(state, part, count, len(means)), scaling)}
    return {name: packed(each) for name, each in made.items()}
