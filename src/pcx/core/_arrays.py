"""Data and random keys from users: made arrays of JAX, or refused with an error that says why."""

from __future__ import annotations

import array
from typing import Any, TypeGuard, cast

import jax
import jax.numpy as jnp
import jax.tree_util as jtu
import numpy as np

from ._types import Constant

_NUMBERS = (bool, int, float, complex, np.generic)


def taken(call: str, name: str, tree: Constant) -> Any:
    """Return a tree of data as arrays of JAX.

    NumPy's arrays of either byte order, lists of numbers (nested ones, too), memory views, and what else gives itself
    as a NumPy array (a tensor of PyTorch on the CPU, a column of pandas) are taken.

    **Arguments:**

    - `call`: who asks, such as `"pc.step"`.
    - `name`: what for, such as `"x"`.

    **Raises:** `TypeError` for anything else, and `ValueError` for whole numbers that JAX's type can't hold, naming the
    place.
    """
    if isinstance(tree, jax.Array):
        return _array(f"{call}: {name}", tree)
    if isinstance(tree, (list, tuple)) and tree and all(isinstance(a, _NUMBERS) for a in jtu.tree_leaves(tree)):
        try:
            tree = np.array(tree)
        except ValueError:
            raise ValueError(f"{call}: {name} is a list of lists of numbers that differ in length") from None
    leaves, treedef = jtu.tree_flatten_with_path(tree)
    return treedef.unflatten([_array(f"{call}: {name}{jtu.keystr(path)}", leaf) for path, leaf in leaves])


def is_data(x: Constant) -> bool:
    """Return whether something is a number, or gives itself as a NumPy array."""
    return isinstance(x, (*_NUMBERS, memoryview, array.array)) or hasattr(x, "__array__")


def _array(what: str, x: Constant) -> jax.Array:
    if isinstance(x, jax.ShapeDtypeStruct):  # what has the shape of data is as good where nothing is computed
        return x  # pyright: ignore[reportReturnType]
    if isinstance(x, jax.Array):
        if jnp.issubdtype(x.dtype, jax.dtypes.extended):
            raise TypeError(f"{what} holds random keys ({x.dtype}), no numbers")
        return x
    if isinstance(x, np.ma.MaskedArray):
        raise TypeError(f"{what} is a masked array, and its mask would be lost: fill it first, by x.filled(value)")
    if not isinstance(x, (np.ndarray, *_NUMBERS)):
        x = _of_another(what, x)
    if isinstance(x, np.ndarray) and not x.dtype.isnative:
        x = x.astype(x.dtype.newbyteorder("="))
    try:
        dtype = jax.dtypes.canonicalize_dtype(np.asarray(x).dtype)
    except TypeError:
        dtype = None
    given = np.asarray(x).dtype
    if dtype is None or given.kind in "OSUMm" or given.names is not None:
        names = "; of names of classes, np.unique(names, return_inverse=True)[1] has numbers" * (given.kind in "OSU")
        raise TypeError(f"{what} holds {given}, but JAX's arrays hold numbers: convert it first{names}")
    _refuse_overflow(what, x, dtype)
    return jnp.asarray(x)


def _of_another(what: str, x: Constant) -> np.ndarray:
    kind = f"{type(x).__module__}.{type(x).__qualname__}"
    if isinstance(x, (memoryview, array.array)) or hasattr(x, "__array__"):
        try:
            return np.asarray(x)
        except Exception as e:  # a tensor that is on a device, or has a gradient
            raise TypeError(f"{what} is a {kind} that can't be made a NumPy array: {e}") from e
    if hasattr(x, "__dlpack__"):
        try:
            return np.from_dlpack(x)
        except Exception as e:
            raise TypeError(f"{what} is a {kind} that can't be made a NumPy array: {e}") from e
    raise TypeError(f"{what} is a {kind}; give an array of numbers, or a tree (dict, list, tuple) of arrays")


def _refuse_overflow(what: str, x: Constant, dtype: np.dtype) -> None:
    # JAX cuts off what its type doesn't hold: a label beyond it would come back as another class.
    given = np.asarray(x)
    if given.dtype.kind not in "iu" or given.dtype == dtype or not given.size:
        return
    info = np.iinfo(dtype)
    if given.min() < info.min or given.max() > info.max:
        raise ValueError(
            f"{what} holds {given.min()} to {given.max()}, more than {dtype} can hold: JAX would take it for other "
            "numbers (unless jax_enable_x64 is set)"
        )


def is_typed_key(x: Constant) -> TypeGuard[jax.Array]:
    """Return whether something is a random key of JAX's own type, as from `jax.random.key(0)`, or an array of them."""
    return isinstance(x, jax.Array) and jnp.issubdtype(x.dtype, jax.dtypes.prng_key)


def raw_key(call: str, key: int | np.integer | jax.Array | np.ndarray) -> jax.Array:
    """Return a raw key, from a seed or a key of either form.

    **Raises:** `TypeError` or `ValueError` for what is no seed and no single key of JAX's default kind.
    """
    what = f"{call}: the key must be a seed (a whole number) or one key, as from jax.random.key(0); got"
    if isinstance(key, (bool, np.bool_)) or not isinstance(key, (int, np.integer, np.ndarray, jax.Array)):
        raise TypeError(f"{what} {type(key).__name__}")
    if isinstance(key, (int, np.integer)):
        try:
            return jax.random.PRNGKey(key)
        except OverflowError:
            raise ValueError(f"{what} {key}, which is beyond 64 bits") from None
    if is_typed_key(key):
        kind, default = str(jax.random.key_impl(key)), str(cast(Any, jax.config).jax_default_prng_impl)
        if key.ndim or kind != default:
            raise ValueError(f"{what} {key.dtype}{list(key.shape)}; keys are of the kind {default!r}")
        return jax.random.key_data(key)
    if key.ndim == 0 and jnp.issubdtype(key.dtype, jnp.integer):
        return jax.random.PRNGKey(key)
    expected = jax.eval_shape(lambda: jax.random.PRNGKey(0))
    if key.dtype != expected.dtype or key.shape != expected.shape:
        raise ValueError(
            f"{what} {key.dtype}{list(key.shape)}, where a raw key is {expected.dtype}{list(expected.shape)}"
        )
    return jnp.asarray(key)
