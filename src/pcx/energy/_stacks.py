"""Arrays by name of which those of equal shape lie in stacks: what equal local predictions are computed on together.

A `Stacks` reads like a dict by name; whoever takes one name out of it gets a slice. Code that goes through the blocks
of names instead (`blocks_of`) does the work of a whole stack by one operation, and the number of operations doesn't
grow with that of the names.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, TypeAlias

import jax
import jax.numpy as jnp
import jax.tree_util as jtu
import numpy as np
from jax import lax
from jax.core import Tracer
from jaxtyping import PyTree

from ..core import shown
from ._by_layer import are_by_layer, goes_evenly, joined_by_layer, taken_out

Block: TypeAlias = tuple[str, ...]
"""Names whose arrays lie in one stack, along its first axis; a single name's array has no such axis."""


_NUMBER = re.compile(r"(\d+)")


class Stacks(Mapping[str, Any]):
    """Arrays, or trees of arrays, by name, with some of them in stacks.

    **Arguments:**

    - `blocks`: the names, block by block, each name once.
    - `stacks`: a tree of arrays for each block, with the block as the first axis of each array where it has several
        names.
    """

    __slots__ = ("_places", "blocks", "stacks")

    def __init__(self, blocks: Iterable[Block], stacks: Iterable[PyTree]) -> None:
        self.blocks, self.stacks = tuple(blocks), tuple(stacks)
        self._places: dict[str, tuple[int, int]] | None = None

    @property
    def places(self) -> dict[str, tuple[int, int]]:
        """The block of each name, and its place in there."""
        if self._places is None:
            self._places = {n: (b, i) for b, names in enumerate(self.blocks) for i, n in enumerate(names)}
            if len(self._places) < sum(map(len, self.blocks)):
                raise ValueError(f"Stacks: a name is in the blocks twice: {self.blocks}")
        return self._places

    def with_stacks(self, stacks: Iterable[PyTree]) -> Stacks:
        """Return others in the same blocks.

        **Arguments:**

        - `stacks`: a tree of arrays for each block.

        **Returns:** a new one.
        """
        return Stacks(self.blocks, stacks)

    def regrouped(self, values: Mapping[str, Any]) -> Stacks:
        """Return others, given by name, in the same blocks.

        **Arguments:**

        - `values`: a tree of arrays for each name.

        **Returns:** a new one.
        """
        return regrouped(self.blocks, values)

    def __getitem__(self, name: str) -> Any:
        block, i = self.places[name]
        stack = self.stacks[block]
        return stack if len(self.blocks[block]) == 1 else jtu.tree_map(lambda a: _one_of(a, i), stack)

    def __iter__(self) -> Iterator[str]:
        return iter(_in_order(self.blocks))

    def __len__(self) -> int:
        return len(self.places)

    def __contains__(self, name: object) -> bool:
        return name in self.places

    def __repr__(self) -> str:
        return shown(self)


jtu.register_pytree_node(Stacks, lambda s: (s.stacks, s.blocks), lambda blocks, stacks: Stacks(blocks, stacks))


@functools.lru_cache(maxsize=256)
def _in_order(blocks: tuple[Block, ...]) -> tuple[str, ...]:
    """Return the names, layer by layer: by the first number in each, names of one layer block by block."""
    names = [n for block in blocks for n in block]
    return tuple(sorted(names, key=_numbers))


def _numbers(name: str) -> tuple[str, tuple[int, ...]]:
    head, *parts = _NUMBER.split(name, maxsplit=1)
    return head, tuple(map(int, parts[:1]))


def _one_of(a: Any, i: int) -> Any:
    """Return one array of a stack."""
    if isinstance(a, Tracer):
        return taken_out(a, i) if goes_evenly(a) else lax.index_in_dim(a, i, keepdims=False)
    if isinstance(a, jax.ShapeDtypeStruct):
        return jax.ShapeDtypeStruct(a.shape[1:], a.dtype)
    # Compiled once for all places.
    return lax.dynamic_index_in_dim(a, np.int32(i), keepdims=False) if isinstance(a, jax.Array) else a[i]


# -- block by block -----------------------------------------------------------------------------------
def blocks_of(values: Mapping[str, Any]) -> list[tuple[Block, Any]]:
    """Return names and arrays block by block; of a dict each name is a block of its own.

    **Arguments:**

    - `values`: arrays by name.
    """
    if isinstance(values, Stacks):
        return list(zip(values.blocks, values.stacks, strict=True))
    return [((n,), v) for n, v in values.items()]


def mapped(fn: Callable[..., Any], names: Sequence[str], axes: int | tuple[Any, ...] = 0) -> Callable[..., Any]:
    """Return a function of one name's arrays as a function of those of a block.

    **Arguments:**

    - `fn`: the function.
    - `names`: of the block.
    - `axes`: which arguments have the axis of the block, as in `jax.vmap`.
    """
    return jax.vmap(fn, axes) if len(names) > 1 else fn


def blockwise(values: Mapping[str, Any], fn: Callable[[Block, Any], Any]) -> Any:
    """Return a function's results by name, of a function of names and arrays that is asked block by block.

    **Arguments:**

    - `values`: arrays by name.
    - `fn`: a function of a block and its arrays.
    """
    if isinstance(values, Stacks):
        return Stacks(values.blocks, [fn(*each) for each in blocks_of(values)])
    return {n: fn((n,), v) for n, v in values.items()}


def repeated(tree: PyTree, names: Sequence[str]) -> PyTree:
    """Return a block in which each name has the same arrays."""
    if len(names) == 1:
        return tree
    return jtu.tree_map(lambda a: jnp.broadcast_to(jnp.asarray(a), (len(names), *np.shape(a))), tree)


# -- other blocks -------------------------------------------------------------------------------------
def gathered(names: Block, *sources: Mapping[str, Any]) -> PyTree:
    """Return the arrays of some names as one block, from the first of the sources that has each name.

    **Arguments:**

    - `names`: of the block.
    - `sources`: arrays by name.

    **Returns:** a stack; for one name its array.
    """
    found = [next(s for s in sources if n in s) for n in names]
    if len(names) == 1:
        return found[0][names[0]]
    return joined(list(zip(names, found, strict=True)))


def regrouped(blocks: Iterable[Block], *sources: Mapping[str, Any]) -> Stacks:
    """Return arrays in other blocks.

    **Arguments:**

    - `blocks`: the names, block by block.
    - `sources`: see `gathered`.
    """
    blocks = tuple(blocks)
    return Stacks(blocks, [gathered(names, *sources) for names in blocks])


def forms_of(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the shape and dtype of each name's array.

    **Arguments:**

    - `values`: arrays by name.
    """
    found: dict[str, Any] = {}
    for names, v in blocks_of(values):
        inside = int(len(names) > 1)
        one = jtu.tree_map(lambda a, k=inside: jax.ShapeDtypeStruct(np.shape(a)[k:], jnp.result_type(a)), v)
        found |= dict.fromkeys(names, one)
    return found


def in_blocks(blocks: Sequence[Block], values: Mapping[str, Any]) -> Any:
    """Return arrays by name in these blocks; a dict where each name is one.

    **Arguments:**

    - `blocks`: the names, block by block.
    - `values`: arrays by name.
    """
    if isinstance(values, Stacks) and values.blocks == tuple(blocks):
        return values
    if all(len(names) == 1 for names in blocks):
        return {n: values[n] for (n,) in blocks}
    return regrouped(blocks, values)


def batch_of(values: Mapping[str, Any]) -> int:
    """Return the number of samples of values by node, `[batch, *shape]` each."""
    names, value = blocks_of(values)[0]
    return int(value.shape[int(len(names) > 1)])


def selected(values: Mapping[str, Any], names: Iterable[str]) -> Any:
    """Return the arrays of some names, in the same stacks as far as these are wanted.

    **Arguments:**

    - `values`: arrays by name.
    - `names`: those that are wanted.
    """
    if not isinstance(values, Stacks):
        return {n: values[n] for n in names}
    wanted = set(names)
    blocks = [part for block in values.blocks for part in _parts(block, wanted)]
    return values if tuple(blocks) == values.blocks else regrouped(blocks, values)


def renamed(values: Mapping[str, Any], names: Mapping[str, str]) -> Any:
    """Return the arrays of some names under other names, whose order is the reverse of theirs.

    **Arguments:**

    - `values`: arrays by name.
    - `names`: the other name of each that is wanted.
    """
    if not isinstance(values, Stacks):
        return {other: values[n] for n, other in names.items() if n in values}
    # What stands side by side does so afterwards, too.
    found = blocks_of(selected(values, names))
    flipped = [v if len(block) == 1 else jtu.tree_map(lambda a: jnp.flip(a, 0), v) for block, v in found]
    return Stacks([tuple([names[n] for n in reversed(block)]) for block, _ in found], flipped)


def updated(values: Mapping[str, Any], new: Mapping[str, Any]) -> Any:
    """Return arrays by name with others in the place of some.

    **Arguments:**

    - `values`: arrays by name.
    - `new`: those that take the places of some, or are added.
    """
    if not isinstance(values, Stacks) and not isinstance(new, Stacks):
        return {**values, **new}
    kept = selected(values, [n for n in values if n not in new])
    both = [*blocks_of(kept), *blocks_of(new)]
    return Stacks([names for names, _ in both], [v for _, v in both])


def _parts(block: Block, wanted: set[str]) -> list[Block]:
    """Return those of a block's names that are wanted, in pieces that stand side by side."""
    parts: list[list[str]] = []
    before = None
    for i, name in enumerate(block):
        if name in wanted:
            if before != i - 1 or before is None:
                parts.append([])
            parts[-1].append(name)
            before = i
    return [tuple(part) for part in parts]


def joined(sources: Sequence[tuple[str, Mapping[str, Any] | None]]) -> PyTree:
    """Return arrays by name as a stack: what stands side by side in one stack is taken from it by one slice; zeros
    where there is no source."""
    pieces: list[tuple[Any, int, int]] = []  # a stack, from, to
    for name, source in sources:
        stack, i = _NOTHING, 0
        if isinstance(source, Stacks):
            block, i = source.places[name]
            stack = source.stacks[block]
            if len(source.blocks[block]) == 1:
                stack, i = jtu.tree_map(_alone, stack), 0
        elif source is not None:
            stack = jtu.tree_map(_alone, source[name])
        last, start, stop = pieces[-1] if pieces else (None, 0, 0)
        if last is stack and (stop == i or stack is _NOTHING):
            pieces[-1] = stack, start, stop + 1
        else:
            pieces.append((stack, i, i + 1))
    some = next(stack for stack, _, _ in pieces if stack is not _NOTHING)
    if len(pieces) > 1 and are_by_layer([stack for stack, _, _ in pieces if stack is not _NOTHING], len(sources)):
        own = [(None if stack is _NOTHING else stack, start, stop) for stack, start, stop in pieces]
        return joined_by_layer(some, own, len(sources))
    made = [_piece(some, *piece) for piece in pieces]
    return made[0] if len(made) == 1 else jtu.tree_map(_concatenated, *made)


def _alone(a: Any) -> Any:
    """Return a stack of one array."""
    return np.asarray(a)[None] if isinstance(a, (np.ndarray, np.generic)) else jnp.asarray(a)[None]


def _concatenated(*a: Any) -> Any:
    # On the host there is nothing to compile.
    return (np if all(isinstance(each, np.ndarray) for each in a) else jnp).concatenate(a)


_NOTHING = object()


def _piece(like: PyTree, stack: PyTree, start: int, stop: int) -> PyTree:
    if stack is _NOTHING:
        return jtu.tree_map(lambda a: jnp.zeros((stop - start, *a.shape[1:]), a.dtype), like)
    return jtu.tree_map(lambda a: a if (start, stop) == (0, a.shape[0]) else a[start:stop], stack)
