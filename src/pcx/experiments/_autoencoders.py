"""The arms of `autoencoder` and `deconv`."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float, PyTree

from ..energy import Bound
from ..inference import relax
from ..learning import Rule, backprop, ipc, pc
from ._images import packed
from .frame import Data, Trained

if TYPE_CHECKING:
    from ._autoencoder import CodeSettings

_PART = 500  # test images that are reconstructed at once
_SHOWN = 10  # images in the figure


def decoder(name: str, make: Callable[[], Any], settings: CodeSettings, data: Data) -> Trained:
    """Return the arm of PC or iPC: a decoder, whose latents settle under the images.

    **Arguments:**

    - `name`: `"pc"` or `"ipc"`.
    - `make`: makes a `Decoder` or a `DeconvDecoder`.
    - `settings`, `data`: of the experiment.
    """
    values = optax.sgd(settings.state_lr, momentum=settings.state_momentum)
    if name == "pc":
        rule = pc(optax.adam(settings.lr), values, settings.T)
    else:
        rule = ipc(optax.adam(settings.ipc_lr), values, settings.T)

    def reconstructed(state: PyTree, images: Float[Array, "N ..."]) -> Float[Array, "N ..."]:
        bound = rule.bind(state, (None, images))
        start = bound.start()
        found = relax(bound.landscape(start.targets), start.h, descent=values, stop=settings.T)
        return decoded(bound, dict(found.nodes), start.targets)

    own = dataclasses.replace(data, train=(None, data.train[1]), test=(None, data.test[1]))
    # What `fit` judges by itself is the image of the latent zero.
    return _arm(make, rule, own, settings, reconstructed, metrics={})


def encoder_and_decoder(make: Callable[[], Any], settings: CodeSettings, data: Data) -> Trained:
    """Return the arm of backpropagation.

    **Arguments:**

    - `make`: makes the network, an encoder and then a decoder.
    - `settings`, `data`: of the experiment.
    """
    rule = backprop(optax.adam(settings.lr))
    return _arm(make, rule, data, settings, rule.predict)


def decoded(bound: Bound, nodes: dict[str, jax.Array], targets: Mapping[str, jax.Array]) -> Float[Array, "N ..."]:
    """Return what a decoder makes of latents alone: each value is predicted anew, from the latent on.

    **Arguments:**

    - `bound`: a decoder, with its batch.
    - `nodes`: settled values, of which only those of `latent` count.
    - `targets`: of the output.
    """
    made: Mapping[str, jax.Array] = {}
    for _ in nodes:  # each time, one layer more is what the latent says
        made = bound.predictions(nodes, targets)
        nodes = {name: value if name == "latent" else made[name] for name, value in nodes.items()}
    return made["image"]


def _arm(
    make: Callable[[], Any],
    rule: Rule,
    data: Data,
    settings: CodeSettings,
    reconstructed: Callable[[PyTree, Float[Array, "N ..."]], Float[Array, "N ..."]],
    metrics: dict[str, Any] | None = None,
) -> Trained:
    tests = np.asarray(data.test[1])
    made = jax.jit(reconstructed)

    def error(state: PyTree) -> dict[str, float]:
        squares = 0.0
        for at in range(0, len(tests), _PART):
            part = tests[at : at + _PART]
            squares += float(jnp.sum(jnp.square(made(state, part) - part)))
        return {"test_error": squares / tests.size}

    def shown(state: PyTree) -> dict[str, Any]:
        pairs = {"original": tests, "reconstruction": made(state, tests[:_PART])}
        return {"images": {what: packed(each[:_SHOWN]) for what, each in pairs.items()}}

    return Trained(
        make, rule, data, settings.epochs, settings.batch_size, metrics=metrics, each=error, keep=shown,
        parallel="loop",
    )  # fmt: skip
