"""A fixed number of steps, of which equal ones are compiled once."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any, NamedTuple, TypeAlias

import jax
import jax.numpy as jnp
from jax import Array
from jaxtyping import Float, Int, PyTree

from ..energy import (
    Block,
    Landscape,
    Nodes,
    Stacks,
    Weights,
    batch_of,
    blocks_of,
    gathered,
    in_blocks,
    mapped,
    repeated,
    scan,
    selected,
    updated,
)
from ._descent import Descents
from ._first_bad import find_bad
from ._idle import Idle
from ._look_back import LookBack
from ._plan import Plan, Segment, cut
from ._solution import RESULT, Solution, finite_samples
from ._solver import Observe
from ._step import take_step

Rows: TypeAlias = dict[str, Float[Array, "*steps batch"]]
"""What is kept after one step, `{node: [batch]}`, or after several, `{node: [steps, batch]}`."""
Look: TypeAlias = Callable[[Nodes], dict[str, Array]]


def fixed_steps(
    steps: int,
    landscape: Landscape,
    descent: Descents,
    plan: Plan,
    start: Nodes,
    key: Array | None = None,
    look: Look | None = None,
    observe: Observe | None = None,
    unobserved: int = 0,
) -> Solution:
    """Return where nodes are after a number of steps.

    **Arguments:**

    - `steps`: their number; nothing moves in those that the plan leaves out at the end.
    - `landscape`, `descent`, `plan`: the energy, how nodes move, and which move when.
    - `start`: their coordinates at the start, `{node: [batch, *shape]}`.
    - `look`: what is kept at each step, a function of the coordinates; None if nothing is.
    - `key`, `observe`, `unobserved`: see `relax`.
    """
    loop = _Loop(landscape, descent, plan, look)
    back, none = LookBack(landscape.names), jnp.int32(-1)
    bad = none if back.holds(blocks_of(start), 0) else find_bad(landscape.names, blocks_of(start), 0)
    rows = [look(start)] if look is not None else []
    seen = None if observe is None else jax.tree.map(_zeros, jax.eval_shape(observe, start))
    at = _At(start, {}, bad, key, seen)
    t = 0
    # Those who look see the steps at the end in which nothing moves.
    left = Segment(max(steps - sum(segment.repeats for segment in plan.segments), 0), ())
    for segment in cut((*plan.segments, left), unobserved):
        looks = None if t < unobserved else observe
        at, more = loop.move(segment, at, t, back, looks) if segment.groups else loop.rest(segment, at, looks)
        rows += [] if more is None else [more]
        t += segment.repeats
    bad = back.first_bad(at.nodes, at.bad)
    size = batch_of(start)
    taken = jnp.full((size,), steps, jnp.int32)
    result = jnp.where(finite_samples(at.nodes), jnp.zeros((size,), jnp.int32), RESULT.not_finite)
    traced = jax.tree.map(lambda *e: jnp.concatenate([jnp.atleast_2d(each) for each in e]), *rows) if rows else None
    return Solution(at.nodes, taken, result, traced, bad, at.seen)


class _At(NamedTuple):
    """The place between two steps.

    **Attributes:**

    - `nodes`: the coordinates, `{node: [batch, *shape]}`.
    - `states`: those of the descent, of the nodes that have begun to move.
    - `bad`: where a value was first not finite, see `find_bad`.
    - `key`: for what is random from here on.
    - `seen`: the sum of what was observed; None if nothing is.
    """

    nodes: Nodes
    states: Weights
    bad: Int[Array, ""]
    key: Array | None
    seen: PyTree


@dataclasses.dataclass(frozen=True)
class _Loop:
    """The values that all steps share, see `fixed_steps`."""

    landscape: Landscape
    descent: Descents
    plan: Plan
    look: Look | None

    def move(
        self, segment: Segment, at: _At, t: int, back: LookBack, observe: Observe | None
    ) -> tuple[_At, Rows | None]:
        """Take the steps of a segment, of which the first is the `t`-th from 0; `back` holds their values where they
        are written out.

        **Returns:** the place afterwards, and what is kept after each step, if anything is.
        """
        landscape = self.landscape
        names, wave = landscape.names, self.plan.wave
        moving = [n for group in segment.groups for n in group]
        blocks = landscape.blocks(moving, self.descent.kind)
        inside = frozenset(moving)
        still = selected(at.nodes, [n for n in at.nodes if n not in inside])
        start, states = self._begun(blocks, at, t)
        # With one group all that doesn't move is done with before the loop.
        grad, sweep, idle = None, None, None
        if len(segment.groups) == 1:
            if inside == frozenset(landscape.free):
                idle = None if self.plan.idle is None or wave is None or wave.known is None else Idle(self.plan.idle)
                idle = idle if idle is not None and idle.known else None
                sweep = landscape.sweep(start, None if idle is None or wave is None else wave.known)
            grad = landscape.gradient(at.nodes, segment.groups[0]) if sweep is None else None

        def step(carry: _At, i: Array | int) -> tuple[_At, Rows | None]:
            values, states, bad, key, seen = carry
            key, draw = (None, None) if key is None else jax.random.split(key)
            values = updated(still, values)
            values, states, _ = take_step(
                landscape,
                self.descent,
                segment.groups,
                values,
                states,
                t + i,
                key=draw,
                grad=grad,
                wave=wave,
                sweep=sweep,
                idle=idle,
            )
            moved = in_blocks(blocks, values)
            states = in_blocks(blocks, states)
            if not (isinstance(i, int) and back.holds(blocks_of(moved), t + 1 + i)):
                bad = find_bad(names, blocks_of(moved), t + 1 + i, bad)
            if observe is not None:
                seen = jax.tree.map(jnp.add, seen, observe(values))
            return _At(moved, states, bad, key, seen), None if self.look is None else self.look(values)

        twice = segment.repeats == 2 and len(moving) <= _FEW and not isinstance(at.nodes, Stacks)
        bad = at.bad if segment.repeats == 1 or twice else back.first_bad(at.nodes, at.bad)
        carry = _At(start, states, bad, at.key, None if observe is None else at.seen)
        if segment.repeats == 1:
            end, rows = step(carry, 0)
        elif twice:
            # As the segments before it: in a loop the same operations would be compiled anew.
            middle, first = step(carry, 0)
            end, rows = step(middle, 1)
            rows = None if rows is None else jax.tree.map(lambda a, b: jnp.stack([a, b]), first, rows)
        else:
            end, rows = scan(step, carry, jnp.arange(segment.repeats, dtype=jnp.int32))
        seen = at.seen if observe is None else end.seen
        nodes, states = updated(still, end.nodes), updated(at.states, end.states)
        return end._replace(nodes=nodes, states=states, seen=seen), rows

    def rest(self, segment: Segment, at: _At, observe: Observe | None) -> tuple[_At, Rows | None]:
        """Look at steps in which nothing moves; see `move`."""
        if observe is not None:
            seen = jax.tree.map(lambda s, a: s + segment.repeats * a, at.seen, observe(at.nodes))
            at = at._replace(seen=seen)
        if self.look is None:
            return at, None
        each = self.look(at.nodes)
        return at, {n: jnp.broadcast_to(e, (segment.repeats, *e.shape)) for n, e in each.items()}

    def _begun(self, blocks: tuple[Block, ...], at: _At, t: int) -> tuple[Any, Any]:
        """Return the coordinates of nodes that move from the `t`-th step on, and their states: those that they have,
        or first ones."""
        fresh = [tuple([n for n in names if n not in at.states]) for names in blocks]
        first: list[PyTree] = []
        for names in filter(None, fresh):
            waiting = self.plan.waiting.get(names[0])
            if waiting is not None:
                first.append(repeated(waiting[t], names))
            else:
                first.append(mapped(self.descent.at(names[0]).init, names)(gathered(names, at.nodes)))
        begun = Stacks([names for names in fresh if names], first)
        states = updated(at.states, begun)
        return in_blocks(blocks, at.nodes), in_blocks(blocks, states)


_FEW = 16  # nodes that may be written out twice


def _zeros(a: jax.ShapeDtypeStruct) -> Array:
    return jnp.zeros(a.shape, a.dtype)
