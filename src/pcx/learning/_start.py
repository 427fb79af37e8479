"""Starts: the values from which the free nodes settle."""

from __future__ import annotations

import abc
import dataclasses
from typing import Any

import jax.numpy as jnp
import jax.tree_util as jtu


class Start(abc.ABC):
    """Where values start."""

    forward = False  # whether errors are zero at the start, so that the wave-front holds
    keeps = False  # whether settled values are kept for the next step

    @abc.abstractmethod
    def nodes(self, h: dict[str, Any], kept: dict[str, Any] | None) -> dict[str, Any]:
        """The values at the start, from those of a forward pass and those kept from the step before."""


@dataclasses.dataclass(frozen=True)
class Forward(Start):
    """At the predictions of a forward pass: all hidden errors are zero."""

    forward = True

    def nodes(self, h: dict[str, Any], kept: dict[str, Any] | None) -> dict[str, Any]:
        return h


@dataclasses.dataclass(frozen=True)
class Zeros(Start):
    """At zero."""

    def nodes(self, h: dict[str, Any], kept: dict[str, Any] | None) -> dict[str, Any]:
        return jtu.tree_map(jnp.zeros_like, h)


@dataclasses.dataclass(frozen=True)
class Kept(Start):
    """Where the last step left them, sample by sample: for one batch that is seen again and again. The first step
    starts from the forward pass of the batch given to `init`."""

    keeps = True

    def nodes(self, h: dict[str, Any], kept: dict[str, Any] | None) -> dict[str, Any]:
        assert kept is not None
        return kept
