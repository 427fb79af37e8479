"""The settings that a sweep tries, and who of model and rule asks for which."""

from __future__ import annotations

import dataclasses
import functools
import inspect
import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, cast

from ..predictive_coding import EnergyModule
from ._domains import Choice, Domain, Integers, Log, Scalar, Uniform, Value, read, stored
from ._rule import LearningRule, RuleMaker, is_rule
from ._types import is_whole

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution

MOST = 100_000  # places of a grid
COLUMNS = ("setting", "ended", "epochs", "deviation")
"""The columns of a sweep's table that are neither settings nor what was measured."""

Setting = dict[str, Value]
"""A value of each setting, by name."""


@dataclasses.dataclass(frozen=True)
class Space:
    """The settings by name, and who asks for them.

    **Attributes:**

    - `domains`: the values of each.
    - `of_model`, `of_rule`: the names that the functions of model and rule ask for.
    - `static`: the names of those whose values are programs of their own.
    """

    domains: dict[str, Domain]
    of_model: frozenset[str]
    of_rule: frozenset[str]
    static: frozenset[str]

    @property
    def size(self) -> int | None:
        """The number of places of the grid; None if a range has no points."""
        counts = [d._grid() for d in self.domains.values()]
        return None if None in counts else math.prod(len(c) for c in counts if c is not None)

    def grid(self) -> list[Setting]:
        """Return all combinations, the last name changing fastest.

        **Raises:** `ValueError` for a range without points, or a grid beyond all bounds.
        """
        values: dict[str, list[Value]] = {}
        for name, domain in self.domains.items():
            if (found := domain._grid()) is None:
                assert not isinstance(domain, Choice)
                raise ValueError(
                    f"sweep: {name!r} is a range, and a grid needs its points: {type(domain).__name__}({domain.low}, "
                    f"{domain.high}, points=5). A search, trials=N, draws from the range"
                )
            values[name] = found
        if (size := self.size or 0) > MOST:
            raise ValueError(f"sweep: the grid has {size} places, more than {MOST}; search it, with trials=N")
        return [dict(zip(values, each, strict=True)) for each in itertools.product(*values.values())]

    def distributions(self) -> dict[str, BaseDistribution]:
        """Return the values as Optuna knows them."""
        return {name: d._distribution() for name, d in self.domains.items()}

    def stored(self, setting: Setting) -> dict[str, Scalar]:
        """Return a setting as Optuna keeps it."""
        return {name: stored(value) for name, value in setting.items()}

    def read(self, params: Mapping[str, Scalar]) -> Setting:
        """Return a setting from what Optuna keeps, in the order of the names here."""
        return {name: read(domain, params[name]) for name, domain in self.domains.items()}

    def describe(self) -> dict[str, Any]:
        """Return the space as plain data."""
        return {n: {"class": type(d).__name__, **dataclasses.asdict(d)} for n, d in self.domains.items()}

    def program(self, setting: Setting) -> Setting:
        """Return the part of a setting that decides which program it is."""
        return {name: value for name, value in setting.items() if name in self.static}

    def numbers(self, setting: Setting) -> dict[str, int | float]:
        """Return the part of a setting that a program is given as numbers."""
        return {n: v for n, v in setting.items() if n not in self.static and isinstance(v, (int, float))}


def space_of(
    space: Mapping[str, Domain | Sequence[Value]],
    model: Callable[..., EnergyModule],
    rule: LearningRule | RuleMaker,
) -> Space:
    """Return the space that was given, once all of it is asked for by model or rule.

    **Raises:** `TypeError` or `ValueError` for names that nobody asks for, and values that can't be tried.
    """
    if not isinstance(space, Mapping) or not space:
        raise TypeError(
            f"sweep: space must be a dict of settings, such as {{'lr': pxt.Log(1e-4, 1e-2)}}, got {space!r}"
        )
    domains = {name: _domain(name, values) for name, values in space.items()}
    of_model, of_rule = _asked(model), (frozenset() if is_rule(rule) else _asked(cast(RuleMaker, rule)))
    asked = {name: _is_in(name, of_model) + _is_in(name, of_rule) for name in domains}
    unknown = [name for name, times in asked.items() if not times and name != "batch_size"]
    if unknown:
        there = sorted({*of_model, *of_rule, "batch_size"} - {"**"})
        raise ValueError(
            f"sweep: {', '.join(map(repr, unknown))}: neither the function of the model nor that of the rule asks for "
            f"it; they ask for {', '.join(there)}"
        )
    batch = domains.get("batch_size")
    if batch is not None and not asked["batch_size"]:
        whole = isinstance(batch, Integers) or (isinstance(batch, Choice) and all(map(is_whole, batch.values)))
        if not whole:
            raise TypeError("sweep: 'batch_size' must be whole numbers")
    names = frozenset(domains)
    mine = frozenset(n for n in names if _is_in(n, of_model))
    rules = frozenset(n for n in names if _is_in(n, of_rule))
    # A network is made before anything is compiled: what it asks for is known then.
    return Space(domains, mine, rules, frozenset(n for n, d in domains.items() if d.static or n in mine))


def _domain(name: str, values: Domain | Sequence[Value]) -> Domain:
    if not isinstance(name, str) or not name:
        raise TypeError(f"sweep: names of settings must be strings, got {name!r}")
    if name in COLUMNS:
        raise ValueError(
            f"sweep: {name!r} is a column of a sweep's table, and can't be a setting; give the argument of your "
            "function another name"
        )
    if isinstance(values, (Uniform, Log, Integers, Choice)):
        return values
    try:
        return Choice(values)
    except (TypeError, ValueError) as e:
        raise type(e)(f"sweep: {name!r}: {e}; or give pxt.Log, pxt.Uniform or pxt.Integers") from e


def _asked(function: Callable[..., object]) -> frozenset[str]:
    """The names of the arguments of a function; with `**` among them if it takes any."""
    try:
        found = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return frozenset({"**"})
    named = {p.name for p in found if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)}
    return frozenset(named | ({"**"} if any(p.kind is p.VAR_KEYWORD for p in found) else set()))


def _is_in(name: str, asked: frozenset[str]) -> bool:
    return name in asked or ("**" in asked and name != "batch_size")


def bound(function: Callable[..., Any], names: frozenset[str], setting: Setting) -> Callable[..., Any]:
    """Return a function with those of the settings given that it asks for. Equal ones are equal to what compiles."""
    given = {name: value for name, value in setting.items() if name in names}
    return functools.partial(function, **given) if given else function
