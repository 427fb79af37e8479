"""Steps until each sample has settled."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array
from jaxtyping import Bool, Float, Int

from ..energy import (
    Block,
    Energies,
    Landscape,
    Nodes,
    Weights,
    batch_of,
    blocks_of,
    blockwise,
    gathered,
    in_blocks,
    mapped,
    while_loop,
)
from ._descent import Descents
from ._first_bad import find_bad
from ._fixed import Look
from ._plan import Plan
from ._solution import RESULT, Solution, finite_samples
from ._step import take_step
from ._stop import Stop


class _At(NamedTuple):
    """The place between two steps.

    **Attributes:**

    - `t`: steps taken by the loop.
    - `nodes`: the coordinates, `{node: [batch, *shape]}`; `states`: those of the descent, by node.
    - `done`: which samples have settled; `taken`: steps taken by each, `[batch]`.
    - `before`: each sample's energy a step ago, `[batch]`.
    - `bad`: where a value was first not finite, see `find_bad`.
    - `key`: for what is random from here on.
    - `trace`: what was kept at the steps so far, NaN at others, `{node: [steps + 1, batch]}`.
    """

    t: Int[Array, ""]
    nodes: Nodes
    states: Weights
    done: Bool[Array, " batch"]
    taken: Int[Array, " batch"]
    before: Float[Array, " batch"]
    bad: Int[Array, ""]
    key: Array | None
    trace: dict[str, Float[Array, "steps batch"]]


def until(
    stop: Stop,
    landscape: Landscape,
    descent: Descents,
    plan: Plan,
    start: Nodes,
    key: Array | None = None,
    look: Look | None = None,
) -> Solution:
    """Return where nodes are when a stop says that each sample has settled, or after its steps.

    **Arguments:**

    - `stop`: a stop that may come early.
    - `landscape`, `descent`, `plan`: the energy, how nodes move, and the step that is taken again and again.
    - `start`: their coordinates at the start, `{node: [batch, *shape]}`.
    - `key`: see `relax`.
    - `look`: what is kept at each step, a function of the coordinates; None if nothing is.
    """
    groups = plan.segments[0].groups
    names = landscape.names
    # Whatever way a step hands them back.
    blocks = [names for names, _ in blocks_of(start)]
    grad = landscape.gradient(start, groups[0]) if len(groups) == 1 else None

    def step(at: _At) -> _At:
        t, values, states, done, taken, before, bad, key, kept = at
        key, draw = (None, None) if key is None else jax.random.split(key)
        each = landscape.energies(values)
        row = {} if look is None else look(values)
        kept = {n: a.at[t].set(row[n]) for n, a in kept.items()}
        energy = _sum(each)
        moved, states, grads = take_step(
            landscape, descent, groups, values, states, t, key=draw, grad=grad, wave=plan.wave
        )
        moved, states = in_blocks(blocks, moved), in_blocks(blocks, states)
        rest = stop.reached(energy, before, grads)
        done = done | (rest & (t >= plan.reached) if stop.waits else rest)
        values = _kept(done, values, moved)
        bad = find_bad(names, blocks_of(values), t + 1, bad)
        done = done | ~finite_samples(values)
        return _At(t + 1, values, states, done, taken + (~done).astype(jnp.int32), energy, bad, key, kept)

    def going(at: _At) -> Bool[Array, ""]:
        return (at.t < stop.steps) & ~jnp.all(at.done)

    states = blockwise(start, lambda names, v: mapped(descent.at(names[0]).init, names)(v))
    end = while_loop(going, step, _first(stop, landscape, start, states, key, look))
    kept = None if look is None else {n: end.trace[n].at[end.t].set(e) for n, e in look(end.nodes).items()}
    result = jnp.where(end.done, RESULT.settled, RESULT.out_of_steps).astype(jnp.int32)
    result = jnp.where(finite_samples(end.nodes), result, RESULT.not_finite)
    return Solution(end.nodes, end.taken, result, kept, end.bad)


def _first(
    stop: Stop, landscape: Landscape, start: Nodes, states: Weights, key: Array | None, look: Look | None
) -> _At:
    """Return the place before the first step."""
    size = batch_of(start)
    each = landscape.energies(start)
    seen = {} if look is None else look(start)
    unseen = {n: jnp.full((stop.steps + 1, size), jnp.nan, e.dtype) for n, e in seen.items()}
    return _At(
        t=jnp.int32(0),
        nodes=start,
        states=states,
        done=jnp.zeros((size,), bool),
        taken=jnp.zeros((size,), jnp.int32),
        before=jnp.full((size,), jnp.inf, jnp.result_type(_sum(each))),
        bad=find_bad(landscape.names, blocks_of(start), 0),
        key=key,
        trace=unseen,
    )


def _sum(energies: Energies) -> Float[Array, " batch"]:
    each = [e if len(names) == 1 else jnp.sum(e, axis=0) for names, e in blocks_of(energies)]
    return sum(each[1:], each[0])


def _kept(done: Bool[Array, " batch"], old: Nodes, new: Nodes) -> Any:
    """Return the new values, but the old ones of samples that are done."""

    def kept(names: Block, v: Array) -> Array:
        return jnp.asarray(
            jnp.where(done.reshape(-1, *[1] * (v.ndim - 1 - int(len(names) > 1))), gathered(names, old), v)
        )

    return blockwise(new, kept)
