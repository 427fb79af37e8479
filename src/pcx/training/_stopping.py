"""Early stopping."""

from __future__ import annotations

import dataclasses
import math
from typing import Any, Literal


@dataclasses.dataclass(frozen=True)
class EarlyStopping:
    """A network stops when its metric has not become better for some epochs.

    **Arguments:**

    - `metric`: a name in the history, such as `"validation_accuracy"` or `"validation_loss"`.
    - `patience`: how many epochs without a better value it goes on, 1 or more.
    - `least`: by how much a value must be better to count.
    - `mode`: whether larger (`"max"`) or smaller (`"min"`) is better; by default `"max"` for accuracies.
    """

    metric: str = "validation_loss"
    patience: int = 5
    least: float = 0.0
    mode: Literal["min", "max"] | None = None

    def __post_init__(self) -> None:
        if self.patience < 1:
            raise ValueError(f"EarlyStopping: patience must be at least 1, got {self.patience}")
        if self.mode not in (None, "min", "max"):
            raise ValueError(f"EarlyStopping: mode must be 'min' or 'max', got {self.mode!r}")

    def out_of_patience(self, rows: list[dict[str, Any]]) -> bool:
        """Whether the epochs so far of one network say to stop."""
        best, since = math.inf, 0
        for row in rows:
            value = cost(row, self.metric, self.mode)
            best, since = (value, 0) if value < best - self.least else (best, since + 1)
        return since >= self.patience


def cost(row: dict[str, Any], metric: str, mode: str | None = None) -> float:
    """A row's metric as a number of which less is better; infinite if it is not finite.

    **Raises:** `ValueError` if the row has no such metric, naming those it has.
    """
    if metric not in row:
        have = ", ".join(k for k, v in row.items() if isinstance(v, float))
        raise ValueError(f"there is no metric {metric!r} in the history, which has {have}")
    value = row[metric]
    if value is None or not math.isfinite(value):
        return math.inf
    return -value if (mode or ("max" if "accuracy" in metric else "min")) == "max" else value
