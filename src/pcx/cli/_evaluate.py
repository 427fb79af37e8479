"""`pcx eval`: what the networks of a run get right, computed from its checkpoints alone."""

from __future__ import annotations

import dataclasses
import functools
import itertools
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import jax
import jax.tree_util as jtu
import numpy as np
from jaxtyping import PyTree

from ..core import moments, seeded
from ..data import Split
from ..energy import apart, in_stacks_of
from ..learning import State
from ..training import CheckpointError, Checkpoints, LearningRule, accuracy
from ._build import Splits, make_rule, model_maker
from ._failures import DONE, CommandError, told
from ._saved import read_config
from ._settings import TrainOptions
from ._tables import console, counted, number, percent, say, spread, table

_JUDGED = 512  # samples looked at together


def evaluate(
    folder: Path,
    split: Literal["test", "validation", "train"],
    best: bool,
    as_json: bool,
    data_folder: Path | None,
) -> int:
    """Print accuracy and loss for each network of a run; the exit status."""
    options = read_config(folder, TrainOptions)
    if data_folder is not None:
        options = dataclasses.replace(options, data_folder=data_folder)
    if best and options.validation != "held-out":
        raise CommandError(
            f"{folder} was trained without held-out samples, so there is no best epoch; leave out --best"
        )
    with told():
        splits = Splits(options)
    if split not in splits.named:
        raise CommandError(f"{folder} was trained with --validation none; choose --split test or train")
    arrays, epochs = _read(folder, best)
    rule = make_rule(options, options.rule, len(splits.train))
    with told():
        states = [_state(options, splits, rule, arrays, i, seed) for i, seed in enumerate(options.all_seeds)]
    found = judge(rule, states, splits.named[split])
    report = {
        "run": str(folder),
        "rule": options.rule,
        "data": options.data,
        "split": split,
        "checkpoint": "best" if best else "last",
        "epochs": max(epochs),
        "networks": [
            {"seed": seed, "epochs": epoch, **each}
            for seed, epoch, each in zip(options.all_seeds, itertools.cycle(epochs), found, strict=False)
        ],
    }
    for name in ("accuracy", "loss"):
        over = moments([each[name] for each in found])
        report[name] = {"mean": over["mean"], "std": over["std"]}
    if as_json:
        print(json.dumps(report, indent=2))
    else:
        _show(report)
    return DONE


def judge(rule: LearningRule, states: Sequence[PyTree], split: Split) -> list[dict[str, float]]:
    """Loss and accuracy of each network, means over the samples of a split."""
    sums = jax.jit(functools.partial(_sums, rule))
    found = [{"accuracy": 0.0, "loss": 0.0} for _ in states]
    for start in range(0, len(split), _JUDGED):
        rows = np.arange(start, start + _JUDGED)
        # The last batch is filled up, so that one program serves all.
        batch = split.x[rows % len(split)], split.y[rows % len(split)]
        for state, total in zip(states, found, strict=True):
            for name, value in jax.device_get(sums(state, batch, rows < len(split))).items():
                total[name] += float(value) / len(split)
    return found


def _sums(rule: LearningRule, state: PyTree, batch: tuple[PyTree, PyTree], counts: jax.Array) -> dict[str, Any]:
    output, loss = rule.evaluate(state, batch)
    each = {"accuracy": accuracy(output, batch[1]), "loss": loss}
    return {name: jax.numpy.sum(values, where=counts) for name, values in each.items()}


def _read(folder: Path, best: bool) -> tuple[dict[str, Any], list[int]]:
    """The arrays of a checkpoint by path, and the epochs that were done then; of the best one, each network's."""
    place = folder / "checkpoints"
    if not place.is_dir():
        raise CommandError(f"{folder} has no checkpoint yet; go on with pcx resume {folder}")
    with told():
        checkpoints = Checkpoints(place.absolute())
        try:
            arrays, meta = checkpoints.load(best=best)
        except CheckpointError as error:
            if checkpoints.latest(best) is None:
                kind = "best checkpoint" if best else "checkpoint"
                raise CommandError(f"{folder} has no {kind} yet; go on with pcx resume {folder}") from error
            raise
        finally:
            checkpoints.close()
    return arrays, (meta.get("best_epochs") if best else None) or [meta["epoch"]]


def _state(
    options: TrainOptions, splits: Splits, rule: LearningRule, arrays: dict[str, Any], network: int, seed: int
) -> PyTree:
    """The state of one network with the weights of a checkpoint."""
    with seeded(seed):
        model = model_maker(options, splits)()
    batch = splits.train.x[: options.batch_size], splits.train.y[: options.batch_size]
    state = rule.init(model, batch, seed)

    def saved(path: jtu.KeyPath, leaf: jax.Array) -> jax.Array:
        name = f"['states'][{network}]{jtu.keystr(path)}"
        if name not in arrays or np.shape(arrays[name]) != np.shape(leaf):
            raise CommandError(f"the checkpoint is of another model: it has no {name} of shape {np.shape(leaf)}")
        return jax.numpy.asarray(arrays[name], jax.numpy.result_type(leaf))

    if not isinstance(state, State):
        return jtu.tree_map_with_path(saved, state)
    given = {"weights": state.weights, "rest": state.rest}
    return dataclasses.replace(state, **in_stacks_of(given, jtu.tree_map_with_path(saved, apart(given))))


def _show(report: dict[str, Any]) -> None:
    made = table(
        f"{report['rule']} on {report['data']}: {report['split']} set, {report['checkpoint']} checkpoint",
        ["seed", "accuracy", "loss"],
    )
    for network in report["networks"]:
        made.add_row(str(network["seed"]), percent(network["accuracy"]), number(network["loss"]))
    if len(report["networks"]) > 1:
        made.add_section()
        cells = [
            spread([network[name] for network in report["networks"]], write)
            for name, write in (("accuracy", percent), ("loss", number))
        ]
        made.add_row("mean ± std", *cells)
    console().print(made)
    epochs = sorted({network["epochs"] for network in report["networks"]})
    after = counted(epochs[0], "epoch") if len(epochs) == 1 else f"{', '.join(map(str, epochs))} epochs"
    say(f"after {after}; {report['run']}")
