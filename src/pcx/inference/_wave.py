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

    def felt(
        self, names: Block, grad: Array, step: Int[Array, ""] | int, i: Int[Array, ""] | int | None = None
    ) -> Array:
        """Return gradients, exactly zero where the wave has not come at that step.

        **Arguments:**

        - `names`: of a block.
        - `grad`: of all its nodes, `[nodes, batch, *shape]`; of one node, or the only one, `[batch, *shape]`.
        - `step`: the number of steps before this one.
        - `i`: the place in the block of the node that the gradient is of; None if it is that of all.
        """
        arrivals = [self.arrival[n] for n in names]
        known = [a for a in arrivals if isinstance(a, int)]
        if len(known) == len(arrivals):
            if all(a == 0 or (isinstance(step, int) and a <= step) for a in known):
                return grad
            if all(a == NEVER for a in known):
                return jnp.zeros_like(grad)
        alone = i is not None or len(names) == 1
        if len(known) == len(arrivals):
            when = jnp.asarray(np.asarray(known, np.int32))
        else:
            size = grad.shape[int(not alone)]
            when = jnp.stack([jnp.broadcast_to(jnp.asarray(a, jnp.int32), (size,)) for a in arrivals])
        when = when[0 if i is None else i] if alone else when
        # What never arrives waits for longer than any loop is.
        here = step >= when
        here = here.reshape(*when.shape, *[1] * (grad.ndim - when.ndim)) if when.ndim else here
        return jnp.where(here, grad, jnp.zeros_like(grad))

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
