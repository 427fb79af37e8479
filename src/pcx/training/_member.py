"""One network of a run."""

from __future__ import annotations

import dataclasses
from typing import Any


@dataclasses.dataclass(frozen=True)
class Member:
    """One network of a run: its seed, and the settings that it is trained with."""

    seed: int
    settings: dict[str, Any]

    @property
    def name(self) -> str:
        """A short name."""
        return ", ".join([f"seed {self.seed}", *[f"{k} {v:g}" for k, v in self.settings.items()]])
