"""The interface of solvers: how values settle on a landscape."""

from __future__ import annotations

import abc
from collections.abc import Callable, Hashable, Iterable, Mapping
from typing import TypeAlias

from jax import Array
from jaxtyping import Float, PyTree

from ..core import static_key
from ..energy import Landscape, Nodes, apart
from ._descent import Descents
from ._solution import Solution
from ._stop import Stop

Observe: TypeAlias = Callable[[Nodes], PyTree]
"""A function of the nodes' coordinates, `{node: [batch, *shape]}`, that gives a tree of arrays."""
Trace: TypeAlias = bool | Callable[[Nodes], Mapping[str, Float[Array, " batch"]]]
"""Whether energies are kept; or a function of the nodes' coordinates that gives what is kept in their place."""


def look_of(landscape: Landscape, trace: Trace) -> Callable[[Nodes], dict[str, Array]] | None:
    """Return what is kept at each step as a function of the coordinates, None if nothing is.

    **Arguments:**

    - `landscape`: the energy as a function of the coordinates.
    - `trace`: see `relax`.
    """
    if not trace:
        return None
    look = landscape.energies if trace is True else trace
    return lambda coords: dict(apart(look(coords)))


class Solver(abc.ABC):
    """A way for all free nodes of a landscape to settle: steps of a descent, or a `Flow`. One of your own says `solve`,
    and takes the place of a descent wherever one is asked for."""

    def __static_key__(self) -> Hashable:
        return (type(self), static_key(vars(self)))

    @property
    def descent(self) -> Descents | None:
        """The descent by which each node moves in a step; None for a solver that takes no steps of a descent."""
        return None

    @property
    def random(self) -> bool:
        """True if it draws random numbers."""
        return False

    @property
    def temperature(self) -> Array | float | None:
        """The temperature of its noise, see `Descent.temperature`."""
        return None if self.random else 0.0

    def check(self, call: str, free: Iterable[str], nodes: Iterable[str]) -> None:  # noqa: B027
        """Refuse, in the name of `call`, nodes that it is not made for.

        **Arguments:**

        - `call`: what to name in errors.
        - `free`: the names of the nodes that move.
        - `nodes`: those of all nodes.

        **Raises:** `ValueError`, with the names.
        """

    @abc.abstractmethod
    def solve(
        self,
        landscape: Landscape,
        start: Nodes,
        stop: Stop,
        *,
        key: Array | None = None,
        trace: Trace = False,
        observe: Observe | None = None,
        unobserved: int = 0,
    ) -> Solution:
        """Let the free nodes settle.

        **Arguments:**

        - `landscape`: the energy as a function of the free nodes, of which there is one at least.
        - `start`: their coordinates at the start, `{node: [batch, *shape]}`.
        - `stop`: when to stop.
        - `key`, `trace`, `observe`, `unobserved`: see `relax`.

        **Returns:** a `Solution`.

        **Raises:** `ValueError` for what it can't do.
        """
