"""The dtypes of a step: products in fewer bits, sums and weights in 32.

A policy is part of a model's structure. Weights and batch are cast where the model's call begins, and come back through
the casts as gradients in float32; products are replaced as the call is traced. So nothing outside of this room knows of
either.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import NamedTuple, TypeAlias, TypeVar

import jax
import jax.numpy as jnp
import jax.tree_util as jtu
from jax import Array
from jax.typing import DTypeLike
from jaxtyping import PyTree

from ..core import Choice

T = TypeVar("T")
W = TypeVar("W")

_PRODUCTS = ("bfloat16", "float16", "float32")


@dataclasses.dataclass(frozen=True)
class DTypePolicy:
    """The dtypes of a step. Weights, the state of their optimiser and checkpoints stay float32, as do the sums of
    energies and the mean of the weights' gradients.

    **Arguments:**

    - `products`: of the operands of matrix products and convolutions: `"bfloat16"`, `"float16"` or `"float32"`. What
        is summed of them is float32, if the values are.
    - `values`: of all else: values, predictions and errors of nodes, what the layers compute between products, and what
        the optimiser of the values remembers: `"float32"`, or that of `products`. In 16 bits a move of a value is lost
        where it rounds to nothing, and so is an error that is small beside its value.

    **Raises:** `TypeError` for what is no dtype; `ValueError` for another one.
    """

    products: DTypeLike
    values: DTypeLike = "float32"

    def __post_init__(self) -> None:
        # As names: equal policies compare equal, and can be written into a run's folder.
        for field in ("products", "values"):
            object.__setattr__(self, field, _named(f"DTypePolicy: {field}", getattr(self, field)))
        if self.products not in _PRODUCTS:
            raise ValueError(f"DTypePolicy: products must be one of {', '.join(_PRODUCTS)}, got {self.products}")
        if self.values not in ("float32", self.products):
            raise ValueError(f"DTypePolicy: values must be float32 or that of products, got {self.values}")

    @property
    def replaced(self) -> str | None:
        """The dtype of products, where it is another one than that of values."""
        return None if self.products == self.values else str(self.products)

    @property
    def rounding(self) -> float:
        """The energy of an error that is nothing but the rounding of products to a prediction of size 1, if that is
        more than the rounding of values."""
        return 0.0 if self.replaced is None else float(jnp.finfo(self.replaced).eps / 2) ** 2

    def cast(self, tree: T) -> T:
        """Return a tree with its floats in the dtype of values.

        **Arguments:**

        - `tree`: of arrays, or of their shapes.

        **Returns:** likewise.
        """
        return cast_floats(tree, self.values)


class Casts(NamedTuple):
    """A policy, and the params that it casts beside weights.

    **Attributes:**

    - `policy`: the dtypes of a step.
    - `layers`: says which params belong to layers, whether they learn or not.
    """

    policy: DTypePolicy
    layers: Choice


PolicyLike: TypeAlias = DTypePolicy | DTypeLike | None
"""The dtypes of a step: a policy, the dtype of its products, or None for those of the model."""


def as_policy(call: str, x: PolicyLike) -> DTypePolicy | None:
    """Return a policy, from one or from the dtype of its products; None for None.

    **Raises:** `TypeError` or `ValueError` in the name of `call` for anything else.
    """
    if x is None or isinstance(x, DTypePolicy):
        return x
    name = _named(f"{call}: dtype", x)
    if name not in _PRODUCTS:
        raise ValueError(
            f"{call}: dtype must be one of {', '.join(_PRODUCTS)}, or a DTypePolicy, got {name}; for float64 leave it "
            "out, and give a model of float64 weights under jax_enable_x64"
        )
    return DTypePolicy(name)


def cast_floats(tree: T, dtype: DTypeLike) -> T:
    """Return a tree with its floats, or the shapes of floats, in another dtype; whole numbers, booleans and keys as
    they are."""

    def cast(a: object) -> object:
        found = getattr(a, "dtype", None)
        if found is None or not jnp.issubdtype(found, jnp.floating) or found == jnp.dtype(dtype):
            return a
        if isinstance(a, jax.ShapeDtypeStruct):
            return jax.ShapeDtypeStruct(a.shape, jnp.dtype(dtype))
        return jnp.asarray(a, dtype)  # pyright: ignore[reportArgumentType]

    return jtu.tree_map(cast, tree)


def cast_like(tree: T, like: PyTree) -> T:
    """Return a tree with its floats in the dtypes of those of another one of the same structure."""

    if jtu.tree_structure(tree) != jtu.tree_structure(like):
        return tree
    return jtu.tree_map(
        lambda a, b: cast_floats(a, b.dtype) if jnp.issubdtype(b.dtype, jnp.floating) else a, tree, like
    )


def grad_of_mean(
    total: Callable[[W], tuple[Array, T]], size: int, policy: DTypePolicy | None
) -> Callable[[W], tuple[W, T]]:
    """Return a function that gives the gradient of a mean over a batch, and what comes with it.

    Under a policy the sum is differentiated, and its gradient divided in float32: shares of a batch in float16 would
    soon be too small for it.

    **Arguments:**

    - `total`: gives the sum over the batch, and anything else, from the weights.
    - `size`: the number of samples.
    - `policy`: the dtypes of the step.
    """

    def mean(weights: W) -> tuple[Array, T]:
        found, more = total(weights)
        return found / size, more

    if policy is None or policy.products == "float32":
        return jax.grad(mean, has_aux=True)
    summed = jax.grad(total, has_aux=True)

    def gradient(weights: W) -> tuple[W, T]:
        found, more = summed(weights)
        return jtu.tree_map(lambda g: g / size, found), more

    return gradient


def check_weights(policy: DTypePolicy | None, path: str, dtype: DTypeLike) -> None:
    """Refuse a weight that is not float32 under a policy.

    **Raises:** `ValueError`, naming the weight.
    """
    if policy is not None and dtype != jnp.float32:
        raise ValueError(
            f"dtype={policy.products}: {path} is {jnp.dtype(dtype)}, but the weights stay float32 where products are "
            "taken of copies: cast the model's weights to float32, or leave dtype out to compute in theirs"
        )


def _named(what: str, x: DTypeLike) -> str:
    try:
        return jnp.dtype(x).name
    except TypeError as e:
        raise TypeError(f"{what} must be one of {', '.join(map(repr, _PRODUCTS))}, got {x!r}") from e
