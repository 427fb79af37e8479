"""Tests of whether all that a step takes and gives is finite."""

from __future__ import annotations

from collections.abc import Mapping

import jax.numpy as jnp
import jax.tree_util as jtu
from jax import Array
from jaxtyping import PyTree

from ..energy import spoilt

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


def unsound(weights: Array, kept: Mapping[str, tuple[PyTree, PyTree]], strict: Array) -> Array:
    """Return a code of -3 or below for the first part of a new state that holds a number that is not finite; -1 if none
    does.

    A number that was not finite before either is left alone, unless it is none now: an optimiser's best value so far
    begins at infinity, and a mask may hold some.

    **Arguments:**

    - `weights`: whether the new ones are finite.
    - `kept`: the other parts, new and old, by their names in a `State`.
    - `strict`: whether all is finite that must be so whatever it was before, which is of the memory.
    """
    bad = {"weights": ~weights} | spoilt({name: changed(*trees) for name, trees in kept.items()})
    bad["memory"] |= ~strict
    code = jnp.int32(-1)
    for i, name in reversed(list(enumerate(PARTS))):
        code = jnp.where(bad[name], jnp.int32(_FIRST - i), code)
    return code


def in_words(code: int) -> str:
    """Say in words what a code of `unsound` stands for; -1 is an energy."""
    if code == -1:
        return "an energy or a weight gradient is not finite, though all values are: lower the rate of the weights"
    return list(PARTS.values())[_FIRST - code]


def changed(new: PyTree, old: PyTree) -> list[tuple[Array, Array]]:
    """Return the arrays of two trees that are not the very same ones, in pairs, where they hold real numbers."""
    pairs = zip(jtu.tree_leaves(new), jtu.tree_leaves(old), strict=True)
    return [(a, b) for a, b in pairs if a is not b and jnp.issubdtype(jnp.result_type(a), jnp.inexact)]
