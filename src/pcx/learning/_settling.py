"""The part of a rule that is about how its values settle: what they draw, and how others can watch them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
from jax import Array

from ..energy import Bound, ForwardPass, Landscape, Nodes
from ..inference import Solver, Stop
from ._clamp import Phase
from ._predicting import Predicting


class Settling(NamedTuple):
    """One settling of values in a step of a rule: what `pcx.inference.relax` needs to settle them again.

    ```python
    for each in rule.settling(bound, bound.start(), rule.memory_of(state)):
        pxi.relax(each.landscape, each.start, descent=each.solver, stop=each.stop, key=each.key, trace=True)
    ```

    **Attributes:**

    - `phase`: the values that the outputs are clamped at, and the factor of the weight gradient.
    - `landscape`: the energy on which values settle.
    - `start`: the coordinates from which they settle, `{node: [batch, *shape]}`.
    - `solver`: the way in which they settle.
    - `stop`: when they stop.
    - `key`: a random key for solvers that draw; None for others.
    """

    phase: Phase
    landscape: Landscape
    start: Nodes
    solver: Solver
    stop: Stop
    key: Array | None


class Settles(Predicting):
    """The base of `Rule` that says how values settle."""

    random: bool = False
    """Whether a step draws random numbers, by `draw`, though the model doesn't."""

    def settling(self, bound: Bound, forward: ForwardPass, memory: dict[str, Any]) -> Sequence[Settling]:
        """Return how the values of a batch settle before its weights learn, for those who watch: `learn` does the same
        with the same arguments. A rule of your own that settles says it here, or is judged by its `Update` alone.

        **Arguments:**

        - `bound`, `forward`, `memory`: see `learn`.

        **Returns:** each settling of a step, in order; by default none.

        **Raises:** `TypeError` or `ValueError` for a part of a rule that gives something else than it must.
        """
        return ()

    def draw(self, bound: Bound) -> Array:
        """Return the key that a step draws from, a new one for each step.

        **Arguments:**

        - `bound`: the batch.

        **Returns:** a random key.

        **Raises:** `ValueError` for a rule whose `random` is not True: its key never changes.
        """
        if not self.random:
            raise ValueError(f"{self.name}: a rule that draws random numbers says so: set `random = True` in its class")
        return jax.random.fold_in(bound.key, _SETTLING)

    def draw_if_random(self, bound: Bound) -> Array | None:
        """Return the key that values draw from as they settle.

        **Arguments:**

        - `bound`: the batch.

        **Returns:** a random key; None if they draw nothing.
        """
        return self.draw(bound) if self.random else None


# Values draw from a key of their own, apart from the model's.
_SETTLING = 0x9C
