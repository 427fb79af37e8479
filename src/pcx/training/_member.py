"""One network of a run, and which there are."""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from ..energy import is_equinox, no_model
from ..predictive_coding import EnergyModule
from ._rule import LearningRule, RuleMaker, is_rule, lacking
from ._types import Settings


@dataclasses.dataclass(frozen=True)
class Member:
    """One network of a run: its seed, and the settings that it is trained with."""

    seed: int
    settings: dict[str, Any]

    @property
    def name(self) -> str:
        """A short name."""
        return ", ".join([f"seed {self.seed}", *[f"{k} {v:g}" for k, v in self.settings.items()]])


def members_of(
    model: EnergyModule | Callable[[], EnergyModule],
    rule: LearningRule | RuleMaker,
    seeds: int | Sequence[int],
    settings: Sequence[Settings] | None,
) -> list[Member]:
    """Return a member for each seed and each of the settings.

    **Raises:** `TypeError` or `ValueError` for arguments of `fit` that don't fit together.
    """
    try:
        seeds = [seeds] if isinstance(seeds, (int, np.integer)) else list(seeds)
    except TypeError:
        raise TypeError(f"fit: seeds must be a number or several, got {type(seeds).__name__}") from None
    whole = all(isinstance(s, (int, np.integer)) and not isinstance(s, bool) for s in seeds)
    if not seeds or not whole or len(set(seeds)) != len(seeds):
        raise ValueError(f"fit: seeds must be one or several different whole numbers, got {seeds}")
    if isinstance(model, EnergyModule):
        if len(seeds) > 1:
            raise ValueError(
                "fit: several seeds need a function that makes the model, called once for each, such as lambda: "
                "pxm.MLP(...)"
            )
    elif not callable(model) or is_equinox(model):
        raise no_model("fit: model must be an EnergyModule or a function that makes one; ", model)
    if is_rule(rule):
        if settings is not None:
            raise ValueError("fit: settings need a function `rule(**settings)`; a rule was given")
    elif not callable(rule):
        raise TypeError(
            f"fit: rule must be a pcx.learning.Rule or a function that makes one, got {type(rule).__name__}"
            f"{lacking(rule)}"
        )
    elif not settings:
        raise ValueError("fit: rule is a function: give the settings to call it with, such as settings=[{'lr': 1e-3}]")
    return [Member(int(s), c) for s, c in itertools.product(seeds, _checked(settings))]


def _checked(settings: Sequence[Settings] | None) -> list[dict[str, int | float]]:
    if settings is None:
        return [{}]
    found: list[dict[str, int | float]] = []
    for each in settings:
        if not isinstance(each, Mapping) or not each:
            raise ValueError(f"fit: settings must be dicts such as {{'lr': 1e-3}}, got {each!r}")
        if found and set(each) != set(found[0]):
            raise ValueError(f"fit: settings must all have the same names, got {sorted(found[0])} and {sorted(each)}")
        odd = [k for k in each if not isinstance(k, str) or not k]
        if odd:
            raise TypeError(f"fit: names of settings must be strings, got {odd[0]!r}")
        found.append({k: _real(k, v) for k, v in each.items()})
    return found


def _real(name: str, value: object) -> int | float:
    if np.ndim(value) == 0 and np.issubdtype(np.asarray(value).dtype, np.number) and not np.iscomplexobj(value):  # type: ignore[arg-type]
        number = np.asarray(value).item()
        if math.isfinite(number):
            return number
    raise ValueError(f"fit: settings must be finite numbers, but {name!r} is {value!r}; other choices are other runs")
