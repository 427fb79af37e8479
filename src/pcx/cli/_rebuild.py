"""From a run's config to what it trained: for `pcx.training.load_run`, which knows this module by name."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

from ..predictive_coding import EnergyModule
from ..training import LearningRule
from ._build import Splits, make_rule, model_maker
from ._failures import CommandError
from ._saved import read_config
from ._settings import TrainOptions


def rebuild(folder: Path, data_folder: Path | None) -> tuple[Callable[[], EnergyModule], LearningRule, Splits]:
    """Return a function that makes the network, the rule, and the data of a run of `pcx train`.

    **Raises:** `ValueError` if they can't be built.
    """
    try:
        options = read_config(folder, TrainOptions)
        if data_folder is not None:
            options = dataclasses.replace(options, data_folder=data_folder)
        options.check()
        splits = Splits(options)
        return model_maker(options, splits), make_rule(options, options.rule, len(splits.train)), splits
    except CommandError as e:
        raise ValueError(f"load_run: {e}") from e
