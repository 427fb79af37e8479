"""A forward pass in which runs of equal layers are loops."""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import jax.tree_util as jtu
from jax import Array
from jaxtyping import PyTree

from ._dataflow import Program
from ._loops import scan
from ._runs import Run
from ._stacks import Stacks, blocks_of, selected
from ._together import Part, Together

if TYPE_CHECKING:
    from ._problem import Numbers


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
        self._order = together.problem.graph.order
        self._of_run: dict[int, str] = {}  # by the number of its value, a node of a run
        self.stacks = Stacks((), ())
        for run in together.problem.runs:
            found = self._run(run)
            self.stacks = Stacks((*self.stacks.blocks, *found.blocks), (*self.stacks.stacks, *found.stacks))
            self._of_run |= {made[n]["h"]: n for n in found}

    def values(self, wanted: Sequence[int]) -> list[Array]:
        """Return values of the forward pass.

        **Arguments:**

        - `wanted`: their numbers.
        """
        given = {*self._known, *self._of_run}
        ops, _ = self._program.needed(wanted, given)
        read = {i for op in ops for i in self._program.ops[op].inputs} | set(wanted)
        sliced = {i: self.stacks[self._of_run[i]] for i in read if i in self._of_run}
        return self._program.evaluate(wanted, ChainMap(sliced, self._known))  # pyright: ignore[reportArgumentType]

    def _run(self, run: Run) -> Stacks:
        """Return the values of a run's nodes."""
        together, period = self._together, len(run.groups)
        parts = [Part(group, 0, run.count) for group in run.groups]
        place = {n: i for i, n in enumerate(self._order)}
        # How many repetitions back values are read, by the place in the repetition.
        depth: dict[int, int] = {}
        reads: list[list[tuple[int, int] | None]] = []  # by group and slot: the place in the repetition, and how far back
        for k, part in enumerate(parts):
            reads.append([])
            for slot in part.group.slots:
                at = None
                if slot.back is not None:
                    at = (place[slot.names[0]] - run.start) % period, slot.back
                    if at[0] != k or at[1]:
                        depth[at[0]] = max(depth.get(at[0], 0), at[1])
                reads[-1].append(at)
        first = {
            k: self.values([self._made[self._order[run.start + k - period * (j + 1)]]["h"] for j in range(back)])
            for k, back in depth.items()
        }
        fixed: list[list[Any]] = []
        moving: list[list[int]] = []
        for part, at in zip(parts, reads, strict=True):
            outside = {
                s.names[0]: self.values([self._made[s.names[0]]["h"]])[0]
                for s, a in zip(part.group.slots, at, strict=True)
                if s.kind == "value" and a is None
            }
            given = [None if a is not None else together.argument(part, i, outside) for i, a in enumerate(at)]
            moving.append([i for i, a in enumerate(given) if a is not None and a[1] == 0])
            fixed.append([None if a is None else a[0] for a in given])

        def cell(before: dict[int, list[Array]], stacked: list[list[Any]]) -> tuple[PyTree, list[Array]]:
            now: list[Array] = []
            for k, part in enumerate(parts):
                arguments = list(fixed[k])
                for i, a in zip(moving[k], stacked[k], strict=True):
                    arguments[i] = a
                for i, at in enumerate(reads[k]):
                    if at is None or (at[0] == k and not at[1]):
                        continue
                    arguments[i] = before[at[0]][at[1] - 1] if at[1] else now[at[0]]
                now.append(together.evaluated(part.group, part.group.wanted[:1], arguments)[0])
            return {k: [now[k], *values][: len(values)] for k, values in before.items()}, now

        xs = [[fixed[k][i] for i in moving[k]] for k in range(period)]
        made = scan(cell, {k: v for k, v in first.items() if v}, xs)[1]
        return Stacks([part.names for part in parts], made)
