"""From an Equinox layer to a module: arrays become params, all other leaves constants."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax.tree_util as jtu
from jaxtyping import PyTree

from ..core import BaseModule, BaseParam, Module, get, static
from ._call import Key, called, explained
from ._parameter import LayerParam


class Layer(Module):
    """Any Equinox layer as a module.

    The layer is kept in `nn`, under the names that its author gave: `layer.nn.weight` is a `LayerParam`. Every leaf
    that is no array (an activation function, a rate, the `inference` flag) is a constant of the program.
    `train()` and `eval()` set every `inference` flag inside to False and True.

    **Arguments:**

    - `cls`: the layer's class, or any function that makes an `equinox.Module`.
    - `args`, `kwargs`: what `cls` is called with.
    - `filter`: says which leaves of the new layer become params.

    **Raises:** `TypeError` for a layer in the place of a layer's class.
    """

    nn: Any

    def __init__(self, cls: Callable[..., Any], *args: Any, filter: Callable[[Any], Any] = eqx.is_array, **kwargs: Any):
        super().__init__()
        refuse_instance(type(self).__name__, cls)
        self.nn = boxed(cls(*args, **kwargs), filter)

    def __call__(self, *args: object, key: Key = None, **kwargs: object) -> Any:
        """Call the layer on ONE sample; the batch axis is added by `pcx.functional.vmap`.

        **Arguments:**

        - `args`, `kwargs`: what the Equinox layer takes; a param stands for its value.
        - `key`: a random key, passed on only if given. Where an active `equinox.nn.Dropout` is inside and no key is
            given, one is drawn from `pcx.RKG`.

        **Returns:** what the Equinox layer returns, an array as a rule.

        **Raises:** the layer's own `TypeError` or `ValueError`, with the dtypes and shapes that it was called on.
        """
        layer = unboxed(self.nn)
        args = tuple([get(x) for x in args])
        try:
            return called(layer, args, kwargs, key)
        except (TypeError, ValueError) as e:
            raise explained(self, layer, args, e) from e


def refuse_instance(call: str, cls: object) -> None:
    """Refuse a layer in the place of a layer's class.

    **Arguments:**

    - `call`: the public name to say it of, such as `"Layer"`.
    - `cls`: what was given.

    **Raises:** `TypeError` for an instance of a module.
    """
    if isinstance(cls, (eqx.Module, BaseModule)):
        name = type(cls).__name__
        raise TypeError(
            f"pxnn.{call}: give a layer's class and what it is called with, as in pxnn.{call}({name}, ...), not an "
            f"instance of {name}; for a layer that is made already, pxnn.{call}(lambda: layer)"
        )


def _is_whole(x: object) -> bool:
    # A module of pcx that a user's Equinox layer holds is no part of that layer and keeps its params.
    return isinstance(x, (BaseParam, BaseModule))


def boxed(layer: PyTree, filter: Callable[[Any], Any]) -> PyTree:
    """Return a layer with a `LayerParam` for each leaf that is picked and a static for each other leaf.

    **Arguments:**

    - `layer`: a plain Equinox layer.
    - `filter`: a predicate of a leaf.

    **Returns:** a layer of the same structure. Params, statics and modules of pcx that it holds stay as they are.
    """

    def box(x: object) -> object:
        if _is_whole(x):
            return x
        return LayerParam(x) if filter(x) else static(x)

    return jtu.tree_map(box, layer, is_leaf=_is_whole)


def bare_layers(model: PyTree) -> list[str]:
    """Return the paths of Equinox modules that stand in a model as they are, with float arrays that are no params.

    **Arguments:**

    - `model`: any tree of modules.

    **Returns:** paths such as `.layers[0]`.
    """
    found: list[str] = []

    def whole(x: object) -> bool:
        return isinstance(x, BaseParam) or (isinstance(x, eqx.Module) and not isinstance(x, BaseModule))

    for path, leaf in jtu.tree_flatten_with_path(model, is_leaf=whole)[0]:
        if isinstance(leaf, eqx.Module):
            inside = jtu.tree_leaves(leaf, is_leaf=lambda x: isinstance(x, BaseParam))
            if any(eqx.is_inexact_array(x) for x in inside):
                found.append(jtu.keystr(path))
    return found


def unboxed(layer: PyTree) -> Any:
    """Return the plain Equinox layer that holds the values of now: the inverse of `boxed`.

    **Arguments:**

    - `layer`: a layer with params and statics in the place of its leaves.

    **Returns:** a layer of the same structure, which can be called.
    """
    return jtu.tree_map(lambda x: x if isinstance(x, BaseModule) else get(x), layer, is_leaf=_is_whole)
