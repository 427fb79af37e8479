"""The record of an arm: its numbers by seed and epoch, its first steps, its regime. Imports nothing heavy."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class FirstSteps:
    """The first steps of an arm, by which a folder is verified.

    **Arguments:**

    - `numbers`: by name, a number for each step, such as the loss; None for what is not finite.
    - `moved`: of each weight, the norm of its way from its first value to that after the last of these steps.
    - `bits`: the SHA-256 of all weights after them.
    - `first_call`: seconds of the first step, with the compilation.
    - `step`: seconds of a step, the median of the others.
    """

    numbers: dict[str, list[float | None]]
    moved: dict[str, float]
    bits: str
    first_call: float | None = None
    step: float | None = None

    @property
    def count(self) -> int:
        """The number of steps."""
        return max((len(each) for each in self.numbers.values()), default=0)


@dataclass(frozen=True)
class Record:
    """The record of an arm: all that came out of it.

    **Arguments:**

    - `rows`: a dict for each seed and epoch, with `seed`, `epoch`, and numbers by name; None for what is not finite.
    - `ended`: `"done"`, `"failed"` or `"interrupted"`.
    - `why`: the reason, if it failed.
    - `seconds`: for each epoch and network, the median over the epochs that compiled nothing.
    - `after`: what was measured once, by name: a number for each seed.
    - `kept`: plain data that the figure is drawn from, such as images.
    - `regime`: what `pcx.analysis.regime` says of the first network at the end, as plain data; None if nothing.
    - `made_of`: rule and data as plain data, the name of the data, `of`, and the number of weights.
    - `first_steps`: see `FirstSteps`.
    - `code`: the state of the code that trained it.
    """

    rows: list[dict[str, Any]]
    ended: str = "done"
    why: str | None = None
    seconds: float | None = None
    after: dict[str, list[float | None]] = field(default_factory=dict)
    kept: dict[str, Any] = field(default_factory=dict)
    regime: dict[str, Any] | None = None
    made_of: dict[str, Any] = field(default_factory=dict)
    first_steps: FirstSteps | None = None
    code: dict[str, Any] = field(default_factory=dict)

    @property
    def seeds(self) -> list[int]:
        """The seeds, in the order of the rows."""
        return list(dict.fromkeys(row["seed"] for row in self.rows))

    def curves(self, key: str) -> list[list[float | None]]:
        """Return a number over the epochs, for each seed.

        **Arguments:**

        - `key`: its name in the rows.

        **Returns:** a list for each seed, in the order of `seeds`.
        """
        return [[row.get(key) for row in self.rows if row["seed"] == seed] for seed in self.seeds]

    def as_json(self) -> dict[str, Any]:
        """Return the record as plain data."""
        return dataclasses.asdict(self)

    @classmethod
    def from_json(cls, found: dict[str, Any]) -> Record:
        """Return a record from plain data, the inverse of `as_json`.

        **Arguments:**

        - `found`: the plain data.

        **Returns:** the record.

        **Raises:** `ValueError` if it is no record.
        """
        try:
            steps = found.get("first_steps")
            return cls(**{**found, "first_steps": None if steps is None else FirstSteps(**steps)})
        except (AttributeError, TypeError) as e:
            raise ValueError(f"no record of an arm: {e}") from e
