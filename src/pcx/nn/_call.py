"""Calls of plain Equinox layers: keys for dropout, fewer dispatches, errors that say what a layer was called on."""

from __future__ import annotations

import functools
import inspect
import math
from collections.abc import Callable
from typing import Any, TypeAlias, TypeGuard

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.tree_util as jtu
from jaxtyping import PyTree

from ..core import RKG, BaseParam, Module, get

Plain: TypeAlias = Callable[..., Any]
"""A plain Equinox layer, which holds arrays: a module that is called."""

Key: TypeAlias = jax.Array | BaseParam | None


# Equinox's layers of arrays alone. What such a layer computes depends on nothing else, so outside of a compiled
# function it is one dispatch instead of one for each operation; inside, it is inlined and leaves no trace.
_ONE_CALL = frozenset({eqx.nn.Linear, eqx.nn.Conv1d, eqx.nn.Conv2d, eqx.nn.Conv3d})


@functools.partial(jax.jit, inline=True)
def _one_call(layer: Plain, x: jax.Array) -> jax.Array:
    return layer(x)


def called(layer: Plain, args: tuple[Any, ...], kwargs: dict[str, Any], key: Key) -> Any:
    """Call a plain layer, with a key if one is given or needed.

    **Arguments:** as in `with_key`.

    **Returns:** what the layer returns.
    """
    if type(layer) in _ONE_CALL and key is None and not kwargs and len(args) == 1:
        return _one_call(layer, args[0])
    return layer(*args, **with_key(layer, args, kwargs, key))


def with_key(layer: Plain, args: tuple[Any, ...], kwargs: dict[str, Any], key: Key) -> dict[str, Any]:
    """Return the keyword arguments of a call of a plain layer, with a key where one is given or dropout needs one.

    **Arguments:**

    - `layer`: the plain layer, and `args`, `kwargs`, its arguments but for the key.
    - `key`: the key that was given, or None.

    **Returns:** `kwargs`, with `"key"` if there is one; it is drawn from `pcx.RKG` if none was given.
    """
    if key is not None:
        return {**kwargs, "key": get(key)}
    if _drops(layer, kwargs) and _wants_key(layer, args, kwargs):
        return {**kwargs, "key": RKG()}
    return kwargs


def _is_dropout(x: object) -> TypeGuard[eqx.nn.Dropout]:
    return isinstance(x, eqx.nn.Dropout)


def _drops(layer: PyTree, kwargs: dict[str, Any]) -> bool:
    override = kwargs.get("inference", kwargs.get("deterministic"))

    def drops(x: eqx.nn.Dropout) -> bool:
        inference = x.inference if override is None else override
        return not inference and not (isinstance(x.p, (int, float)) and x.p == 0)

    return any(_is_dropout(x) and drops(x) for x in jtu.tree_leaves(layer, is_leaf=_is_dropout))


def _wants_key(layer: Plain, args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
    signature = inspect.signature(layer.__call__)
    parameters = signature.parameters
    if "key" not in parameters:
        return any(p.kind is inspect.Parameter.VAR_KEYWORD for p in parameters.values())
    try:
        return "key" not in signature.bind_partial(*args, **kwargs).arguments
    except TypeError:
        return False  # the call itself says what is wrong with the arguments


def _hint(layer: Plain, args: tuple[Any, ...]) -> str:
    """Return what is most likely wrong with a layer's argument: dtype or size, where it has the axes of a sample."""
    wanted = _first_axis(layer)
    x: Any = args[0] if args else None
    if hasattr(x, "shape") and hasattr(x, "dtype") and wanted is not None and len(x.shape) == wanted[1]:
        size, _, what = wanted
        if x.shape[0] != size:
            return f"it is made for {size} {what}, not {x.shape[0]}"
        if not jnp.issubdtype(x.dtype, jnp.inexact):
            return "it takes real numbers: convert them, as by x.astype(jnp.float32)"
    elif isinstance(layer, eqx.nn.Linear) and hasattr(x, "shape") and math.prod(x.shape) == layer.in_features:
        return "it takes one sample, flat, as x.reshape(-1)"  # an image, for one
    return "a layer gets ONE sample, without the batch axis"


def _first_axis(layer: Plain) -> tuple[int, int, str] | None:
    """Return the size of the first axis that a layer takes, its number of axes, and what the size counts; None where
    that isn't known."""
    if isinstance(layer, eqx.nn.Linear) and isinstance(layer.in_features, int):
        return layer.in_features, 1, "inputs"
    if isinstance(layer, (eqx.nn.Conv, eqx.nn.ConvTranspose)):
        return layer.in_channels, layer.num_spatial_dims + 1, "channels"
    return None


def explained(module: Module, layer: Plain, args: tuple[Any, ...], e: Exception) -> Exception:
    """Return a layer's error with what the layer was called on; whoever knows the model adds where it stands.

    **Arguments:**

    - `module`: the module that holds the layer, kept in the error as `layer`.
    - `layer`: the plain layer, and `args`, its arguments.
    - `e`: the error.

    **Returns:** an error of the same type, or `e` itself if its type is another than TypeError or ValueError.
    """
    if type(e) not in (TypeError, ValueError) or hasattr(e, "layer"):
        return e
    got = ", ".join([f"{a.dtype}{list(a.shape)}" if hasattr(a, "shape") else type(a).__name__ for a in args])
    new: Any = type(e)(f"{type(layer).__name__} was called on {got or 'nothing'}; {_hint(layer, args)}: {e}")
    new.layer = module
    for note in getattr(e, "__notes__", ()):
        new.add_note(note)
    return new
