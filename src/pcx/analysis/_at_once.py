"""Functions that close over arrays, as one compiled program."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import jax
import jax.extend.core as jex
import jax.numpy as jnp
import jax.tree_util as jtu
from jax.core import Tracer
from jax.typing import ArrayLike
from jaxtyping import PyTree

T = TypeVar("T")

_programs: OrderedDict[tuple[object, ...], Callable[..., list[ArrayLike]]] = OrderedDict()
KEPT = 64
"""The most programs that are kept, those that were used last."""


def at_once(fn: Callable[..., T], *args: PyTree) -> T:
    """Return what a function of arrays returns, computed by one program rather than operation by operation.

    What the function closes over, such as the arrays of a landscape, is passed in as arguments: as constants of the
    program, XLA would compute with them as it compiles. And so a program is compiled once for all functions that
    compute the same, as of one network before and after it learned.

    **Arguments:**

    - `fn`: a pure function of trees of arrays.
    - `args`: what to call it with.
    """
    traced, form = jax.make_jaxpr(fn, return_shape=True)(*args)

    def run(consts: Sequence[ArrayLike], leaves: Sequence[ArrayLike]) -> list[ArrayLike]:
        return jex.jaxpr_as_fun(jex.ClosedJaxpr(traced.jaxpr, list(consts)))(*leaves)

    given: Any = jtu.tree_map(jnp.asarray, (list(traced.consts), jtu.tree_leaves(args)))
    program: Any = jax.jit(run)
    if not any(isinstance(a, Tracer) for a in jtu.tree_leaves(given)):
        program = _compiled(program.lower(*given), given)
    return jtu.tree_unflatten(jtu.tree_structure(form), program(*given))


def _compiled(lowered: Any, given: PyTree) -> Callable[..., list[ArrayLike]]:
    """Return the program that was compiled of the same text, for arrays on the same devices."""
    text = hashlib.sha256(lowered.as_text().encode()).digest()
    key = text, *[a.sharding for a in jtu.tree_leaves(given)]
    if key not in _programs:
        _programs[key] = lowered.compile()
        if len(_programs) > KEPT:
            _programs.popitem(last=False)
    _programs.move_to_end(key)
    return _programs[key]
