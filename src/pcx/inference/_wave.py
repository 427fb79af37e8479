"""The wave of errors that comes from the clamped output: which nodes it can have reached, and when.

Where it has not come, gradients are exactly zero. What is computed there as `h - u` may be other than zero by rounding,
and an optimiser that divides by the size of its gradients would make whole steps of that.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ..energy._landscape import Landscape

NEVER = int(np.iinfo(np.int32).max)


class Wave:
    """When the wave reaches each node.

    **Attributes:**

    - `arrival`: the step, from 0, at which each node's gradient may first be other than zero: a number, or one for each
        sample, `[batch]`; of the nodes that it never reaches, `NEVER`.
    """

    def __init__(self, arrival: Mapping[str, Any]) -> None:
        self.arrival = dict(arrival)

    @staticmethod
    def of(
        landscape: Landscape,
        nodes: Mapping[str, Any],
        groups: Sequence[Sequence[str]] | None = None,
        tied: Mapping[str, Any] | None = None,
    ) -> Wave | None:
        """The wave on a landscape from a start; None if nothing is known of it.

        **Arguments:**

        - `nodes`: the values at the start. Of the landscape's forward pass it is known in advance where errors are; of
          others it is found out from the values.
        - `groups`, `tied`: see `pcx.energy.Landscape.travel`.
        """
        found = landscape.errors_at(nodes)
        if found is None:
            return None
        always, maybe = found
        first = landscape.travel(always, groups, tied)
        arrival: dict[str, Any] = {n: first.get(n, NEVER) for n in landscape.free}
        if maybe and any(arrival.values()):
            each = {s: landscape.travel([s], groups, tied) for s in maybe}
            steps = np.asarray([[each[s].get(n, NEVER) for n in landscape.free] for s in maybe], np.int32)
            there = jnp.stack(list(maybe.values()))  # [source, batch]
            earliest = jnp.min(jnp.where(there[:, None], steps[:, :, None], NEVER), axis=0)
            for n, least in zip(landscape.free, earliest, strict=True):
                arrival[n] = jnp.minimum(arrival[n], least) if arrival[n] else 0
        return Wave(arrival)

    def at_once(self) -> Wave:
        """The wave where all nodes move at the first step: from then on each has an error of its own."""
        return Wave({n: min(a, 1) if isinstance(a, int) else jnp.minimum(a, 1) for n, a in self.arrival.items()})

    def felt(self, name: str, gradient: jax.Array, step: Any) -> jax.Array:
        """A node's gradient, `[batch, *shape]`, exactly zero where the wave has not come at that step."""
        arrival = self.arrival[name]
        if isinstance(arrival, int):
            if arrival == 0 or (isinstance(step, int) and arrival <= step):
                return gradient
            if arrival == NEVER:
                return jnp.zeros_like(gradient)
            return jnp.where(step >= arrival, gradient, jnp.zeros_like(gradient))
        here = (step >= arrival).reshape(-1, *[1] * (gradient.ndim - 1))
        return jnp.where(here, gradient, jnp.zeros_like(gradient))

    def last(self) -> Any:
        """The step at which it reaches the last of the nodes that it does reach; a number, or one for each sample."""
        known = [a for a in self.arrival.values() if isinstance(a, int) and a < NEVER]
        last: Any = max(known, default=0)
        for arrival in self.arrival.values():
            if not isinstance(arrival, int):
                each: jax.Array = arrival
                last = jnp.maximum(last, jnp.where(each < NEVER, each, 0))
        return last
