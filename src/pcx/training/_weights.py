"""Weights alone, as safetensors files: any tool can read them, and nothing in them can run code."""

from __future__ import annotations

import json
import os
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import jax.tree_util as jtu
import numpy as np
from jaxtyping import PyTree

from ..core import BaseModule, BaseParam, __version__, params_by_path, see
from ..data import check_flags, given_path
from ..learning import State
from ..nn import LayerParam, LayerState, StateParam
from ._belongs import belonging, unlike
from ._checksums import sealed, unsealed
from ._describe import in_words
from ._files import replacing

_KEY = "pcx"  # in the file's metadata: what the weights belong to, and checksums


def save_weights(path: str | os.PathLike[str], source: BaseModule | State) -> Path:
    """Write the weights (and what layers keep, such as running statistics) as a safetensors file, by path in the model.

    In its metadata are what they belong to (the model's classes, activations, energies) and checksums, which
    `load_weights` compares.

    **Arguments:**

    - `path`: of the file.
    - `source`: a `pcx.learning.State` of one seed, or a model.

    **Returns:** the path.

    **Raises:** `TypeError` if the source is something else; `ValueError` for an empty path; `ImportError` if
    safetensors is not installed; `OSError` if the file can't be written. One of that name stays as it was then.
    """
    if not isinstance(source, (BaseModule, State)):
        raise TypeError(
            f"save_weights: source must be a model or a State of one network, such as run.states[0], got "
            f"{type(source).__name__}; write save_weights(path, source)"
        )
    target = given_path("save_weights: path", path)
    if isinstance(source, State):
        held = {**source.weights, **source.rest}
    else:
        held = {name: value for name, (_, _, value) in _params(source).items()}
    with replacing(target) as partial:
        write_weights(partial, held, belonging(source))
    return target


def write_weights(path: Path, held: Mapping[str, PyTree], belongs: Mapping[str, Any]) -> None:
    """Write a safetensors file.

    **Arguments:**

    - `held`: trees of arrays by path; constants of the model, whose paths begin with `=`, are left out.
    - `belongs`: what they belong to.
    """
    arrays = {
        f"{name}{jtu.keystr(inner)}": np.asarray(jax.device_get(leaf), order="C")
        for name, value in held.items()
        if not name.startswith("=")
        for inner, leaf in jtu.tree_flatten_with_path(value)[0]
    }
    seal = json.dumps(sealed(belongs, arrays))
    path.write_bytes(require_safetensors().save(arrays, {_KEY: seal}))


def load_weights(
    path: str | os.PathLike[str],
    model: BaseModule | None = None,
    *,
    network: int | None = None,
    best: bool = False,
    compare: bool = True,
) -> None:
    """Set a model's weights to those of a safetensors file, or of a run.

    **Arguments:**

    - `path`: a file, or the folder of a run.
    - `model`: a model, built as the one that the weights were learned in.
    - `network`: of a run with several networks, which; they count from 0.
    - `best`: of a run, the weights of the best epoch, not of the last.
    - `compare`: whether the model must be the one that the file describes; with False only names and shapes must fit.
        A file that another tool has written describes none.

    **Raises:** `TypeError` for arguments of another kind; `ValueError` if the file can't be read, isn't what was
    written, or is of another model, naming the differences; the model is not changed. `FileNotFoundError` if there is
    none.
    """
    if model is None:
        raise TypeError(
            "load_weights: give the model whose weights are set, load_weights(path, model); model, rule and data of a "
            "run come from load_run(folder)"
        )
    if not isinstance(model, BaseModule):
        raise TypeError(
            f"load_weights: model must be a model, got {type(model).__name__}; write load_weights(path, model)"
        )
    check_flags("load_weights", best=best, compare=compare)
    file = _file_of(given_path("load_weights: path", path), network, best)
    found, belongs = _read(file)
    check_weights(model, found, f"load_weights: {file} doesn't fit the model")
    wrong = [] if belongs is None or not compare else unlike(belongs["model"], belonging(model)["model"])
    if wrong:
        message = (
            f"load_weights: the weights in {file} are of another model: {in_words(wrong)}. Build the model as they "
            "were learned in, or load them all the same with compare=False"
        )
        if belongs is None or belongs.get("pcx") == __version__:
            raise ValueError(message)
        # Another version may have other words for the same.
        warnings.warn(f"{message} (written by pcx {belongs.get('pcx')})", RuntimeWarning, stacklevel=2)
    set_weights(model, found)


def check_weights(model: BaseModule, found: Mapping[str, Any], reason: str) -> None:
    """Refuse weights whose names or shapes are not those of a model.

    **Raises:** `ValueError` with the reason.
    """
    have = {name: np.shape(value) for name, (_, _, value) in _params(model).items()}
    held = {name: np.shape(value) for name, value in found.items()}
    wrong = [
        f"{name}: {held.get(name, 'nothing')} in the file, {have.get(name, 'nothing')} in the model"
        for name in {**have, **held}
        if have.get(name) != held.get(name)
    ]
    if wrong:
        raise ValueError(f"{reason}: {in_words(wrong)}")


def set_weights(model: BaseModule, found: Mapping[str, Any]) -> None:
    """Set a model's weights by name, once they are checked."""
    new: dict[int, tuple[BaseParam, list[Any], Any]] = {}
    for name, (param, place, value) in _params(model).items():
        _, leaves, treedef = new.setdefault(id(param), (param, *jtu.tree_flatten(param.get())))
        leaves[place] = jnp.asarray(found[name], jnp.result_type(value))
    for param, leaves, treedef in new.values():
        param.set(jtu.tree_unflatten(treedef, leaves))


def file_name(kind: str, network: int | None) -> str:
    """Return the name in a run's folder of the last (`"weights"`) or best (`"best"`) weights of a network.

    **Arguments:**

    - `network`: its number; None if it is the only one.
    """
    return f"{kind}.safetensors" if network is None else f"{kind}-{network}.safetensors"


def _file_of(path: Path, network: int | None, best: bool) -> Path:
    if not path.is_dir():
        if network is not None or best:
            raise ValueError("load_weights: network= and best= choose in a run: give its folder, not a file")
        if not path.exists() and (several := _several(path.parent, path.stem)):
            raise FileNotFoundError(f"load_weights: there is no {path}; {_choice(path.parent, several)}")
        if not path.exists():
            raise FileNotFoundError(f"load_weights: there is no {path}")
        return path
    kind = "best" if best else "weights"
    one, several = path / file_name(kind, None), _several(path, kind)
    if network is None and not several and one.exists():
        return one
    if network is None and several:
        raise ValueError(f"load_weights: {_choice(path, several)}")
    if network is not None and network in several:
        return path / file_name(kind, network)
    if network == 0 and one.exists():
        return one
    if network is not None and (several or one.exists()):
        raise ValueError(f"load_weights: {path} has no network {network}; {_choice(path, several or [0])}")
    when = "with a checkpoint of a run that judges by a metric" if best else "when a run ends"
    raise FileNotFoundError(
        f"load_weights: {path} holds no {kind} weights: they are written {when}; what a run that was cut off has "
        "learned comes from load_run(folder)"
    )


def _several(folder: Path, kind: str) -> list[int]:
    numbers = [p.stem.removeprefix(f"{kind}-") for p in folder.glob(f"{kind}-*.safetensors")]
    return sorted(int(n) for n in numbers if n.isdecimal())


def _choice(folder: Path, several: list[int]) -> str:
    try:
        networks = json.loads((folder / "config.json").read_text(encoding="utf-8"))["made_of"]["networks"]
        names = [f"{i} (seed {networks[i]['seed']})" for i in several]
    except (OSError, ValueError, KeyError, TypeError, IndexError):
        names = [str(i) for i in several]
    return f"choose one of its networks by network=: {', '.join(names)}"


def _read(file: Path) -> tuple[dict[str, np.ndarray], dict[str, Any] | None]:
    """The arrays of a file, and what they belong to, if it says so."""
    content = file.read_bytes()
    try:
        found = require_safetensors().load(content)
        size = int.from_bytes(content[:8], "little")
        metadata = json.loads(content[8 : 8 + size]).get("__metadata__") or {}
    except Exception as e:  # safetensors has errors of its own
        raise ValueError(f"load_weights: {file} is no whole safetensors file: {e}") from e
    ours = _KEY in metadata or any("sha256_of_this" in value for value in metadata.values())
    if not ours:
        return found, None
    try:
        belongs = unsealed(json.loads(metadata.get(_KEY, "null")), found)
        return found, {"model": belongs["model"], "pcx": belongs["pcx"]}
    except (KeyError, ValueError) as e:
        raise ValueError(f"load_weights: {file} is damaged: {e}") from e


def _params(model: BaseModule) -> dict[str, tuple[BaseParam, int, Any]]:
    """Each array of the model's weights by path: its param, its place among the leaves, its value."""
    found = {}
    for path, param in params_by_path(model).items():
        if isinstance(param, (LayerParam, LayerState, StateParam)) and param.get() is not None:
            for place, (inner, leaf) in enumerate(jtu.tree_flatten_with_path(param.get())[0]):
                found[f"{path.removeprefix('.')}{jtu.keystr(inner)}"] = (param, place, leaf)
    return found


def require_safetensors() -> Any:
    """safetensors' module; `ImportError` with what to install if it isn't there."""
    try:
        import safetensors.numpy
    except ImportError as e:
        raise ImportError(f"weights files need safetensors: pip install safetensors{see('package')}") from e
    return safetensors.numpy
