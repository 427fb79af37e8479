"""The settings that a search tries next, and the pruners that it may have.

A search draws a few settings at once, sees how all of them end, and draws the next. Each draw is a function of the seed
and of what was drawn and found before, in order of the places. So it doesn't matter which process makes it, how many
there are, or whether one was killed on the way.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np

from ._domains import Scalar

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution
    from optuna.trial import FrozenTrial

SamplerName = Literal["tpe", "random"]
SamplerMaker: TypeAlias = Callable[..., Any]
"""A function of `seed`, such as a class of Optuna's samplers."""

PrunerName = Literal["median", "halving", "hyperband"]


def drawn(
    sampler: SamplerName | SamplerMaker,
    seed: int,
    mode: str,
    distributions: Mapping[str, BaseDistribution],
    before: Mapping[int, FrozenTrial],
    first: int,
    last: int,
) -> dict[int, dict[str, Scalar]]:
    """Return the settings of the places from `first` up to `last`, as Optuna keeps them.

    **Arguments:**

    - `before`: the trials of all places before, which have ended.
    """
    import optuna

    own = int(np.random.SeedSequence([seed, first]).generate_state(1)[0])
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*experimental.*")
        made = sampler_of(sampler, own)
        study = _in_memory(mode, made)
        for _, trial in sorted(before.items()):
            study.add_trial(
                optuna.trial.create_trial(
                    state=trial.state,
                    value=trial.value,
                    params=trial.params,
                    distributions=trial.distributions,
                    intermediate_values={k: v for k, v in trial.intermediate_values.items() if math.isfinite(v)},
                )
            )
        return {place: dict(study.ask(dict(distributions)).params) for place in range(first, last)}


def sampler_of(sampler: SamplerName | SamplerMaker, seed: int) -> Any:
    """Return a sampler of Optuna's.

    **Raises:** `TypeError` or `ValueError` for what is none.
    """
    import optuna

    if sampler == "tpe":
        # Of those that are under way as if they went badly: so the settings that are drawn together differ.
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message=".*experimental.*")
            return optuna.samplers.TPESampler(seed=seed, constant_liar=True)
    if sampler == "random":
        return optuna.samplers.RandomSampler(seed=seed)
    if isinstance(sampler, optuna.samplers.BaseSampler):
        raise TypeError(
            f"sweep: sampler is a {type(sampler).__name__}, whose random numbers would begin anew in every process; "
            "give a function of the seed that makes one: sampler=lambda seed: optuna.samplers.TPESampler(seed=seed)"
        )
    if not callable(sampler):
        raise ValueError(f"sweep: sampler must be 'tpe', 'random' or a function of seed, got {sampler!r}")
    made = sampler(seed=seed)
    if not isinstance(made, optuna.samplers.BaseSampler):
        raise TypeError(f"sweep: sampler must make a sampler of Optuna's, not {type(made).__name__}")
    return made


def pruner_of(pruner: object) -> Any:
    """Return a pruner of Optuna's; None as it is.

    **Raises:** `TypeError` for what is none.
    """
    import optuna

    named = {
        "median": optuna.pruners.MedianPruner,
        "halving": optuna.pruners.SuccessiveHalvingPruner,
        "hyperband": optuna.pruners.HyperbandPruner,
    }
    if isinstance(pruner, str) and pruner in named:
        return named[pruner]()
    if pruner is None or isinstance(pruner, optuna.pruners.BasePruner):
        return pruner
    names = ", ".join(map(repr, named))
    raise TypeError(f"sweep: pruner must be {names}, one of optuna.pruners, or None, got {pruner!r}")


def _in_memory(mode: str, sampler: Any) -> Any:
    import optuna

    level = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        return optuna.create_study(direction="maximize" if mode == "max" else "minimize", sampler=sampler)
    finally:
        optuna.logging.set_verbosity(level)
