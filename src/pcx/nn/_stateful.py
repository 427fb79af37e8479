"""Equinox layers that keep a state from call to call."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeGuard

import equinox as eqx
import jax.numpy as jnp
import jax.tree_util as jtu
from jaxtyping import PyTree

from ..core import Module, Param, get
from ._call import Key, explained, with_key
from ._layer import boxed, refuse_instance, unboxed


class StateParam(Param):
    """The state of a `StatefulLayer`.

    **Arguments:**

    - `value`: a dict from the place in the layer to arrays (or pytrees of arrays).
    """

    __slots__ = ()


class StatefulLayer(Module):
    """Any stateful Equinox layer as a module: its `equinox.nn.State` is kept in the param `state` and updated by calls.
    It is kept in `nn` as in a `Layer`, but is none itself.

    **Arguments:**

    - `cls`: the layer's class, or any function that makes an `equinox.Module`; called through
        `equinox.nn.make_with_state`.
    - `args`, `kwargs`: what `cls` is called with.
    - `filter`: says which leaves of the new layer become params (`LayerParam`).

    **Raises:** `TypeError` for a layer in the place of a layer's class.
    """

    nn: Any
    state: StateParam

    def __init__(self, cls: Callable[..., Any], *args: Any, filter: Callable[[Any], Any] = eqx.is_array, **kwargs: Any):
        super().__init__()
        refuse_instance(type(self).__name__, cls)
        nn, state = eqx.nn.make_with_state(cls)(*args, **kwargs)
        state = _with_unit_variance(nn, state)
        self.nn = boxed(nn, filter)
        # Equinox marks a State as used up when it is updated; a dict can be read any number of times.
        values, names = state.tree_flatten()
        self.state = StateParam(dict(zip(names, values, strict=True)))

    def __call__(self, *args: object, key: Key = None, **kwargs: object) -> Any:
        """Call the layer on ONE sample, and keep the new state.

        Inside a vmap that adds the batch axis, a state that depends on the sample is one per lane; one computed with
        collectives over the axis (as in `BatchNorm`) is common to all lanes.

        **Arguments:**

        - `args`, `key`, `kwargs`: see `Layer`; the state is passed on by itself.

        **Returns:** the layer's output, without the state.

        **Raises:** `TypeError` if the layer doesn't return a pair of an output and a state.
        """
        layer = unboxed(self.nn)
        args = tuple([get(x) for x in args])
        old = self.state.get()
        state = eqx.nn.State.tree_unflatten(tuple(old), tuple(old.values()))
        try:
            result = layer(*args, state=state, **with_key(layer, args, kwargs, key))
        except (TypeError, ValueError) as e:
            raise explained(self, layer, args, e) from e
        if not (isinstance(result, tuple) and len(result) == 2 and isinstance(result[1], eqx.nn.State)):
            raise TypeError(f"{type(layer).__name__}: a stateful layer must return a pair (output, state)")
        out, new = result
        values, names = new.tree_flatten()
        by_name = dict(zip(names, values, strict=True))
        # A layer that changed nothing (in evaluation) leaves the param untouched, so that nothing is carried out.
        before, after = jtu.tree_leaves(old), jtu.tree_leaves(by_name)
        if len(before) != len(after) or any(a is not b for a, b in zip(before, after, strict=True)):
            self.state.set(by_name)
        return out


def _is_batch_norm(x: object) -> TypeGuard[eqx.nn.BatchNorm]:
    return isinstance(x, eqx.nn.BatchNorm)


def _with_unit_variance(nn: PyTree, state: eqx.nn.State) -> eqx.nn.State:
    # Equinox's batch normalisation starts the running variance of mode "ema" at zero, so that an untrained layer would
    # multiply by 1 / sqrt(eps) in evaluation. What it starts from has no other effect: the first training call replaces
    # it. Mode "batch" weighs it, and is left alone.
    for layer in jtu.tree_leaves(nn, is_leaf=_is_batch_norm):
        index = layer.ema_state_index if _is_batch_norm(layer) else None
        if index is not None:
            mean, var = state.get(index)
            state = state.set(index, (mean, jnp.ones_like(var)))
    return state
