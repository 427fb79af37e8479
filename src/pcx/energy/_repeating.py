"""Layers that repeat in a problem: its runs, their weights, and forward passes through them."""

from __future__ import annotations

import abc
import functools
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import jax
import jax.tree_util as jtu
from jax import Array
from jaxtyping import PyTree

from ._dataflow import Program
from ._find_runs import find_runs, is_same_forward
from ._node import ForwardPass, Node
from ._origin import remember
from ._run_forward import RunForward
from ._runs import Run
from ._stacks import Block, blocks_of, updated
from ._structure import Structure
from ._targets import Clamped, targets_of
from ._together import Together
from ._types import Inputs
from ._wiring import Wiring

if TYPE_CHECKING:
    from ._bound import Bound


class Repeating(abc.ABC):
    """The part of a problem that is about equal layers, see `Problem`."""

    nodes: dict[str, Node]
    free: tuple[str, ...]
    clamped: tuple[str, ...]
    structure: Structure
    wiring: Wiring
    own_energy: int | None
    weight_numbers: Mapping[str, Sequence[int]]
    _inputs: Any
    _shapes: Inputs
    _forward: Program
    _targets: Clamped

    @property
    def shapes(self) -> Inputs:
        """The shapes of weights, other arrays and batch that it was made of."""
        return self._shapes

    @abc.abstractmethod
    def start(self, inputs: Inputs, effects: bool = False, together: Together | None = None) -> ForwardPass:
        """Run a forward pass, see `Problem`."""

    def start_of(self, bound: Bound, effects: bool) -> ForwardPass:
        """Run a forward pass at the arrays of a bound problem, as these are computed together.

        **Arguments:**

        - `bound`: this problem with its arrays.
        - `effects`: whether prints and callbacks of the model's call are done.

        **Returns:** as `start`.
        """
        return self.start(bound.inputs, effects, bound.together)

    @functools.cached_property
    def weight_places(self) -> dict[int, tuple[str, int]]:
        """The path of each number of a weight, and the place of its array there."""
        return {i: (path, k) for path, numbers in self.weight_numbers.items() for k, i in enumerate(numbers)}

    def weight_blocks(self, weights: Mapping[str, PyTree]) -> tuple[Block, ...]:
        """Return the paths of weights, with those that equal layers multiply by in one block.

        **Arguments:**

        - `weights`: `{path: array}`, or shapes.

        **Returns:** the paths, block by block.
        """
        blocks: list[Block] = []
        for slot in [s for run in self.runs for group in run.groups for s in group.slots]:
            if slot.kind == "array" and not slot.same and slot.numbers[0] in self.weight_places:
                paths = tuple([self.weight_places[i][0] for i in slot.numbers])
                alone = all(len(self.weight_numbers[p]) == 1 for p in paths) and len(set(paths)) == len(paths)
                if alone and not any(p in block for block in blocks for p in paths):
                    blocks.append(paths)
        inside = {p for block in blocks for p in block}
        return tuple([*blocks, *[(p,) for p in weights if p not in inside]])

    def weights_of_run(self, run: Run) -> list[jax.ShapeDtypeStruct]:
        """Return the shapes of the weights of a run's first repetition, and of what is frozen in their place.

        **Arguments:**

        - `run`: one of `runs`.

        **Returns:** shapes and dtypes; none where layers have no arrays.
        """
        shapes = dict(zip(jtu.tree_leaves(self._inputs), jtu.tree_leaves(self._shapes), strict=True))
        return [shapes[s.numbers[0]] for group in run.groups for s in group.slots if s.kind == "array"]

    @functools.cached_property
    def runs(self) -> tuple[Run, ...]:
        """The runs of nodes whose local predictions are equal, which can be computed together."""
        if self.own_energy is not None:
            return ()
        return find_runs(self.nodes, self.wiring, self._inputs)

    @functools.cached_property
    def items(self) -> tuple[str | Run, ...]:
        """The runs, and the nodes that are in none, parents before children."""
        starts = {run.start: run for run in self.runs}
        inside = {n for run in self.runs for group in run.groups for n in group.names}
        found = [starts.get(i, n) for i, n in enumerate(self.wiring.graph.order) if i in starts or n not in inside]
        return tuple(found)

    @functools.cached_property
    def runs_forward(self) -> bool:
        """True if in the runs a forward pass is these predictions, one after the other."""
        (made, _), _ = self._forward.outputs
        return is_same_forward(self.runs, self.wiring, self._inputs, self._forward, made)

    def start_together(self, inputs: Inputs, together: Together, known: Mapping[int, Array]) -> ForwardPass:
        """Run a forward pass in which runs of equal layers are loops.

        **Arguments:**

        - `inputs`: the arrays, of the shapes that the problem was made of.
        - `together`: the groups of equal nodes at these arrays.
        - `known`: the inputs of the forward pass, by number.

        **Returns:** as `Problem.start`.
        """
        (made, output), rest = self._forward.outputs
        run = RunForward(together, self._forward, known, made)
        others = {n: m for n, m in made.items() if n not in run.stacks}
        flat, treedef = jtu.tree_flatten((others, output, rest))
        others, output, rest = jtu.tree_unflatten(treedef, run.values(flat))
        h = {n: m["h"] if m["h"] is not None else m["u"] for n, m in others.items() if n in self.free}
        h = updated(run.stacks, h)
        u = updated(run.stacks, {n: m["u"] for n, m in others.items()})
        clamped = {n: others[n]["h"] for n in self.clamped}
        targets, valid = targets_of(self._targets, self.nodes, inputs.y, clamped)
        remember(self, jtu.tree_leaves(inputs), dict(blocks_of(h)))
        return ForwardPass(h, u, targets, output, rest, valid)
