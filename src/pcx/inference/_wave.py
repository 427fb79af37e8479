"""The wave of errors that comes from the clamped output: which nodes it can have reached, and when.

Where it has not come, gradients are exactly zero. What is computed there as `h - u` may be other than zero by rounding,
and an optimiser that divides by the size of its gradients would make whole steps of that.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TypeAlias

import jax.numpy as jnp
import numpy as np
from jax import Array
from jaxtyping import Int

from ..energy import Landscape, Moves, NodesIn

NEVER = int(np.iinfo(np.int32).max)
Step: TypeAlias = Int[Array, " batch"] | int
"""A step, from 0: one number, or one for each sample."""


class Wave:
    """The steps at which errors reach the nodes.

    **Attributes:**

    - `arrival`: the step, from 0, at which each node's gradient may first be other than zero: a number, or one for each
        sample, `[batch]`; of the nodes that it never reaches, `NEVER`.
    """

    def __init__(self, arrival: Mapping[str, Step]) -> None:
        self.arrival = dict(arrival)

    @staticmethod
    def of(
        landscape: Landscape,
        nodes: NodesIn,
        groups: Sequence[Sequence[str]] | None = None,
        moves: Moves | None = None,
    ) -> Wave | None:
        """Return the wave on a landscape from a start; None if nothing is known of it.

        **Arguments:**

        - `landscape`: the energy as a function of the free nodes.
        - `nodes`: their coordinates at the start, `{node: [batch, *shape]}`. Of the landscape's forward pass it is
            known in advance where errors are; of others it is found out from the values.
        - `groups`: the nodes that move one group after the other in a step; by default all move together.
        - `moves`: when nodes first move, see `Landscape.travel`.
        """

        def travel(sources: Iterable[str]) -> dict[str, int]:
            first = landscape.travel(sources, groups)
            if moves is None or all(moves(n, step) == step for n, step in first.items()):
                return first
            return landscape.travel(sources, groups, moves)

        found = landscape.errors_at(nodes)
        if found is None:
            return None
        always, maybe = found
        first = travel(always)
        arrival: dict[str, Step] = {n: first.get(n, NEVER) for n in landscape.free}
        if maybe and any(arrival.values()):
            each = {s: travel([s]) for s in maybe}
            steps = np.asarray([[each[s].get(n, NEVER) for n in landscape.free] for s in maybe], np.int32)
            there = jnp.stack(list(maybe.values()))  # [source, batch]
            earliest = jnp.min(jnp.where(there[:, None], steps[:, :, None], NEVER), axis=0)
            for n, least in zip(landscape.free, earliest, strict=True):
                arrival[n] = jnp.minimum(first.get(n, NEVER), least) if arrival[n] else 0
        return Wave(arrival)

    def at_once(self) -> Wave:
        """Return the wave where all nodes move at the first step: from then on each has an error of its own."""
        return Wave({n: min(a, 1) if isinstance(a, int) else jnp.minimum(a, 1) for n, a in self.arrival.items()})

    def felt(self, name: str, grad: Array, step: Int[Array, ""] | int) -> Array:
        """Return a node's gradient, `[batch, *shape]`, exactly zero where the wave has not come at that step."""
        arrival = self.arrival[name]
        if isinstance(arrival, int):
            if arrival == 0 or (isinstance(step, int) and arrival <= step):
                return grad
            if arrival == NEVER:
                return jnp.zeros_like(grad)
            return jnp.where(step >= arrival, grad, jnp.zeros_like(grad))
        here = (step >= arrival).reshape(-1, *[1] * (grad.ndim - 1))
        return jnp.where(here, grad, jnp.zeros_like(grad))

    def last(self) -> Step:
        """Return the step at which it reaches the last of the nodes that it does reach."""
        last: Step = max([a for a in self.arrival.values() if isinstance(a, int) and a < NEVER], default=0)
        for arrival in self.arrival.values():
            if not isinstance(arrival, int):
                last = jnp.maximum(last, jnp.where(arrival < NEVER, arrival, 0))
        return last


def starts_forward(landscape: Landscape, nodes: NodesIn) -> bool:
    """Return whether nodes are at the start that the landscape's `arrival` is of, known by the arrays themselves."""
    return landscape.arrival is not None and landscape.starts_forward(nodes)
