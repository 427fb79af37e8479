"""Tests of whether all that a step would keep is finite."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import jax.tree_util as jtu
from jax import Array
from jaxtyping import PyTree

from ..energy import all_finite

_FIRST = -3  # codes from here on downwards; -1 is none, and -2 the input

PARTS = {
    "weights": "a weight would not be finite: lower the rate of the weights",
    "optim": (
        "what the optimiser of the weights remembers would not be finite, and every step after this one would suffer: "
        "look at the data, or lower the rate of the weights"
    ),
    "memory": (
        "a precision that learns, or what else the rule remembers, would leave the numbers' range, so that nothing was "
        "learned; the next batch may meet the same: lower the rate of the precision, or of the states, or keep a "
        "precision of your own within bounds, as pxl.LearnedPrecision is"
    ),
    "rest": "a param that doesn't learn, such as a running statistic, would not be finite: look at the data",
}
"""What may go bad, in words; by the parts of a state."""


def unsound(weights: PyTree, kept: dict[str, tuple[PyTree, PyTree]], strict: PyTree) -> Array:
    """Return a code of -3 or below for the first part of a new state that holds a number that is not finite; -1 if none
    does.

    A number that was not finite before either is left alone, unless it is none now: an optimiser's best value so far
    begins at infinity, and a mask may hold some. It is looked for only where something is not finite, so that a good
    step reads its numbers once.

    **Arguments:**

    - `weights`: the new ones.
    - `kept`: the other parts, new and old, by their names in a `State`.
    - `strict`: of the memory, what must be finite whatever it was.
    """
    pairs = {name: _changed(*trees) for name, trees in kept.items()}
    fine = all_finite((weights, strict, [[new for new, _ in each] for each in pairs.values()]))

    def look() -> Any:
        bad = {"weights": ~all_finite(weights)}
        for name, each in pairs.items():
            gone = [
                jnp.any((jnp.isfinite(old) & ~jnp.isfinite(new)) | (jnp.isnan(new) & ~jnp.isnan(old)))
                for new, old in each
            ]
            bad[name] = jnp.any(jnp.stack(gone)) if gone else jnp.array(False)
        bad["memory"] |= ~all_finite(strict)
        code = jnp.int32(-1)
        for i, name in reversed(list(enumerate(PARTS))):
            code = jnp.where(bad[name], jnp.int32(_FIRST - i), code)
        return code

    return jax.lax.cond(fine, lambda: jnp.int32(-1), look)


def in_words(code: int) -> str:
    """Say in words what a code of `unsound` stands for; -1 is an energy."""
    if code == -1:
        return "an energy or a weight gradient is not finite, though all values are: lower the rate of the weights"
    return list(PARTS.values())[_FIRST - code]


def _changed(new: PyTree, old: PyTree) -> list[tuple[Array, Array]]:
    pairs = zip(jtu.tree_leaves(new), jtu.tree_leaves(old), strict=True)
    return [(a, b) for a, b in pairs if a is not b and jnp.issubdtype(jnp.result_type(a), jnp.inexact)]
