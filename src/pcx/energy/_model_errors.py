"""Errors for models and samples of the wrong kind, with the place and the remedy."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from typing import Any, NoReturn

import jax.numpy as jnp
import jax.tree_util as jtu
import numpy as np
from jax import Array
from jax.core import Tracer
from jaxtyping import PyTree

from ..core import BaseParam, see
from ..predictive_coding import Vode


def is_equinox(x: object) -> bool:
    """Return whether something is a module of Equinox."""
    return any(cls.__module__.partition(".")[0] == "equinox" for cls in type(x).__mro__)


def no_model(call: str, given: object) -> TypeError:
    """Return the error for a model that is no energy module.

    **Arguments:**

    - `call`: such as `"fit: "`.
    - `given`: what was given.
    """
    words = f"{call}expected a pxc.EnergyModule as the model, got {type(given).__name__}"
    if is_equinox(given):
        words += (
            ", an Equinox module. Hold its layers in an EnergyModule, as in self.layers = [pxnn.Layer(lambda: layer) "
            "for layer in ...], with a value node (pxc.Vode) after each, and call them in its __call__"
        )
    return TypeError(words)


@contextlib.contextmanager
def told_of_one_sample(model: object, x: PyTree, y: PyTree, names: tuple[str, str] = ("x", "y")) -> Iterator[None]:
    """Add to errors of a wrong shape in a model's call the layer, and the shapes of the sample.

    **Arguments:**

    - `names`: of x and y in the batch.
    """
    try:
        yield
    except (TypeError, ValueError) as e:
        layer = getattr(e, "layer", None)
        path = "" if layer is None else _path_of(model, layer)
        place = f"{path}: " if path else ""
        one = f"The model's call gets ONE sample: {names[0]} {_shapes(x)}, {names[1]} {_shapes(y)}{see('shapes')}"
        raise_reworded(e, f"{place}{e}\n{one}", f"{place}{one}")


def raise_reworded(e: TypeError | ValueError, words: str, note: str) -> NoReturn:
    """Raise an error with other words, its notes kept; one of a class of its own, which may want to be made otherwise,
    as it is and with a note."""
    if type(e) not in (TypeError, ValueError):
        e.add_note(note)
        raise e
    new = type(e)(words)
    for each in getattr(e, "__notes__", ()):
        new.add_note(each)
    raise new from e


def _path_of(model: object, layer: object) -> str:
    found = jtu.tree_flatten_with_path(model, is_leaf=lambda m: m is layer or isinstance(m, BaseParam))[0]
    return next((jtu.keystr(path).removeprefix(".") for path, leaf in found if leaf is layer), "")


def _shapes(tree: PyTree) -> str:
    return ", ".join([f"{jnp.result_type(a)}{list(np.shape(a))}" for a in jtu.tree_leaves(tree)]) or "None"


def refuse_nodes_inside(vodes: Mapping[str, Vode], lane: Array) -> None:
    """Refuse value nodes whose value was made inside of a function that JAX transforms, and so can't be known outside.

    **Arguments:**

    - `vodes`: by name.
    - `lane`: a value of the model's own trace.

    **Raises:** `ValueError`, naming the nodes.
    """
    trace, own = getattr(lane, "_trace", None), set()
    while trace is not None:
        own.add(id(trace))
        trace = getattr(trace, "parent_trace", None)
    if not own:
        return
    inside = [n for n, v in vodes.items() if any(_is_of_another(a, own) for a in _held(v))]
    if inside:
        raise ValueError(
            f"the model's call uses the value node {', '.join(inside)} inside of a function that JAX transforms by "
            "itself (lax.scan, cond, while_loop, map, jax.checkpoint, vmap, grad, or a function under jax.jit), so its "
            "value is not known outside. Call nodes in the model's own code: loop over layers in Python, transform "
            "what lies between the nodes, or hand the node by keyword to pcx.functional's jit, vmap or cond"
        )


def _held(vode: Vode) -> list[Any]:
    return jtu.tree_leaves([BaseParam.get(p) for p in (vode.h, vode.cache)])


def _is_of_another(x: object, own: set[int]) -> bool:
    return isinstance(x, Tracer) and id(getattr(x, "_trace", None)) not in own
