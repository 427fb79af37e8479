"""The shapes that a problem is made of, and arrays that must have them."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import jax.tree_util as jtu
import numpy as np
from jax import Array
from jaxtyping import PyTree

from ..core import see
from ._stacks import Stacks, forms_of
from ._types import Inputs


def avals_of(tree: PyTree) -> PyTree:
    """Return shapes and types in the place of a tree's arrays."""
    return jtu.tree_map(lambda a: jax.ShapeDtypeStruct(np.shape(a), jnp.result_type(a)), tree)


def value_of(avals: dict[str, Any], clamped: bool) -> Any:
    """Return the shape of a node's value: of its prediction, where a target takes its place."""
    first, second = ("u", "h") if clamped else ("h", "u")
    return avals[first] if avals[first] is not None else avals[second]


class _Numbered(Mapping[int, Any]):
    """Arrays by number, with those of stacks sliced out as they are asked for."""

    def __init__(self, numbers: Inputs, inputs: Inputs) -> None:
        stacks = isinstance(inputs.weights, Stacks)
        pairs = zip(numbers[stacks:], inputs[stacks:], strict=True)
        self._whole = {
            i: a for n, given in pairs for i, a in zip(jtu.tree_leaves(n), jtu.tree_leaves(given), strict=True)
        }
        self._weights: Mapping[str, Any] = inputs.weights
        sliced = numbers.weights if stacks else {}
        self._places = {i: (path, k) for path, n in sliced.items() for k, i in enumerate(jtu.tree_leaves(n))}

    def __getitem__(self, number: int) -> Any:
        if number not in self._places:
            return self._whole[number]
        path, k = self._places[number]
        return jtu.tree_leaves(self._weights[path])[k]

    def __iter__(self) -> Iterator[int]:
        yield from self._whole
        yield from self._places

    def __len__(self) -> int:
        return len(self._whole) + len(self._places)

    def __contains__(self, number: object) -> bool:
        return number in self._whole or number in self._places


def matched(numbers: Inputs, made: Inputs, inputs: Inputs) -> Mapping[int, Array]:
    """Match the numbers of a program's inputs with arrays, which must have the shapes that the problem was made of:
    sums and means are over that many samples.

    **Arguments:**

    - `numbers`: of the program's values, one for each array.
    - `made`: the shapes that the problem was made of.
    - `inputs`: the arrays.

    **Raises:** `ValueError` for arrays of other shapes.
    """
    for name, old, given in zip(Inputs._fields, made, inputs, strict=True):
        shapes = [a.shape for a in jtu.tree_leaves(old)]
        found = [np.shape(a) for a in jtu.tree_leaves(forms_of(given) if isinstance(given, Stacks) else given)]
        if shapes != found:
            wrong = next(
                (f"{b} where it was {a}" for a, b in zip(shapes, found, strict=False) if a != b),
                f"{len(found)} arrays where there were {len(shapes)}",
            )
            raise ValueError(
                f"this problem was made of {name} of other shapes: {wrong}; a problem is of one batch size: find "
                "the one of these shapes by bound.at(batch=(x, y)), or bind the model to the new batch"
            )
    return _Numbered(numbers, inputs)


def batch_size(x: PyTree, y: PyTree) -> int:
    """Return the number of samples of a batch.

    **Raises:** `ValueError` for an empty batch, or parts that differ in size.
    """
    sizes = {}
    for name, tree in (("x", x), ("y", y)):
        for path, leaf in jtu.tree_flatten_with_path(tree)[0]:
            if np.ndim(leaf) == 0:
                raise ValueError(
                    f"the batch's {name}{jtu.keystr(path)} is a scalar; its first axis must be the batch{see('shapes')}"
                )
            sizes.setdefault(np.shape(leaf)[0], f"{name}{jtu.keystr(path)} of shape {np.shape(leaf)}")
    if not sizes:
        raise ValueError("the batch (x, y) holds no array; give x or y, [batch, ...] each" + see("shapes"))
    if len(sizes) > 1:
        raise ValueError(f"the parts of the batch differ in size: {'; '.join(sizes.values())}{see('shapes')}")
    if 0 in sizes:
        raise ValueError(f"the batch is empty: {sizes[0]}; give one sample at least")
    return next(iter(sizes))


@contextlib.contextmanager
def noting_shapes(shapes: Inputs, names: tuple[str, str], size: int) -> Iterator[None]:
    """Add the shapes of one sample to an error that is raised inside of the model's call.

    **Arguments:**

    - `shapes`: those that the problem is made of.
    - `names`: of x and y in the batch.
    - `size`: the number of samples.
    """
    try:
        yield
    except (TypeError, ValueError) as e:
        first, second = names
        one = [
            ", ".join(f"{a.dtype}{list(a.shape[1:])}" for a in jtu.tree_leaves(tree)) or "None"
            for tree in (shapes.x, shapes.y)
        ]
        e.add_note(f"The model was called on one sample: {first} {one[0]}, {second} {one[1]}; the batch has {size}.")
        raise
