"""Starts: the coordinates from which the free nodes settle."""

from __future__ import annotations

import abc
import dataclasses

import jax.numpy as jnp
from jax import Array

from ..energy import Landscape, Nodes


class Start(abc.ABC):
    """The place from which settling starts."""

    forward = False  # whether it starts at a forward pass, so that errors travel from the clamped nodes alone
    keeps = False  # whether settled coordinates are kept for the next step

    @abc.abstractmethod
    def coords(self, landscape: Landscape, kept: Nodes | None, key: Array | None) -> Nodes:
        """Return the coordinates of the free nodes to settle from, `{node: [batch, *shape]}`.

        **Arguments:**

        - `landscape`: what values settle on; its `start()` is the model's forward pass.
        - `kept`: where the last step left them, if `keeps`.
        - `key`: a random key, if the rule draws random numbers.
        """


@dataclasses.dataclass(frozen=True)
class Forward(Start):
    """At the predictions of a forward pass: all hidden errors are zero."""

    forward = True

    def coords(self, landscape: Landscape, kept: Nodes | None, key: Array | None) -> Nodes:
        return landscape.start()


@dataclasses.dataclass(frozen=True)
class Zeros(Start):
    """At zero."""

    def coords(self, landscape: Landscape, kept: Nodes | None, key: Array | None) -> Nodes:
        return {n: jnp.zeros_like(v) for n, v in landscape.start().items()}


@dataclasses.dataclass(frozen=True)
class Kept(Start):
    """At the place where the last step left them, sample by sample: for one batch that is seen again and again. The
    first step starts from the forward pass of the batch given to `init`."""

    keeps = True

    def coords(self, landscape: Landscape, kept: Nodes | None, key: Array | None) -> Nodes:
        return {**landscape.start(), **(kept or {})}
