"""The parts of a run, built again: model with its weights, rule, data."""

from __future__ import annotations

import importlib
import os
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, cast

import jax.numpy as jnp
import jax.tree_util as jtu
import numpy as np

from ..core import BaseParam, RKGState, __version__, params_by_path
from ..data import check_flags, given_path
from ..nn import LayerParam, LayerState, StateParam
from ..predictive_coding import EnergyModule
from ._belongs import unlike, without_form
from ._checkpoint import Checkpoints
from ._describe import describe, in_words
from ._files import CheckpointError
from ._folder import read_json
from ._model import model_of
from ._rule import LearningRule, RuleMaker, is_rule, lacking
from ._weights import check_weights, set_weights

# Who knows how to build the runs of a command, by the name that it has in config.json. Fixed here, and not taken from
# the folder, which may come from someone else.
_BUILDERS = {"train": "pcx.cli._rebuild"}


def load_run(
    folder: str | os.PathLike[str],
    model: EnergyModule | Callable[[], EnergyModule] | None = None,
    rule: LearningRule | RuleMaker | None = None,
    *,
    network: int | None = None,
    best: bool = False,
    data_folder: str | os.PathLike[str] | None = None,
    compare: bool = True,
) -> tuple[EnergyModule, LearningRule | None, Any]:
    """Return what a run trained: `model, rule, data = load_run(folder)`. The model has the weights of the newest
    checkpoint.

    A run of the command is built from its options. One of `fit` doesn't hold how model and rule are made: give them.

    **Arguments:**

    - `folder`: the run's; of a comparison that of one rule inside it.
    - `model`, `rule`: of a run of `fit`, what it was given: the model or a function that makes it; the rule, or a
        function of the settings.
    - `network`: of a run with several networks, which; they count from 0.
    - `best`: the weights of the best epoch, not of the last checkpoint.
    - `data_folder`: of a run of the command, where the data files are now.
    - `compare`: whether model and rule must be what the run was made of.

    **Returns:** model, rule, and data. Of a run of `fit`, rule is None unless it was given, and data is None. Of one of
    the command, data has the splits `data.train`, `data.validation` and `data.test`, each with `x` and `y`;
    `data.scaling`, by which samples of your own are brought to the scale of these, `rule.predict(model,
    data.scaling(x))`, with pixels from 0 to 1 before (None of a run with `--no-standardise`); and `data.names`, those
    of the classes.

    **Raises:** `TypeError` for arguments of another kind; `FileNotFoundError` if there is no run; `ValueError` if
    `model` or `network` is needed, or model or rule are not what the run was made of, naming the differences;
    `CheckpointError` if there is no checkpoint, or it is damaged.
    """
    check_flags("load_run", best=best, compare=compare)
    if rule is not None and not callable(rule) and not is_rule(rule):
        raise TypeError(
            f"load_run: rule must be a pcx.learning.Rule or a function that makes one, got {type(rule).__name__}"
            f"{lacking(rule)}"
        )
    path = given_path("load_run: folder", folder)
    where = None if data_folder is None else given_path("load_run: data_folder", data_folder)
    if not (path / "config.json").is_file():
        raise FileNotFoundError(f"load_run: {path} holds no run (no config.json)")
    config = read_json(path / "config.json")
    made_of = config.get("made_of") if isinstance(config, dict) else None
    if not isinstance(made_of, dict) or not isinstance(made_of.get("networks"), list):
        hint = ": give the folder of one of its rules" if (path / "summary.json").exists() else ""
        raise ValueError(f"load_run: {path} holds no single run{hint}")
    number = _chosen(path, made_of["networks"], network)
    member = made_of["networks"][number]
    data: Any = None
    builder = _BUILDERS.get(config.get("command", ""))
    if model is None:
        if builder is None:
            raise ValueError(
                f"load_run: {path} is a run of fit, which doesn't hold how its model is made: give it the model or the "
                "function that fit was given, load_run(folder, model, rule)"
            )
        model, built, data = importlib.import_module(builder).rebuild(path, where)
        rule = built if rule is None else rule
    elif where is not None:
        raise ValueError("load_run: data_folder has no effect where the model is given: then no data is built")
    assert model is not None  # what was given, or built
    made = model_of("load_run", model, member["seed"])
    described = None if rule is None else describe(rule)
    own = rule if rule is None or is_rule(rule) else cast(RuleMaker, rule)(**member["settings"])
    if compare:
        _compare(path, made_of, {"model": describe(made), **({} if described is None else {"rule": described})})
    _set(made, path, number, best)
    return made, own, data


def _chosen(path: Path, networks: list[Mapping[str, Any]], network: int | None) -> int:
    if network is None and len(networks) == 1:
        return 0
    if network is None or not 0 <= network < len(networks):
        names = [
            ", ".join([f"{i} (seed {n['seed']}", *[f"{k} {v:g}" for k, v in n["settings"].items()]]) + ")"
            for i, n in enumerate(networks)
        ]
        wrong = "" if network is None else f"there is no network {network}; "
        raise ValueError(f"load_run: {wrong}choose one of the networks in {path} by network=: {', '.join(names)}")
    return network


def _compare(path: Path, made_of: Mapping[str, Any], now: Mapping[str, Any]) -> None:
    was = {name: without_form(made_of.get(name)) for name in now}
    wrong = [f"{name}: {each}" for name, found in now.items() for each in unlike(was[name], without_form(found))]
    if not wrong:
        return
    message = (
        f"load_run: the run in {path} is of another {' or '.join(now)}: {in_words(wrong)}. Give what it was begun "
        "with, or load its weights all the same with compare=False"
    )
    try:
        written_by = read_json(path / "versions.json")["pcx"]
    except (CheckpointError, KeyError, TypeError):
        written_by = None
    if written_by in (None, __version__):
        raise ValueError(message)
    warnings.warn(f"{message} (begun by pcx {written_by})", RuntimeWarning, stacklevel=3)


def _set(model: EnergyModule, path: Path, network: int, best: bool) -> None:
    if not (path / "checkpoints").is_dir():
        raise CheckpointError(f"load_run: {path} has no checkpoint yet")
    checkpoints = Checkpoints(path / "checkpoints", together=False)
    try:
        arrays, _ = checkpoints.load(best=best)
    finally:
        checkpoints.close()
    weights: dict[str, np.ndarray] = {}
    others: list[tuple[BaseParam, Any]] = []
    for at, param in params_by_path(model).items():
        if (value := param.get()) is None:
            continue
        name = at.removeprefix(".")
        for part in ("['weights']", "['rest']", ".weights", ".rest"):  # the latter of states of one's own
            leaves, treedef = jtu.tree_flatten_with_path(value)
            keys = [f"['states'][{network}]{part}[{name!r}]{jtu.keystr(inner)}" for inner, _ in leaves]
            if not keys or not all(key in arrays for key in keys):
                continue
            if isinstance(param, (LayerParam, LayerState, StateParam)):
                weights |= {f"{name}{jtu.keystr(inner)}": arrays[k] for k, (inner, _) in zip(keys, leaves, strict=True)}
            elif not isinstance(param, RKGState) and [np.shape(arrays[k]) for k in keys] == [
                np.shape(leaf) for _, leaf in leaves
            ]:
                others.append((param, jtu.tree_unflatten(treedef, [arrays[k] for k in keys])))
    if not weights:
        raise ValueError(
            f"load_run: the states in {path} are of a rule of your own and hold no `weights` by path in the model; "
            f"read their arrays by Checkpoints({str(path / 'checkpoints')!r}).load()"
        )
    check_weights(model, weights, f"load_run: the checkpoint in {path} doesn't fit the model")
    set_weights(model, weights)
    for param, value in others:
        param.set(jtu.tree_map(jnp.asarray, value))
