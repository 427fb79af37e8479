"""Sums over features, and tests for bad numbers at the price of reading the values once.

A test for each number would store what it finds as an array of its own; a sum is finite where its numbers are.

On CPUs sums are taken by products with columns of ones and zeros. XLA hands products of matrices to a library, and so
has nothing to compile: a product with one column takes it 10 to 30 ms for each, a plain sum 20 ms for each shape and 2
for each further array of it. A sum over rows by itself would also add up their numbers one after the other.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import jax.tree_util as jtu
import numpy as np
from jax import Array
from jaxtyping import Bool, Float, PyTree

_MANY = 2048  # numbers in a row
_FEW = 2**16  # numbers of an array
_ROW = 64  # of numbers that are tested together
# Any finite numbers; equal ones would be written by a program that has to be compiled.
_FILL = np.linspace(0, 1, _ROW, dtype=np.float32)


def row_sums(x: Array) -> Float[Array, " batch"]:
    """Return the sum of everything but the first axis, `[batch]`, in float32 at least."""
    if _by_products(x):
        return _by_product(x)
    if _row(x) >= _MANY:
        # Convolutions are dear enough. A plain sum takes numbers as they are made and in the layout that they have; a
        # product would need them in memory, in rows.
        return jnp.sum(x, axis=tuple(range(1, x.ndim)), dtype=_wide(x))
    rows = x.reshape(x.shape[0], -1)
    ones = jnp.ones((rows.shape[1],), x.dtype)
    return jnp.matmul(rows, ones, precision=jax.lax.Precision.HIGHEST, preferred_element_type=_wide(x))


@jax.custom_jvp
def _by_product(x: Array) -> Array:
    return _row_products(x)[:, 0]


@_by_product.defjvp
def _by_product_jvp(primals: tuple[Array], tangents: tuple[Array]) -> tuple[Array, Array]:
    # The gradient of a sum is nothing but ones, for which no product is needed.
    (x,), (t,) = primals, tangents
    return _by_product(x), jnp.sum(t, axis=tuple(range(1, t.ndim)), dtype=_wide(t))


def are_finite(values: Sequence[Array]) -> list[Bool[Array, ""]]:
    """Return whether each of the arrays `[batch, ...]` holds finite numbers alone, with a finite sum."""
    return [jax.lax.is_finite(_sum(v)) for v in values]


def are_finite_each(stack: Array) -> Bool[Array, " arrays"]:
    """Return whether each of the arrays of a stack `[arrays, batch, ...]` holds finite numbers alone, with finite sums
    over the batch."""
    sums = jnp.sum(stack, axis=1, dtype=_wide(stack)) if jnp.ndim(stack) > 1 else stack
    return jnp.all(jnp.isfinite(sums.reshape(stack.shape[0], -1)), axis=1)


class Finiteness:
    """The numbers of several trees, tested for those that are not finite.

    **Arguments:**

    - `trees`: trees of arrays, by name. What holds no floats counts as finite.
    """

    def __init__(self, trees: Mapping[str, PyTree]) -> None:
        self._names = tuple(trees)
        self._parts = _Parts([[_some_sums(a) for a in jtu.tree_leaves(t) if _is_float(a)] for t in trees.values()])
        self._sums = self._parts.row_sums(self._parts.joined())

    def all(self) -> Bool[Array, ""]:
        """Return whether all numbers are finite, and have a finite sum."""
        return jax.lax.is_finite(_first_column(self._sums))

    def each(self) -> dict[str, Bool[Array, ""]]:
        """Return whether the numbers of each tree are finite, by name."""
        bad = jax.lax.select(jax.lax.is_finite(self._sums), jnp.zeros_like(self._sums), jnp.ones_like(self._sums))
        return dict(zip(self._names, self._parts.none(bad), strict=True))


def spoilt(pairs: Mapping[str, Sequence[tuple[Array, Array]]]) -> dict[str, Bool[Array, ""]]:
    """Return of each of several lists of pairs, a new array and an old one of the same shape, whether a number is not
    finite now that was, or not a number that was one."""
    found: dict[str, list[Array]] = {n: [] for n in pairs}
    few: dict[str, list[tuple[Array, Array]]] = {n: [] for n in pairs}
    for name, each in pairs.items():
        for new, old in each:
            if new.size < _TOGETHER and jnp.isrealobj(new) and not _is_shared_out():
                few[name].append((new, old))
            else:
                found[name].append(jnp.any(_is_spoilt(new, old)))
    # As one array: each shape would be compiled by itself.
    parts, before = (_Parts([[jnp.ravel(pair[i]) for pair in each] for each in few.values()]) for i in range(2))
    bad = _is_spoilt(parts.joined(), before.joined())
    sums = parts.row_sums(jax.lax.select(bad, np.ones(bad.shape, np.float32), np.zeros(bad.shape, np.float32)))
    for name, none in zip(few, parts.none(sums), strict=True):
        found[name].append(~none)
    return {n: functools.reduce(jnp.logical_or, each) for n, each in found.items()}


class _Parts:
    """Lists of flat arrays, as one array of rows, of which each belongs to one list.

    **Arguments:**

    - `lists`: the lists.
    """

    def __init__(self, lists: Sequence[Sequence[Array]]) -> None:
        self._arrays: list[Any] = []
        rows = []
        for each in lists:
            size = sum(a.size for a in each)
            self._arrays += [*each, _FILL[: -size % _ROW]]
            rows.append(-(-size // _ROW))
        self._of = np.repeat(np.arange(len(lists)), rows)
        self._number = len(lists)

    def joined(self) -> Array:
        """Return all arrays as one, each list filled up to whole rows; and rows that belong to none, one at least."""
        arrays = [a for a in self._arrays if a.size]
        arrays += [_FILL] * max(_PLAIN - len(arrays), 1)
        dtype = jnp.result_type(*[_wide(a) for a in arrays])
        return jnp.concatenate([a.astype(dtype) for a in arrays])

    def row_sums(self, x: Array) -> Array:
        """Return sums over the rows of what is joined, `[rows, 2]`, of which the second column counts for nothing."""
        return _row_products(x.reshape(-1, _ROW))

    def none(self, counts: Array) -> list[Bool[Array, ""]]:
        """Return for each list whether none of its rows, `[rows, 2]`, counts anything."""
        lists = np.zeros((max(self._number, 8), len(counts)), counts.dtype)
        lists[self._of, np.arange(len(self._of))] = 1
        found = _product(lists, counts, counts.dtype)
        return [_at(found, i) == 0 for i in range(self._number)]


# As many arrays XLA copies one after the other. Of fewer it fuses their joining with what makes them, by a program with
# a part for each, which takes it five times as long to compile.
_PLAIN = 11
_TOGETHER = 2**17  # numbers of an array: larger ones are not copied for a test


def _is_spoilt(new: Array, old: Array) -> Array:
    return (jnp.isfinite(old) & ~jnp.isfinite(new)) | (jnp.isnan(new) & ~jnp.isnan(old))


def _some_sums(x: Array) -> Array:
    """Return sums of an array's numbers, flat, each number in one of them: not finite where one of the numbers is not.
    What has no more than one axis comes back as it is."""
    if _is_shared_out():
        return jnp.sum(x, dtype=_wide(x))[None]
    if jnp.ndim(x) < 2:
        return jnp.ravel(x)
    return jnp.ravel(_row_products(x) if _by_products(x) else jnp.sum(x, axis=0, dtype=_wide(x)))


def _sum(x: Array) -> Array:
    """Return a number that is finite where all numbers of an array `[rows, ...]` are, and so is their sum."""
    return _first_column(_row_products(x)) if _by_products(x) else jnp.sum(x, dtype=_wide(x))


def _first_column(products: Array) -> Array:
    """Return the sum of the first column of a matrix."""
    if not 1 < len(products) < _MANY or jax.default_backend() != "cpu":
        return jnp.sum(products[:, 0])
    row = np.zeros((8, len(products)), products.dtype)
    row[0] = 1
    return _at(_product(row, products, products.dtype), 0)


def _row_products(x: Array) -> Array:
    """Return the products of rows with a column of ones and one of zeros, `[rows, 2]`. Both columns are finite where
    all numbers of the row are."""
    rows = jax.lax.reshape(x, (x.shape[0], _row(x)))
    columns = np.zeros((rows.shape[1], 2), x.dtype)
    columns[:, 0] = 1
    return _product(rows, columns, _wide(x))


def _product(a: Any, b: Any, dtype: Any) -> Array:
    return jax.lax.dot(a, b, precision=jax.lax.Precision.HIGHEST, preferred_element_type=dtype)


def _at(x: Array, row: int) -> Array:
    """Return the first number of a row of a matrix."""
    return jax.lax.reshape(jax.lax.slice(x, (row, 0), (row + 1, 1)), ())


def _is_shared_out() -> bool:
    """Return whether JAX divides the program among devices. Then arrays that lie on them in different ways are summed
    up each by itself: as one array they would have to lie in one way, and all weights would be sent around."""
    mesh = jax.sharding.get_abstract_mesh()
    axes = zip(mesh.axis_sizes, mesh.axis_types, strict=True)
    return any(size > 1 and kind != jax.sharding.AxisType.Manual for size, kind in axes)


def _by_products(x: Array) -> bool:
    return not _is_shared_out() and jax.default_backend() == "cpu" and x.shape[0] > 1 and 1 < _row(x) < _MANY


def _row(x: Array) -> int:
    return math.prod(x.shape[1:])


def _is_float(x: Array) -> bool:
    return bool(jnp.issubdtype(jnp.result_type(x), jnp.floating)) and jnp.size(x) > 0


def _wide(x: Array | np.ndarray) -> Any:
    return jnp.promote_types(x.dtype, jnp.float32)
