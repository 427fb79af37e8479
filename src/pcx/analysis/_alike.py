"""The same numbers of many arrays, those of equal shapes at once."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
import jax.tree_util as jtu
from jaxtyping import PyTree

T = TypeVar("T")


def of_each(fn: Callable[..., T], *by_name: Mapping[str, PyTree]) -> dict[str, T]:
    """Return `{name: fn(*trees of that name)}`. Those that are alike are computed together, so that a deep network
    takes no larger program than one with a layer of each kind.

    **Arguments:**

    - `fn`: a pure function of trees of arrays.
    - `by_name`: the trees, with the same names; names that the first doesn't have are left out.
    """
    alike: dict[object, list[str]] = {}
    given: dict[str, Any] = {name: tuple([each[name] for each in by_name]) for name in by_name[0]}
    for name, trees in given.items():
        leaves, form = jtu.tree_flatten(trees)
        alike.setdefault((form, *[(jnp.shape(a), jnp.result_type(a)) for a in leaves]), []).append(name)
    found: dict[str, T] = {}
    for names in alike.values():
        if len(names) == 1:
            found[names[0]] = fn(*given[names[0]])
            continue
        stacked = jtu.tree_map(lambda *a: jnp.stack(a), *[given[n] for n in names])
        results = jax.vmap(lambda trees: fn(*trees))(stacked)
        for i, name in enumerate(names):
            found[name] = jtu.tree_map(lambda a, i=i: a[i], results)
    return {name: found[name] for name in by_name[0]}
