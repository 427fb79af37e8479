"""The values that a sweep tries of one setting."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from ._types import Number, is_whole

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution

Scalar: TypeAlias = bool | int | float | str | None
Value: TypeAlias = Scalar | tuple[Scalar, ...]
"""A value of a setting: as a file or a database keeps it, or several of such."""


@dataclasses.dataclass(frozen=True)
class Uniform:
    """Numbers between two bounds, each as likely as the other.

    **Arguments:**

    - `low`, `high`: the bounds, both included.
    - `points`: how many there are in a grid, at equal distances; a search doesn't need it.
    - `static`: whether the rule must know each value while it is traced, so that each is a program of its own.

    **Raises:** `ValueError` or `TypeError` for bounds that aren't finite numbers, or have nothing between them.
    """

    low: int | float
    high: int | float
    points: int | None = None
    static: bool = False

    def __post_init__(self) -> None:
        _check_bounds(self)

    def _grid(self) -> list[Value] | None:
        """The values of a grid; None where there is no end of them."""
        return None if self.points is None else [float(v) for v in np.linspace(self.low, self.high, self.points)]

    def _distribution(self) -> BaseDistribution:
        from optuna.distributions import FloatDistribution

        return FloatDistribution(float(self.low), float(self.high))


@dataclasses.dataclass(frozen=True)
class Log:
    """Numbers between two bounds, evenly in their logarithm, as is usual of rates.

    **Arguments:**

    - `low`, `high`: the bounds, above 0, both included.
    - `points`: how many there are in a grid, at equal ratios, to six digits; a search doesn't need it.
    - `static`: whether the rule must know each value while it is traced, so that each is a program of its own.

    **Raises:** `ValueError` or `TypeError` for bounds that aren't finite numbers above 0, or have nothing between them.
    """

    low: int | float
    high: int | float
    points: int | None = None
    static: bool = False

    def __post_init__(self) -> None:
        _check_bounds(self, log=True)

    def _grid(self) -> list[Value] | None:
        if self.points is None:
            return None
        # As one would write them: what geomspace gives differs in the last digits from what is meant.
        inside = [float(f"{v:.6g}") for v in np.geomspace(self.low, self.high, self.points)[1:-1]]
        return [float(self.low), *inside, float(self.high)]

    def _distribution(self) -> BaseDistribution:
        from optuna.distributions import FloatDistribution

        return FloatDistribution(float(self.low), float(self.high), log=True)


@dataclasses.dataclass(frozen=True)
class Integers:
    """Whole numbers between two bounds: steps, widths, counts. Each is a program of its own.

    **Arguments:**

    - `low`, `high`: the bounds, both included.
    - `log`: whether they are drawn evenly in their logarithm.

    **Raises:** `ValueError` or `TypeError` for bounds that aren't whole numbers, or have nothing between them.
    """

    low: int
    high: int
    log: bool = False
    static: bool = dataclasses.field(default=True, init=False)

    def __post_init__(self) -> None:
        if not (is_whole(self.low) and is_whole(self.high)):
            raise TypeError(f"Integers: the bounds must be whole numbers, got {self.low!r} and {self.high!r}")
        _check_bounds(self, log=self.log)

    def _grid(self) -> list[Value] | None:
        return list(range(int(self.low), int(self.high) + 1))

    def _distribution(self) -> BaseDistribution:
        from optuna.distributions import IntDistribution

        return IntDistribution(int(self.low), int(self.high), log=self.log)


@dataclasses.dataclass(frozen=True)
class Choice:
    """Values from a list; in `sweep` the list alone says the same.

    **Arguments:**

    - `values`: numbers, strings, truth values or None; or tuples of such, as the widths of layers.
    - `static`: whether each is a program of its own. By default (None) floats are numbers that one program is given,
        and everything else, whole numbers included, is static.

    **Raises:** `ValueError` or `TypeError` for an empty list, a value that comes twice, or one that can't be kept.
    """

    values: Sequence[Value]
    static: bool | None = None

    def __post_init__(self) -> None:
        if isinstance(self.values, (str, bytes)) or not isinstance(self.values, (Sequence, np.ndarray)):
            raise TypeError(f"Choice: values must be a list, got {self.values!r}")
        values = tuple(map(_plain, self.values))
        if not values:
            raise ValueError("Choice: there are no values: the list is empty")
        for value in values:
            parts = value if isinstance(value, tuple) else (value,)
            odd = [p for p in parts if not (p is None or isinstance(p, (bool, int, float, str)))]
            if odd:
                raise TypeError(
                    "Choice: values must be numbers, strings, truth values, None, or tuples of such, got "
                    f"{odd[0]!r}; give names, and choose by them in your function"
                )
            if any(isinstance(p, float) and not math.isfinite(p) for p in parts):
                raise ValueError(f"Choice: numbers must be finite, got {value!r}")
            number = isinstance(value, (int, float)) and not isinstance(value, bool)
            if self.static is False and not number:
                raise TypeError(f"Choice: values that aren't static must be numbers, got {value!r}")
        if len(set(values)) < len(values):
            raise ValueError(f"Choice: a value comes twice in {', '.join(map(repr, values))}")
        object.__setattr__(self, "values", values)
        if self.static is None:
            object.__setattr__(self, "static", not all(isinstance(v, float) for v in values))

    def _grid(self) -> list[Value] | None:
        return list(self.values)

    def _distribution(self) -> BaseDistribution:
        from optuna.distributions import CategoricalDistribution

        return CategoricalDistribution([stored(v) for v in self.values])


Domain: TypeAlias = Uniform | Log | Integers | Choice
"""The values of one setting."""


def stored(value: Value) -> Scalar:
    """Return a value as Optuna keeps it: of a tuple its text."""
    return json.dumps(value) if isinstance(value, tuple) else value


def read(domain: Domain, kept: Scalar) -> Value:
    """Return a value from what Optuna keeps; the inverse of `stored`."""
    if isinstance(domain, Choice):
        return next((v for v in domain.values if stored(v) == kept and type(stored(v)) is type(kept)), kept)
    return kept


def _plain(value: object) -> Value:
    """A value without NumPy's types; lists as tuples."""
    if isinstance(value, (list, tuple, np.ndarray)):
        return tuple([_plain(v) for v in value])  # type: ignore[return-value]
    return value.item() if isinstance(value, np.generic) else value  # type: ignore[return-value]


def _check_bounds(domain: Uniform | Log | Integers, log: bool = False) -> None:
    """Refuse bounds, and a number of points, that can't be used."""
    name, low, high = type(domain).__name__, domain.low, domain.high
    for bound in (low, high):
        if isinstance(bound, bool) or not isinstance(bound, Number) or not math.isfinite(bound):
            raise TypeError(f"{name}: the bounds must be finite numbers, got {bound!r}")
    if log and low <= 0:
        raise ValueError(f"{name}: {low} has no logarithm: both bounds must be above 0")
    if not low < high:
        raise ValueError(f"{name}: there is nothing between {low} and {high}: the first must be below the second")
    points = None if isinstance(domain, Integers) else domain.points
    if points is not None and not (is_whole(points) and points >= 2):
        raise ValueError(f"{name}: a grid must have 2 points or more, got {points!r}")
