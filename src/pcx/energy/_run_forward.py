"""A forward pass in which runs of equal layers are loops."""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Mapping, Sequence

from jax import Array

from ._dataflow import Program
from ._follow import follow
from ._stacks import Stacks
from ._together import Together
from ._types import Numbers


class RunForward:
    """Values of a problem's forward pass, with each run of equal layers as one loop.

    **Arguments:**

    - `together`: the groups, at the arrays of the forward pass.
    - `program`: of the forward pass.
    - `known`: its inputs, by their numbers.
    - `made`: the numbers of the values and predictions that it makes, by node.
    """

    def __init__(self, together: Together, program: Program, known: Mapping[int, Array], made: Numbers) -> None:
        self._together, self._program, self._made = together, program, made
        self._known = known
        self._of_run: dict[int, str] = {}  # by the number of its value, a node of a run
        self.stacks = Stacks((), ())
        self._last: dict[str, Array] = {}
        for run in together.problem.runs:
            found = follow(together, run, self._value)
            self.stacks = Stacks((*self.stacks.blocks, *found.h.blocks), (*self.stacks.stacks, *found.h.stacks))
            self._of_run |= {made[n]["h"]: n for n in found.h}
            self._last |= found.last

    def _value(self, name: str) -> Array:
        """Return the value of one node."""
        return self.values([self._made[name]["h"]])[0]

    def values(self, wanted: Sequence[int]) -> list[Array]:
        """Return values of the forward pass.

        **Arguments:**

        - `wanted`: their numbers.
        """
        given = {*self._known, *self._of_run}
        ops, _ = self._program.needed(wanted, given)
        read = {i for op in ops for i in self._program.ops[op].inputs} | set(wanted)
        names = {i: self._of_run[i] for i in read if i in self._of_run}
        sliced = {i: self._last[n] if n in self._last else self.stacks[n] for i, n in names.items()}
        return self._program.evaluate(wanted, ChainMap(sliced, self._known))  # pyright: ignore[reportArgumentType]
