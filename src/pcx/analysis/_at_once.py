"""Functions that close over arrays, as one compiled program."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import jax
import jax.extend.core as jex
import jax.tree_util as jtu
from jax.typing import ArrayLike
from jaxtyping import PyTree

T = TypeVar("T")


def at_once(fn: Callable[..., T], *args: PyTree) -> T:
    """Return what a function of arrays returns, computed by one program rather than operation by operation.

    What the function closes over, such as the arrays of a landscape, is passed in as arguments: as constants of the
    program, XLA would compute with them as it compiles.

    **Arguments:**

    - `fn`: a pure function of trees of arrays.
    - `args`: what to call it with.
    """
    traced, form = jax.make_jaxpr(fn, return_shape=True)(*args)

    def run(consts: list[ArrayLike], leaves: list[ArrayLike]) -> list[ArrayLike]:
        return jex.jaxpr_as_fun(jex.ClosedJaxpr(traced.jaxpr, consts))(*leaves)

    found = jax.jit(run)(list(traced.consts), jtu.tree_leaves(args))
    return jtu.tree_unflatten(jtu.tree_structure(form), found)
