"""The arms of `autoencoder`."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, PyTree

from ..inference import relax
from ..learning import Rule, backprop, ipc, pc
from ..models import MLP
from ._decoder import Decoder
from .frame import Data, Trained

if TYPE_CHECKING:
    from ._autoencoder import AutoencoderSettings


def decoder(name: str, settings: AutoencoderSettings, data: Data) -> Trained:
    """Return the arm of PC or iPC: a decoder, whose latents settle under the images.

    **Arguments:**

    - `name`: `"pc"` or `"ipc"`.
    - `settings`, `data`: of the experiment.
    """
    images = jnp.asarray(data.test[0])
    values = optax.sgd(settings.state_lr, momentum=settings.state_momentum)
    if name == "pc":
        rule = pc(optax.adam(settings.lr), values, settings.T)
    else:
        rule = ipc(optax.adam(settings.ipc_lr), values, settings.T)
    widths = [*settings.widths, images.shape[1]]

    def reconstructed(state: PyTree) -> Float[Array, "N pixels"]:
        return rule.predict(state, latents(rule, state, images, values, settings.T))

    own = dataclasses.replace(data, train=(None, data.train[1]), test=(None, data.test[1]))
    return _arm(lambda: Decoder(widths, jax.nn.gelu), rule, own, settings, images, reconstructed)


def encoder_and_decoder(settings: AutoencoderSettings, data: Data) -> Trained:
    """Return the arm of backpropagation: an encoder with the decoder's widths in reverse, and the decoder.

    **Arguments:**

    - `settings`, `data`: of the experiment.
    """
    images = jnp.asarray(data.test[0])
    down = [images.shape[1], *reversed(settings.widths)]
    widths = [*down, *reversed(down[:-1])]
    rule = backprop(optax.adam(settings.lr))

    def reconstructed(state: PyTree) -> Float[Array, "N pixels"]:
        return rule.predict(state, images)

    return _arm(lambda: MLP(widths, act=jax.nn.gelu), rule, data, settings, images, reconstructed)


def latents(
    rule: Rule, state: PyTree, images: Float[Array, "N pixels"], values: Any, T: int
) -> Float[Array, "N latent"]:
    """Return the latents at which the energy of images comes to rest, or nearly so.

    **Arguments:**

    - `rule`, `state`: a rule, and a state of a `Decoder`.
    - `images`: what the decoder is to predict.
    - `values`, `T`: the transformation of the values, and how many steps they take.
    """
    bound = rule.bind(state, (None, images))
    start = bound.start()
    solution = relax(bound.landscape(start.targets), start.h, descent=values, stop=T)
    return solution.nodes["latent"]


def _arm(
    make: Callable[[], Any],
    rule: Rule,
    data: Data,
    settings: AutoencoderSettings,
    images: Float[Array, "N pixels"],
    reconstructed: Callable[[PyTree], Float[Array, "N pixels"]],
) -> Trained:
    from ._autoencoder import shown

    made = jax.jit(reconstructed)
    return Trained(
        make,
        rule,
        data,
        settings.epochs,
        settings.batch_size,
        each=lambda state: {"test_error": jnp.mean(jnp.square(made(state) - images))},
        keep=lambda state: shown(images, made(state)),
    )
