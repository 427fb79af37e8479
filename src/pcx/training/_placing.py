"""Arrays and functions of several networks or processes, as layouts place them."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
import jax.tree_util as jtu
import numpy as np
from jax.sharding import NamedSharding
from jaxtyping import PyTree

from ..core import is_typed_key

T = TypeVar("T", bound=PyTree)


def in_turn(f: Callable[..., T], axes: Sequence[int | None]) -> Callable[..., T]:
    """Map a function over networks one after the other."""

    def mapped(*args: Any) -> T:
        stacked = [a for a, axis in zip(args, axes, strict=True) if axis is not None]

        def one(own: list[PyTree]) -> T:
            left = iter(own)
            return f(*[next(left) if axis is not None else a for a, axis in zip(args, axes, strict=True)])

        if jtu.tree_leaves(stacked)[0].shape[0] == 1:  # no loop around it
            return jtu.tree_map(lambda a: a[None], one(jtu.tree_map(lambda a: a[0], stacked)))
        return jax.lax.map(one, stacked)

    return mapped


def of_this_process(a: jax.Array | np.ndarray, sharding: NamedSharding) -> jax.Array:
    """Place an array, the same in every process, of which this process places what its devices hold."""
    if isinstance(a, jax.Array) and is_typed_key(a):
        data = of_this_process(jax.random.key_data(a), sharding)
        return jax.random.wrap_key_data(data, impl=jax.random.key_impl(a))
    if isinstance(a, jax.Array) and not a.is_fully_addressable:
        return a if a.sharding == sharding else jax.device_put(a, sharding)
    host = np.asarray(a)
    return jax.make_array_from_callback(host.shape, sharding, lambda index: host[index])


@functools.lru_cache(maxsize=8)
def placed_by_program(sharding: NamedSharding) -> Callable[[T], T]:
    """Return a function that places a tree of arrays, wherever their parts lie, by a compiled program."""
    return jax.jit(lambda tree: jtu.tree_map(jnp.asarray, tree), out_shardings=sharding)
