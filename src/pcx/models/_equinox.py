"""Equinox networks as predictive coding networks, and back."""

from __future__ import annotations

import copy
import re
from collections.abc import Callable, Sequence
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.tree_util as jtu
from jaxtyping import PyTree

from ..core import BaseModule, BaseParam, static
from ..nn import LayerParam, LayerState, unboxed, with_key
from ..predictive_coding import EnergyFn, EnergyModule, Vode, se_energy

Steps = tuple[str | int, ...]
"""A path in a module: names of attributes or keys, and places in lists."""

# What belongs to the layer before it, though it holds arrays.
_FOLLOWS = (eqx.nn.LayerNorm, eqx.nn.RMSNorm, eqx.nn.GroupNorm, eqx.nn.PReLU, eqx.nn.Lambda)
_STEP = re.compile(r"\.?([A-Za-z_]\w*)|\[(\d+)\]|\[(['\"])(.*?)\3\]")


class EquinoxNetwork(EnergyModule):
    """An Equinox module with value nodes after some of its layers, see `from_equinox`.

    **Arguments:**

    - `module`: the plain module.
    - `cuts`: the paths of the layers that a value node stands after; None for those of an `equinox.nn.MLP`, after its
        activations.
    - `energy`: the energy of the output node.
    """

    nn: Any

    def __init__(self, module: eqx.Module, cuts: Sequence[Steps] | None, energy: EnergyFn):
        super().__init__()
        self.nn = jtu.tree_map(_boxed, module, is_leaf=_is_whole)
        self.cuts = static(None if cuts is None else tuple(cuts))
        count = len(cuts) if cuts is not None else module.depth if isinstance(module, eqx.nn.MLP) else 0
        self.vodes = [Vode() for _ in range(count)] + [Vode(energy, output=True)]

    def __call__(self, x: PyTree, y: jax.Array | None = None) -> jax.Array:
        """Predict the output of ONE sample.

        **Arguments:**

        - `x`: what the module takes.
        - `y`: the value to clamp the output to, of the output's shape; None leaves it as it is.

        **Returns:** what the module returns, computed from the values of the nodes.

        **Raises:** `TypeError` for a module that returns something else than one array.
        """
        module, cuts = unboxed(self.nn), self.cuts.get()
        if cuts is None:
            out = _mlp(module, x, self.vodes[:-1])
        else:
            options = with_key(module, (x,), {}, None)
            # The innermost first, so that a layer inside of another one is still found.
            for steps, vode in sorted(zip(cuts, self.vodes[:-1], strict=True), key=lambda pair: -len(pair[0])):
                module = _replaced(module, steps, lambda layer, vode=vode: _Cut(layer, vode))
            out = module(x, **options)
        if not hasattr(out, "shape"):
            raise TypeError(f"from_equinox: the module must return one array, got {type(out).__name__}")
        self.vodes[-1](out)
        if y is not None:
            self.vodes[-1].set("h", y)
        return self.vodes[-1].get("u")


def from_equinox(
    module: eqx.Module, cuts: Sequence[str | int] | None = None, *, energy: EnergyFn = se_energy
) -> EquinoxNetwork:
    """Make a predictive coding network of an Equinox module, with its weights: a forward pass gives what the module
    gives.

    A value node stands after each layer that is cut, and one at the output. Without `cuts`,

    - an `equinox.nn.MLP` has a value node after each activation, as `MLP` has;
    - an `equinox.nn.Sequential` has one before each layer with weights but the first: after a layer with all that
        follows it, such as a norm, an activation, pooling and dropout;
    - of any other module say where.

    What is an array of floats in the module is a `pcx.nn.LayerParam` of the network under the same path, such as
    `nn.layers[0].weight`; other arrays don't learn. As in Equinox, a layer that stands in two places has weights in
    each; `equinox.nn.Shared` keeps them one. The network holds copies: the module stays as it is.

    **Arguments:**

    - `module`: called on ONE sample. It may be trained already, and have dropout.
    - `cuts`: paths of layers in it, such as `"layers[0]"` or `"block.conv"`; of a Sequential also places, such as 0.
        Each is called once, and gives one array. A layer inside of another may be cut, but not one that is called
        inside of `jax.vmap` or a loop.
    - `energy`: the energy of the output node.

    **Returns:** an energy module with the nodes `vodes[i]`, in the order of the cuts; the last one is the output. Its
    weights are those of the module.

    **Raises:** `TypeError` for what is no Equinox module; `ValueError` for a module with a state, such as
    `equinox.nn.BatchNorm`, for one that needs `cuts`, and for cuts that name no layer.
    """
    if not isinstance(module, eqx.Module) or isinstance(module, BaseModule):
        raise TypeError(f"from_equinox: module must be an equinox.Module, got {type(module).__name__}")
    for path, leaf in jtu.tree_flatten_with_path(module, is_leaf=_is_state)[0]:
        if _is_state(leaf):
            raise ValueError(
                f"from_equinox: {jtu.keystr(path)} keeps a state from call to call: normalise each sample by itself "
                "(equinox.nn.LayerNorm, GroupNorm), or write the network with pxnn.BatchNorm"
            )
    if cuts is None and isinstance(module, eqx.nn.MLP):
        return EquinoxNetwork(module, None, energy)
    if cuts is None and isinstance(module, eqx.nn.Sequential):
        cuts = _ends(module)
    if cuts is None:
        raise ValueError(
            f"from_equinox: {type(module).__name__} needs cuts, the layers that a value node stands after, such as "
            "cuts=['layers[0]', 'block.conv']"
        )
    steps = [_steps_of(module, cut) for cut in cuts]
    twice = {cut for cut, path in zip(cuts, steps, strict=True) if steps.count(path) > 1}
    if twice:
        raise ValueError(f"from_equinox: cuts name a layer twice: {', '.join(map(repr, sorted(twice, key=str)))}")
    return EquinoxNetwork(module, steps, energy)


def to_equinox(model: EquinoxNetwork) -> Any:
    """Give an Equinox module back with the weights that the network has now.

    **Arguments:**

    - `model`: from `from_equinox`, trained since; of a state, write it to the model first: `state.write_to(model)`.

    **Returns:** a module of the same class and structure as was given to `from_equinox`. Its arrays are copies.

    **Raises:** `TypeError` for a model that was not made so.
    """
    if not isinstance(model, EquinoxNetwork):
        raise TypeError(f"to_equinox: model must be one that from_equinox made, got {type(model).__name__}")
    return jtu.tree_map(lambda a: jnp.array(a, copy=True) if eqx.is_array(a) else a, unboxed(model.nn))


def _is_whole(x: object) -> bool:
    return isinstance(x, (BaseParam, BaseModule))


def _is_state(x: object) -> bool:
    return isinstance(x, eqx.nn.StateIndex)


def _boxed(x: object) -> object:
    if _is_whole(x):
        return x
    if not eqx.is_array(x):
        return static(x)
    # A copy: the buffers of the module would be gone where the network's are donated.
    return (LayerParam if eqx.is_inexact_array(x) else LayerState)(jnp.array(x, copy=True))


class _Cut:
    """A layer whose output goes through a value node."""

    def __init__(self, layer: Callable[..., Any], vode: Vode) -> None:
        self._layer, self._vode = layer, vode

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self._vode(self._layer(*args, **kwargs))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._layer, name)


def _mlp(module: eqx.nn.MLP, x: jax.Array, vodes: Sequence[Vode]) -> jax.Array:
    """Call an `equinox.nn.MLP` with a value node after each activation."""
    layers = list(module.layers)
    if module.scan and module.depth > 0:  # the hidden ones lie in one stack
        layers[1:-1] = [_at(layers[1], i) for i in range(module.depth - 1)]
    of_each = eqx.filter_vmap(lambda act, u: act(u))
    h: Any = x
    for i, (layer, vode) in enumerate(zip(layers[:-1], vodes, strict=True)):
        h = vode(of_each(_at(module.activation, i), layer(h)))
    u = layers[-1](h)
    if module.depth == 0:  # Equinox leaves the final activation out
        return u
    return module.final_activation(u) if module.out_size == "scalar" else of_each(module.final_activation, u)


def _at(stacked: PyTree, i: int) -> Any:
    return jtu.tree_map(lambda a: a[i] if eqx.is_array(a) else a, stacked)


def _ends(module: eqx.nn.Sequential) -> list[int]:
    """Return the places of the layers that a value node stands after."""

    def begins(layer: object) -> bool:
        return not isinstance(layer, _FOLLOWS) and any(eqx.is_inexact_array(a) for a in jtu.tree_leaves(layer))

    places = [i for i, layer in enumerate(module.layers) if begins(layer)]
    return [i - 1 for i in places[1:]]


def _steps_of(module: eqx.Module, cut: str | int) -> Steps:
    """Return the path of a layer, with a check that there is one."""
    if isinstance(cut, int) and not isinstance(cut, bool):
        if not isinstance(module, eqx.nn.Sequential):
            raise ValueError(f"from_equinox: places such as {cut} are of a Sequential; give paths, as 'layers[0]'")
        steps: Steps = ("layers", cut)
    else:
        steps = _parsed(cut)
    found: Any = module
    for i, step in enumerate(steps):
        found = _inside(found, step)
        if found is None:
            raise ValueError(f"from_equinox: cuts name {cut!r}, but there is no {_shown(steps[: i + 1])} in the module")
    if not callable(found):
        raise ValueError(f"from_equinox: {cut!r} is no layer that could be called, but {type(found).__name__}")
    return steps


def _parsed(cut: object) -> Steps:
    steps: list[str | int] = []
    at = 0
    while isinstance(cut, str) and at < len(cut) and (found := _STEP.match(cut, at)) is not None:
        name, place, _, key = found.groups()
        steps.append(int(place) if place is not None else key if name is None else name)
        at = found.end()
    if not steps or at < len(str(cut)):
        raise ValueError(f"from_equinox: a cut is a path such as 'layers[0]' or 'block.conv', got {cut!r}")
    return tuple(steps)


def _shown(steps: Steps) -> str:
    return "".join(f"[{s}]" if isinstance(s, int) else f".{s}" for s in steps).removeprefix(".")


def _inside(x: Any, step: str | int) -> Any:
    """Return what stands at a step of a path; None if there is nothing."""
    if isinstance(x, (list, tuple)):
        return x[step] if isinstance(step, int) and 0 <= step < len(x) else None
    return x.get(step) if isinstance(x, dict) else getattr(x, "__dict__", {}).get(step)


def _replaced(x: Any, steps: Steps, change: Callable[[Any], Any]) -> Any:
    """Return a copy of a module in which what stands at a path is changed."""
    if not steps:
        return change(x)
    step, *rest = steps
    child = _replaced(_inside(x, step), tuple(rest), change)
    if isinstance(x, (list, tuple)):
        new = [child if i == step else each for i, each in enumerate(x)]
        return type(x)(*new) if hasattr(x, "_fields") else type(x)(new)
    if isinstance(x, dict):
        return {**x, step: child}
    made = copy.copy(x)
    object.__setattr__(made, str(step), child)  # modules are frozen
    return made
