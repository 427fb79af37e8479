"""The arms of `hybrid`."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, PyTree

from ..learning import Zeros, hybrid, pc
from ._two_ways import Generative, Layers, TwoWays, labels_of, layers_in, swept
from .frame import Data, Trained

if TYPE_CHECKING:
    from ._hybrid import HybridSettings

Start = Callable[[PyTree, Float[Array, "N pixels"]], list[Float[Array, "N _"]]]
"""A function of weights and images that gives the first values: of the label, and of each hidden layer."""


def amortised(settings: HybridSettings, T: int, data: Data) -> Trained:
    """Return the arm of hybrid predictive coding: values begin at a recognition network's forward pass.

    **Arguments:**

    - `settings`, `data`: of the experiment.
    - `T`: inference steps.
    """
    widths = _widths(settings, data)
    rule = hybrid(optax.adam(settings.lr), optax.sgd(settings.state_lr), T)

    def start(weights: PyTree, images: Float[Array, "N pixels"]) -> list[Float[Array, "N _"]]:
        return list(reversed(swept(layers_in(weights, "recognition.", len(widths) - 1), jnp.tanh, images)))

    measured = _measured(settings, T, data, start, "generative.", len(widths) - 1)
    return Trained(
        lambda: TwoWays(widths, jnp.tanh), rule, data, settings.epochs, settings.batch_size, each=measured
    )  # fmt: skip


def from_zero(settings: HybridSettings, T: int, data: Data) -> Trained:
    """Return the arm of predictive coding: values begin at zero.

    **Arguments:**

    - `settings`, `data`, `T`: as of `amortised`.
    """
    widths = list(reversed(_widths(settings, data)))
    rule = pc(optax.adam(settings.lr), optax.sgd(settings.state_lr), T, start=Zeros())

    def start(weights: PyTree, images: Float[Array, "N pixels"]) -> list[Float[Array, "N _"]]:
        return [jnp.zeros((len(images), width)) for width in widths[:-1]]

    each = _measured(settings, T, data, start, "", len(widths) - 1)
    # What `fit` judges by itself is a forward pass, which says nothing of a label that is to be found.
    return Trained(
        lambda: Generative(widths, jnp.tanh), rule, data, settings.epochs, settings.batch_size, metrics={}, each=each
    )  # fmt: skip


def _widths(settings: HybridSettings, data: Data) -> list[int]:
    return [data.train[0].shape[1], *settings.hidden, data.classes]


def _measured(
    settings: HybridSettings, T: int, data: Data, start: Start, part: str, count: int
) -> Callable[[PyTree], dict[str, Float[Array, ""]]]:
    """Return what is measured after every epoch: whether labels are right, at the start and settled."""
    images, labels = jnp.asarray(data.test[0]), jnp.asarray(data.test[1])

    @jax.jit
    def shares(weights: PyTree) -> dict[str, Float[Array, ""]]:
        layers: Layers = layers_in(weights, part, count)
        first = start(weights, images)
        settled = labels_of(layers, jnp.tanh, images, first, settings.state_lr, T)
        return {
            "test_accuracy": jnp.mean(jnp.argmax(settled, axis=-1) == labels),
            "start_accuracy": jnp.mean(jnp.argmax(first[0], axis=-1) == labels),
        }

    return lambda state: shares(dict(state.weights))
