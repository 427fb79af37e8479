"""Names for what is taken of any type, or of several, so that a signature says what is meant."""

from __future__ import annotations

from typing import Any, TypeAlias

import jax
import numpy as np

Tree: TypeAlias = Any
"""Any pytree: an array or a number, or modules, layers, lists, tuples and dicts around some."""

Value: TypeAlias = Any
"""What a param holds: an array, a pytree of arrays, or None."""

Constant: TypeAlias = Any
"""A part of a program: a number, a text, a function, a configuration, any object."""

Mask: TypeAlias = Any
"""What is said of each param of an object: one value for all, a tree of values like the object, a mask to be asked, or
a function of the object that gives one of these."""

Whole: TypeAlias = int | np.integer | np.ndarray | jax.Array
"""A whole number, of any library."""
