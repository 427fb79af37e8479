"""Early stopping."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from typing import Literal

import numpy as np

from ._types import Row, is_whole
from ._warn import warn

Mode = Literal["min", "max"]


@dataclasses.dataclass(frozen=True)
class EarlyStopping:
    """A network stops when its metric has not become better for some epochs.

    **Arguments:**

    - `metric`: a name in the history, such as `"validation_accuracy"` or `"validation_loss"`.
    - `patience`: how many epochs without a better value it goes on, 1 or more.
    - `least`: by how much a value must be better to count, 0 or more.
    - `mode`: whether larger (`"max"`) or smaller (`"min"`) is better. It is known of losses, energies and accuracies;
        of any other metric it must be said.

    **Raises:** `ValueError` or `TypeError` for arguments of another kind; from `fit` and `out_of_patience`,
    `ValueError` where `mode` is needed and missing.
    """

    metric: str = "validation_loss"
    patience: int | np.integer = 5
    least: int | float | np.integer | np.floating = 0.0
    mode: Mode | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.metric, str):
            raise TypeError(f"EarlyStopping: metric must be a name in the history, got {self.metric!r}")
        if not is_whole(self.patience):
            raise TypeError(f"EarlyStopping: patience must be a whole number of epochs, got {self.patience!r}")
        if self.patience < 1:
            raise ValueError(f"EarlyStopping: patience must be at least 1, got {self.patience}")
        real = isinstance(self.least, (int, float, np.integer, np.floating)) and not isinstance(self.least, bool)
        if not real or not 0 <= self.least < math.inf:
            raise ValueError(f"EarlyStopping: least must be a number of 0 or more, got {self.least!r}")
        check_mode("EarlyStopping: mode", self.mode)

    def out_of_patience(self, rows: Sequence[Row]) -> bool:
        """Return whether the last epochs were no better than those before.

        **Arguments:**

        - `rows`: the epochs so far of one network.

        **Returns:** whether to stop.

        **Raises:** `ValueError` if the rows have no such metric, or `mode` is needed and missing.
        """
        mode = self.mode or direction(self.metric, "EarlyStopping: mode")
        best, since = math.inf, 0
        for row in rows:
            value = cost(row, self.metric, mode)
            best, since = (value, 0) if value < best - self.least else (best, since + 1)
        return bool(since >= self.patience)


def check_mode(name: str, mode: object) -> None:
    """Refuse, under an argument's name, what is no direction.

    **Raises:** `ValueError`.
    """
    if mode is not None and mode not in ("min", "max"):
        raise ValueError(f"{name} must be 'min' or 'max', got {mode!r}")


def direction(metric: str, name: str, accuracies: Sequence[str] = ("accuracy",)) -> Mode:
    """Return whether less or more of a metric is better, where that follows from what it is. Never from how it is
    called: of a metric of one's own nothing is known.

    **Arguments:**

    - `name`: of the argument that could say it, for the error.
    - `accuracies`: names of metrics that are accuracies.

    **Raises:** `ValueError` if it must be said.
    """
    judged = metric.removeprefix("validation_")
    if judged in ("loss", "energy"):
        return "min"
    if judged in accuracies:
        return "max"
    raise ValueError(
        f"{name} is needed for {metric!r}: 'max' if more of it is better, 'min' if less is. Only of losses, energies "
        "and accuracies it is known"
    )


def direction_or_more(metric: str, accuracies: Sequence[str]) -> Mode:
    """Return `direction` of the metric of the best epoch; where it doesn't follow, more is taken to be better, with a
    warning: the checkpoints of a run that is kept wrongly are lost, but nothing that was learned."""
    try:
        return direction(metric, "", accuracies)
    except ValueError:
        warn(
            f"fit: whether more or less of {metric!r} is better was not said; the epoch where it is largest is kept as "
            "the best. Say best_mode='max', or 'min' for the smallest",
            UserWarning,
        )
        return "max"


def cost(row: Row, metric: str, mode: Mode) -> float:
    """Return a row's metric as a number of which less is better; infinite if it is not finite.

    **Raises:** `ValueError` if the row has no such metric, naming those it has.
    """
    if metric not in row:
        have = ", ".join(k for k, v in row.items() if isinstance(v, float))
        raise ValueError(f"there is no metric {metric!r} in the history, which has {have}")
    value = row[metric]
    if value is None or not math.isfinite(value):
        return math.inf
    return -value if mode == "max" else value
