"""Timings: when the weights learn."""

from __future__ import annotations

import dataclasses

from ..inference._numbers import whole


class Timing:
    """When the weights learn."""


@dataclasses.dataclass(frozen=True)
class AtEnd(Timing):
    """Once, from the gradient at the settled values."""


@dataclasses.dataclass(frozen=True)
class EveryStep(Timing):
    """At every inference step, together with the values, from gradients at one point (arXiv 2212.00720)."""


@dataclasses.dataclass(frozen=True)
class ChainAverage(Timing):
    """Once, from the mean of the gradients at the values after each of the T steps beyond the first `burn_in`, those in
    which nothing moves included."""

    burn_in: int = 0

    def __post_init__(self) -> None:
        object.__setattr__(self, "burn_in", whole("ChainAverage", "burn_in", self.burn_in, 0))
