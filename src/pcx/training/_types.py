"""Names for what the parts of training hand to each other."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias, TypeGuard

import jax
import numpy as np
from jaxtyping import PyTree

Json: TypeAlias = dict[str, Any] | list[Any] | str | float | int | bool | None
"""A value of a JSON file."""

Row: TypeAlias = dict[str, Any]
"""A row of the history: the numbers of one network in one epoch, by name."""

Batch: TypeAlias = tuple[PyTree, PyTree]
"""Inputs and targets `(x, y)`, trees of arrays `[batch, ...]`; x is None where the network has no input."""

Number: TypeAlias = int | float | np.number | np.ndarray
"""A number on the host: of Python, of NumPy, or an array without axes."""


def is_whole(x: object) -> TypeGuard[int]:
    """Return whether something is a whole number, of Python or NumPy; a truth value is none."""
    return isinstance(x, (int, np.integer)) and not isinstance(x, bool)


Settings: TypeAlias = Mapping[str, int | float]
"""The arguments of a function of the settings."""

SettingArrays: TypeAlias = Mapping[str, jax.Array]
"""The same as compiled steps take them: scalars, or with a first axis over networks."""

Metric: TypeAlias = Callable[[PyTree, PyTree], jax.Array]
"""`metric(output, y) -> [batch]`."""

Augment: TypeAlias = Callable[[jax.Array, PyTree], PyTree]
"""`augment(key, x) -> x`."""
