"""Groups shared out over devices by layer: what neighbours tell each other.

On a mesh with an axis `LAYERS` each device holds some of the layers of every group, side by side: a part of each stack,
along its first axis. JAX divides what is done to stacks, so that nothing else need know of it; but for two things,
which are said here in a form in which no device needs more than its own layers. Moving a stack on by a layer is an
exchange of one layer between neighbours. And values that follow one after the other go from device to device.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import jax.tree_util as jtu
from jax import Array, lax
from jax.core import Tracer
from jax.sharding import PartitionSpec
from jaxtyping import PyTree

from ._loops import scan

LAYERS = "layers"
"""The name of the axis of a mesh over which layers are shared out."""


def layer_devices() -> int:
    """Return over how many devices layers are shared out by the mesh that JAX divides programs by (`jax.set_mesh`); 1
    without one."""
    mesh = jax.sharding.get_abstract_mesh()
    kinds = dict(zip(mesh.axis_names, mesh.axis_types, strict=True))
    if kinds.get(LAYERS) in (None, jax.sharding.AxisType.Manual):
        return 1
    return dict(mesh.shape)[LAYERS]


def goes_evenly(tree: PyTree) -> bool:
    """Return whether each device can have as many layers of a stack as the others.

    **Arguments:**

    - `tree`: of arrays of a program, with the layers as first axis each.
    """
    devices, leaves = layer_devices(), jtu.tree_leaves(tree)
    return (
        devices > 1
        and len(leaves) > 0
        and all(isinstance(a, Tracer) for a in leaves)
        and all(a.ndim > 0 and a.shape[0] % devices == 0 for a in leaves)
    )


def shared_out(tree: PyTree) -> PyTree:
    """Say that each device has its own layers of a stack, and of these whatever else is said of them.

    **Arguments:**

    - `tree`: of arrays `[layers, ...]`.
    """
    if not goes_evenly(tree):
        return tree
    free = PartitionSpec.UNCONSTRAINED

    def one(a: Array) -> Array:
        return lax.with_sharding_constraint(a, PartitionSpec(LAYERS, *[free] * (a.ndim - 1)))

    return jtu.tree_map(one, tree)


def are_by_layer(stacks: Sequence[PyTree], size: int) -> bool:
    """Return whether pieces of stacks make up one of which each device has its layers.

    **Arguments:**

    - `stacks`: those that pieces are taken from.
    - `size`: layers in all.
    """
    devices = layer_devices()
    return devices > 1 and size % devices == 0 and any(isinstance(a, Tracer) for a in jtu.tree_leaves(stacks))


def joined_by_layer(like: PyTree, pieces: Sequence[tuple[PyTree | None, int, int]], size: int) -> PyTree:
    """Return pieces of stacks, one after the other, as one stack, each layer of which is made where it will be.

    Joined end to end, all of them would go to all devices. A piece of a stack of the same size goes as far as it is
    moved along, which is to the neighbour.

    **Arguments:**

    - `like`: one of the stacks.
    - `pieces`: stacks, each a tree of arrays, and from which to which of their layers; None is zeros.
    - `size`: layers in all.
    """
    leaves, treedef = jtu.tree_flatten(like)
    parts = [None if stack is None else treedef.flatten_up_to(stack) for stack, _, _ in pieces]
    made: list[Array] = []
    for k, leaf in enumerate(leaves):
        total, at = jnp.zeros((size, *leaf.shape[1:]), leaf.dtype), 0
        for part, (_, start, stop) in zip(parts, pieces, strict=True):
            if part is not None:
                place = lax.broadcasted_iota(jnp.int32, (size, *[1] * (leaf.ndim - 1)), 0)
                inside = (place >= at) & (place < at + stop - start)
                total = jnp.where(inside, _moved(part[k], start, stop, at, size), total)
            at += stop - start
        made.append(total)
    return shared_out(jtu.tree_unflatten(treedef, made))


def _moved(stack: Array, start: int, stop: int, at: int, size: int) -> Array:
    """Return a stack with some layers of another at a place; the others may be anything."""
    ends, zero = [(0, 0, 0)] * (stack.ndim - 1), jnp.zeros((), stack.dtype)
    if stack.shape[0] == size:
        return stack if at == start else lax.pad(stack, zero, [(at - start, start - at, 0), *ends])
    if stop - start == 1:
        return jnp.broadcast_to(stack[start:stop], (size, *stack.shape[1:]))
    return lax.pad(stack[start:stop], zero, [(at, size - at - (stop - start), 0), *ends])


def taken_out(stack: Array, i: int) -> Array:
    """Return one layer of a stack, on every device: nothing else of it leaves its own.

    **Arguments:**

    - `stack`: `[layers, ...]`.
    - `i`: which of them.
    """
    place = lax.broadcasted_iota(jnp.int32, (len(stack), *[1] * (stack.ndim - 1)), 0)
    return jnp.sum(jnp.where(place == i, stack, jnp.zeros((), stack.dtype)), axis=0, dtype=stack.dtype)


def one_after_the_other(body: Callable[..., Any], shared: PyTree, first: PyTree, xs: PyTree) -> PyTree:
    """Return what a loop over layers makes of each: one device after the other goes through its own layers, and hands
    on to the next what it has come to.

    **Arguments:**

    - `body`: a function of `shared`, of what comes from the layer before and of the layer's own arrays, to what goes on
        to the next and what is made.
    - `shared`: what all layers have.
    - `first`: what comes to the first layer.
    - `xs`: of the layers, with these as first axis.

    **Returns:** what is made, with the layers as first axis.
    """
    devices = layer_devices()

    def own_layers(shared: PyTree, first: PyTree, xs: PyTree) -> PyTree:
        place = lax.axis_index(LAYERS)

        def go_through(before: PyTree) -> tuple[PyTree, PyTree]:
            return scan(lambda carry, x: body(shared, carry, x), before, xs)

        nothing = jtu.tree_map(lambda a: jnp.zeros(a.shape, a.dtype), jax.eval_shape(go_through, first)[1])

        # Taken anew on the way back: else each device would keep what it has not made, too.
        @jax.checkpoint
        def turn(before: PyTree, made: PyTree, whose: Array) -> tuple[PyTree, PyTree]:
            after, new = lax.cond(place == whose, go_through, lambda before: (before, made), before)
            return jtu.tree_map(lambda a: lax.ppermute(a, LAYERS, [(i, i + 1) for i in range(devices - 1)]), after), new

        def turns(carry: tuple[PyTree, PyTree], whose: Array) -> tuple[tuple[PyTree, PyTree], None]:
            return turn(*carry, whose), None

        return lax.scan(turns, (first, nothing), jnp.arange(devices, dtype=jnp.int32))[0][1]

    return jax.shard_map(
        own_layers,
        in_specs=(PartitionSpec(), PartitionSpec(), PartitionSpec(LAYERS)),
        out_specs=PartitionSpec(LAYERS),
        axis_names={LAYERS},
        check_vma=False,
    )(shared, first, xs)
