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

from ..energy import Block, Landscape, Moves, NodesIn

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

    def felt_by(self, names: Block, grad: Array, step: Int[Array, ""] | int) -> Array:
        """Return the gradients of a block's nodes, see `felt`.

        **Arguments:**

        - `names`: of the block.
        - `grad`: `[nodes, batch, *shape]`; for one name `[batch, *shape]`.
        - `step`: the number of steps before this one.
        """
        if len(names) == 1:
            return self.felt(names[0], grad, step)
        when = self._arrivals(names, grad.shape[1])
        if when is None:
            return grad
        # What never arrives waits for longer than any loop is.
        here = (step >= when).reshape(*when.shape, *[1] * (grad.ndim - 2))
        return jnp.where(here, grad, jnp.zeros_like(grad))

    def felt_by_one(self, names: Block, i: Int[Array, ""] | None, grad: Array, step: Int[Array, ""] | int) -> Array:
        """Return the gradient of one node of a block, see `felt`.

        **Arguments:**

        - `names`: of the block.
        - `i`: the place of the node in it; None if it is the only one.
        - `grad`: `[batch, *shape]`.
        - `step`: the number of steps before this one.
        """
        if i is None:
            return self.felt(names[0], grad, step)
        when = self._arrivals(names, grad.shape[0])
        if when is None:
            return grad
        here = (step >= when[i]).reshape(-1, *[1] * (grad.ndim - 1))
        return jnp.where(here, grad, jnp.zeros_like(grad))

    def _arrivals(self, names: Block, size: int) -> Int[Array, "nodes batch"] | None:
        """Return the steps at which errors reach the nodes of a block, `[nodes, batch]` or `[nodes, 1]`; None if all
        are reached at once."""
        arrivals = [self.arrival[n] for n in names]
        known = [a for a in arrivals if isinstance(a, int)]
        if len(known) < len(arrivals):
            return jnp.stack([jnp.broadcast_to(jnp.asarray(a, jnp.int32), (size,)) for a in arrivals])
        return jnp.asarray(np.asarray(known, np.int32)[:, None]) if any(known) else None

    @property
    def known(self) -> dict[str, int] | None:
        """The steps of all nodes, if they are numbers that are the same for all samples."""
        known = {n: a for n, a in self.arrival.items() if isinstance(a, int)}
        return known if len(known) == len(self.arrival) else None

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
