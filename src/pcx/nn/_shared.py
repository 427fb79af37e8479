"""Modules that hold the same params."""

from __future__ import annotations

from typing import TypeVar

import jax
import jax.numpy as jnp
import jax.tree_util as jtu
import numpy as np

from ..core import BaseParam, Choice, Filling, like, predicate, static_copies, walk

T = TypeVar("T")


def shared(module: T, filter: Choice = BaseParam) -> T:
    """Return a new module, all modules inside new as well, that holds the very same params.

    What is set in a shared param through one module is there in the other; attributes, the mode among them, are each
    module's own. A param or module that is referred to many times inside is so in the new module too.

    **Arguments:**

    - `module`: the module to share with.
    - `filter`: which params are shared: a param type, a union of types, a predicate on params, or None for all. Of the
        others the new module has copies.

    **Returns:** a module of the same class.

    **Raises:** `TypeError` for any other filter.
    """
    picks = predicate("pxnn.shared", filter)
    # The walk knows of everything in a module that is shared inside it, which a pytree doesn't.
    plan = walk({"module": module})
    key, *params = plan.params
    params = [p if picks(p) else _copy(p) for p in params]
    return plan.skeleton.build(Filling([key, *params], plan.raws, static_copies(plan)))["module"]


def _copy(param: BaseParam) -> BaseParam:
    return like(param, jtu.tree_map(_copied, BaseParam.get(param)))


def _copied(x: object) -> object:
    # Arrays too: the buffer of a shared one would be gone from the copy when the other is donated.
    if isinstance(x, jax.Array):
        return jnp.array(x, copy=True)
    return np.array(x) if isinstance(x, np.ndarray) else x
