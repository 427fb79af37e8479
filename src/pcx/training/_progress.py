"""The progress of a run."""

from __future__ import annotations

import dataclasses

from ._types import Json, Row


@dataclasses.dataclass
class Progress:
    """The place of a run, beside its arrays: plain values, as a checkpoint holds them.

    **Attributes:**

    - `epoch`, `batch`: the next batch, both from 0.
    - `seconds`: of this epoch so far.
    - `history`: the rows so far.
    - `active`: of each network, whether it still learns.
    - `why`: the reasons of those that failed, in words.
    - `trained`: the batches so far.
    - `seen`: what was seen of the networks in this epoch so far, see `fit(regime=...)`.
    - `compiled`: the epochs, from 1, whose time holds a compilation: the first of each process that trained.
    """

    epoch: int
    batch: int
    seconds: float
    history: list[Row]
    active: list[bool]
    why: list[str]
    compiled: list[int] = dataclasses.field(default_factory=list)
    trained: int = 0
    seen: list[Row] = dataclasses.field(default_factory=list)

    @classmethod
    def at_start(cls, networks: int) -> Progress:
        """Return the progress of a run that has not begun."""
        return cls(0, 0, 0.0, [], [True] * networks, [])

    def copy(self) -> dict[str, Json]:
        """Return a value for JSON that doesn't change with this one."""
        values = {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}
        return {name: list(value) if isinstance(value, list) else value for name, value in values.items()}
