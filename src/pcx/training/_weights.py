"""Weights alone, as safetensors files: any tool can read them, and nothing in them can run code."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import jax.tree_util as jtu
import numpy as np

from ..core._param import BaseParam
from ..core._select import params_by_path
from ..nn import LayerParam, LayerState


def save_weights(path: str | os.PathLike[str], source: Any) -> Path:
    """Write the weights (and what layers keep, such as running statistics) as a safetensors file, by path in the model.

    **Arguments:**

    - `source`: a `pcx.learning.State` of one seed, or a model.
    """
    target = Path(path)
    partial = target.with_name(f".{target.name}.partial")
    arrays = _arrays(source)
    try:
        require_safetensors().save_file(arrays, partial)
        os.replace(partial, target)
    finally:
        partial.unlink(missing_ok=True)
    return target


def load_weights(path: str | os.PathLike[str], model: Any) -> None:
    """Set a model's weights to those of a safetensors file.

    **Raises:** `ValueError` if the file can't be read, or names or shapes differ, naming them; the model is not
    changed.
    """
    try:
        found = require_safetensors().load_file(path)
    except Exception as e:
        if isinstance(e, FileNotFoundError):
            raise
        raise ValueError(f"load_weights: {path} is no whole safetensors file: {e}") from e
    params = _params(model)
    have = {name: np.shape(value) for name, (_, _, value) in params.items()}
    held = {name: np.shape(value) for name, value in found.items()}
    wrong = [
        f"{name}: {held.get(name, 'nothing')} in the file, {have.get(name, 'nothing')} in the model"
        for name in {**have, **held}
        if have.get(name) != held.get(name)
    ]
    if wrong:
        more = f"; and {len(wrong) - 5} more" if len(wrong) > 5 else ""
        raise ValueError(f"load_weights: {path} doesn't fit the model: {'; '.join(wrong[:5])}{more}")
    new: dict[int, tuple[BaseParam, list[Any], Any]] = {}
    for name, (param, place, value) in params.items():
        _, leaves, treedef = new.setdefault(id(param), (param, *jtu.tree_flatten(param.get())))
        leaves[place] = jnp.asarray(found[name], jnp.result_type(value))
    for param, leaves, treedef in new.values():
        param.set(jtu.tree_unflatten(treedef, leaves))


def _arrays(source: Any) -> dict[str, np.ndarray]:
    if hasattr(source, "weights") and hasattr(source, "rest"):
        held = {**source.weights, **{k: v for k, v in source.rest.items() if not k.startswith("=")}}
        leaves = {
            f"{path}{jtu.keystr(inner)}": leaf
            for path, value in held.items()
            for inner, leaf in jtu.tree_flatten_with_path(value)[0]
        }
    else:
        leaves = {name: value for name, (_, _, value) in _params(source).items()}
    return {name: np.asarray(jax.device_get(leaf), order="C") for name, leaf in leaves.items()}


def _params(model: Any) -> dict[str, tuple[BaseParam, int, Any]]:
    """Each array of the model's weights by path: its param, its place among the leaves, its value."""
    found = {}
    for path, param in params_by_path(model).items():
        if isinstance(param, (LayerParam, LayerState)) and param.get() is not None:
            for place, (inner, leaf) in enumerate(jtu.tree_flatten_with_path(param.get())[0]):
                found[f"{path.removeprefix('.')}{jtu.keystr(inner)}"] = (param, place, leaf)
    return found


def require_safetensors() -> Any:
    """safetensors' module; `ImportError` with what to install if it isn't there."""
    try:
        import safetensors.numpy
    except ImportError as e:
        raise ImportError("weights files need safetensors: pip install 'pcx[train]'") from e
    return safetensors.numpy
