"""One step of all values by a loop over equal layers, from the outputs to the inputs.

All values move at once, each on its gradient at the values before. A node's gradient is complete when all that is
predicted from it has been looked at; and what comes after it in this order reads neither its value nor anything that is
predicted from it. So one loop computes the gradient and moves the node in its place, while its arrays are in the cache,
and does so for the nodes alone that an error has reached.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeAlias

import jax
import jax.numpy as jnp
import jax.tree_util as jtu
import numpy as np
from jax import Array, lax
from jaxtyping import Int, PyTree

from ._added_up import added_up
from ._loops import while_loop
from ._read_cell import one_of, read_cell
from ._runs import Group, Run
from ._stacks import Block, Stacks
from ._together import Part

if TYPE_CHECKING:
    from ._over_stacks import OverStacks


Move: TypeAlias = Callable[..., tuple[Array, PyTree]]
"""The movement of one node, `move(block, i, first, gradient, value, state) -> (value, state)`, given by whoever asks
for a step: the names of the nodes of which it is one, and its place among them, None if it is the only one; the step at
which it first takes part, None if it takes part in all; the gradient of the energy by its value, and its value before
the step, `[batch, *shape]` each; and the descent's state."""


class Sweep:
    """Steps of all free nodes of a landscape.

    **Arguments:**

    - `landscape`: the landscape; its groups must be blocks of the coordinates.
    - `values`: of its clamped nodes at least, `{node: [batch, *shape]}`.
    - `arrival`: the step, from 0, at which each node's gradient may first be other than zero; None if nothing is known.
    """

    def __init__(self, landscape: OverStacks, values: Mapping[str, Any], arrival: Mapping[str, int] | None) -> None:
        self._landscape, self._arrival = landscape, arrival
        self._free = frozenset(landscape.free)
        problem = landscape.problem
        self._givers = {
            n: landscape.single_gradient([n], self._free, values)
            for n in problem.items
            if isinstance(n, str) and n in problem.wiring.energy and self._felt(n)
        }
        self._parts = {id(g): _Part(landscape, g, values) for run in problem.runs for g in run.groups}

    def _felt(self, name: str) -> bool:
        graph = self._landscape.problem.graph
        return name in self._free or any(p in self._free for p in graph.parents[name])

    def step(self, coords: Stacks, states: Mapping[str, Any], move: Move, t: Int[Array, ""] | int) -> tuple[Any, Any]:
        """Move all free nodes by one step.

        **Arguments:**

        - `coords`: their values, in blocks.
        - `states`: of the descent, likewise.
        - `move`: how a node moves.
        - `t`: the number of steps before this one.

        **Returns:** the new values and states, in the same blocks.
        """
        pending: dict[str, Array] = {}
        new: dict[Block, tuple[Any, Any]] = {}
        for item in reversed(self._landscape.problem.items):
            if not isinstance(item, str):
                new |= self._over(item, coords, states, move, t, pending)
                continue
            if item in self._givers:
                for (name,), grad in self._givers[item](coords):
                    _give(pending, name, grad)
            if item in self._free:
                value = coords[item]
                grad = pending.pop(item) if item in pending else jnp.zeros_like(value)
                new[(item,)] = move((item,), None, None, grad, value, states[item])
        made = [new[block] for block in coords.blocks]
        return Stacks(coords.blocks, [v for v, _ in made]), Stacks(coords.blocks, [s for _, s in made])

    def _over(
        self,
        run: Run,
        coords: Stacks,
        states: Mapping[str, Any],
        move: Move,
        t: Int[Array, ""] | int,
        pending: dict[str, Array],
    ) -> dict[Block, tuple[Any, Any]]:
        """Move the nodes of a run, and take from and give to `pending` the gradients of nodes."""
        order, period, count = self._landscape.problem.graph.order, len(run.groups), run.repeats
        blocks = [group.names for group in run.groups]
        place = {block: i for i, block in enumerate(coords.blocks)}
        values = [coords.stacks[place[b]] for b in blocks]
        kept = [states.stacks[place[b]] for b in blocks] if isinstance(states, Stacks) else []
        depth = run.depths(order)

        def name_at(k: int, cell: int) -> str:
            return order[run.start + k + period * cell]

        # Gradients that nodes have from what was looked at before: of the next cells, from the last one on. Those that
        # nodes before the run have stay where they are.
        ring = {
            k: [
                _taken(pending, name_at(k, count - 1 - j), values[k]) if j < count else jnp.zeros_like(values[k][0])
                for j in range(back + 1)
            ]
            for k, back in depth.items()
        }
        more: dict[int, Any] = {
            k: added_up(blocks[k], [((n,), pending.pop(n)) for n in blocks[k] if n in pending])
            for k in range(period)
            if any(n in pending for n in blocks[k])
        }
        same = {
            n: jnp.zeros_like(coords[n])
            for g in run.groups
            for s in g.slots
            if s.kind == "value" and s.same and (n := s.names[0]) in self._free
        }
        parts = [self._parts[id(g)] for g in run.groups]
        first = self._first(run)
        shared = {n: self._landscape.value(n, coords) for n in same}
        before: dict[int, Any] = {k: self._before(run, k, back, values[k], coords) for k, back in depth.items()}

        def cell(carry: Any) -> Any:
            i, values, kept, ring, same = carry
            values, kept, same = list(values), list(kept), dict(same)
            c = count - 1 - i
            ring = {k: list(v) for k, v in ring.items()}
            seen, state = read_cell(c, values, kept, before)
            for k in reversed(range(period)):
                for at, grad in parts[k].gradients(c, seen, shared):
                    if isinstance(at, str):
                        if at in same:
                            same[at] = same[at] + grad
                    else:
                        other, back = at
                        ring[other][back] = ring[other][back] + grad
                grad = ring[k][0]
                if k in more:
                    grad = grad + lax.dynamic_index_in_dim(more[k], c, keepdims=False)
                since = None if first is None else jnp.asarray(first)[c]
                value, new = move(blocks[k], c, since, grad, seen[k][0], state[k])
                values[k] = lax.dynamic_update_index_in_dim(values[k], value, c, 0)
                kept[k] = jtu.tree_map(lambda a, b: lax.dynamic_update_index_in_dim(a, b, c, 0), kept[k], new)
            ring = {k: [*v[1:], jnp.zeros_like(v[0])] for k, v in ring.items()}
            return i + 1, values, kept, ring, same

        cells = jnp.int32(count)
        if first is not None:
            # From the last repetition down to the first one that an error has reached.
            cells = count - jnp.argmax(jnp.append(jnp.asarray(first) <= t, True)).astype(jnp.int32)
        start = (jnp.int32(0), values, kept, ring, same)
        _, values, kept, ring, same = while_loop(lambda carry: carry[0] < cells, cell, start)
        # What is left for nodes before the run. A skip may have reached some of them before all of the run is.
        left = 0 if first is None else count - cells
        for k, waiting in ring.items():
            for j, name in enumerate(run.before(order, k, depth[k])):
                if name is not None and name in self._free:
                    _give(pending, name, _after(waiting[j : depth[k]], left))
        for name, grad in same.items():
            _give(pending, name, grad)
        return {block: (values[k], kept[k]) for k, block in enumerate(blocks)}

    def _before(self, run: Run, k: int, back: int, like: Array, coords: Stacks) -> Array | None:
        """Return the values of the nodes before a run that its first repetitions read, the furthest first; zeros in the
        place of those that they don't. None if they read none."""
        zero = jnp.zeros(like.shape[1:], like.dtype)
        names = run.before(self._landscape.problem.graph.order, k, back)
        found = [zero if n is None else self._landscape.value(n, coords) for n in reversed(names)]
        return jnp.stack(found) if found else None

    def _first(self, run: Run) -> np.ndarray | None:
        """Return the step at which each repetition of a run, and all after it, first take part."""
        if self._arrival is None:
            return None
        never = np.iinfo(np.int32).max
        first = np.full((run.repeats,), never, np.int64)
        for group in run.groups:
            for slot in group.slots:
                if slot.kind == "value":
                    steps = [self._arrival.get(n, never) if n in self._free else never for n in slot.names]
                    first = np.minimum(first, steps)
        # A loop comes to all that lie after the one that it is to come to.
        return np.minimum.accumulate(first).astype(np.int32)


class _Part:
    """The gradient of one group's energies, cell by cell."""

    def __init__(self, landscape: OverStacks, group: Group, values: Mapping[str, Any]) -> None:
        self._landscape, self._group = landscape, group
        problem, together = landscape.problem, landscape.together
        part = Part(group, 0, len(group.names))
        free = frozenset(landscape.free)
        run = next(r for r in problem.runs if any(g is group for g in r.groups))
        self._ways = [i for i, s in enumerate(group.slots) if s.kind == "value" and any(n in free for n in s.names)]
        # The place in the repetition, and how many repetitions back.
        self._at = {
            i: at for i, s in enumerate(group.slots) if (at := run.place_read(problem.graph.order, s)) is not None
        }
        self._fixed = {i: together.argument(part, i, values) for i in range(len(group.slots)) if i not in self._ways}
        self._has_energy = len(group.wanted) > 1
        self._weights = landscape.weights_of_energy(part)

    def gradients(
        self, c: Int[Array, ""], seen: list[list[Array]], shared: Mapping[str, Array]
    ) -> list[tuple[str | tuple[int, int], Array]]:
        """Return the gradients of a cell's energy by the values that may move.

        **Arguments:**

        - `c`: which repetition.
        - `seen`: by the place in the repetition, the values of this one and those before it.
        - `shared`: values that all repetitions read.

        **Returns:** each gradient with the node that it is of, or its place in the repetition and how many repetitions
        back.
        """
        if not self._has_energy:
            return []
        group, landscape = self._group, self._landscape
        places = [self._at.get(i) for i in self._ways]
        moving = [
            shared[group.slots[i].names[0]] if at is None else seen[at[0]][at[1]]
            for i, at in zip(self._ways, places, strict=True)
        ]
        fixed = {i: a if axis is None else one_of(a, c) for i, (a, axis) in self._fixed.items()}
        (precision, scale), axes = self._weights
        precision, scale = (
            a if a is None or axis is None else one_of(a, c) for a, axis in zip((precision, scale), axes, strict=True)
        )

        def energy(moving: list[Array]) -> Array:
            given: list[Any] = [None] * len(group.slots)
            for i, a in [*zip(self._ways, moving, strict=True), *fixed.items()]:
                given[i] = a
            elements = landscape.together.evaluated(group, group.wanted[1:], given)[0]
            return landscape.weighed_by(group.names[0], elements, precision, scale, summed=True)

        grads = jax.grad(energy)(moving)
        return [(self._at.get(i, group.slots[i].names[0]), g) for i, g in zip(self._ways, grads, strict=True)]


def _after(grads: list[Array], left: Int[Array, ""] | int) -> Array:
    """Return the gradient that stands behind so many others; zero if there are no more."""
    if isinstance(left, int):
        return grads[left]
    found = jnp.zeros_like(grads[0])
    for i, grad in enumerate(grads):
        found = jnp.asarray(jnp.where(left == i, grad, found))
    return found


def _give(pending: dict[str, Array], name: str, grad: Array) -> None:
    pending[name] = grad if name not in pending else pending[name] + grad


def _taken(pending: dict[str, Array], name: str, like: Array) -> Array:
    return pending.pop(name) if name in pending else jnp.zeros(like.shape[1:], like.dtype)
