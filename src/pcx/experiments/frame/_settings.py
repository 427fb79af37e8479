"""The settings that every experiment has. Imports nothing heavy: they are read before anything else is."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from pathlib import Path

MOST = 2**31 - 1  # of whole numbers: what programs count in


@dataclass(frozen=True)
class Settings:
    """The settings of an experiment. One of its own subclasses this: it gives published values to these, and adds
    others, each a number, a text or a tuple of such, with its help below it.

    **Arguments:**

    - `seeds`, `epochs`, `batch_size`, `samples`, `test_samples`: as their help says.
    """

    seeds: int = 5
    """Networks of each kind, with seeds 0, 1, ..."""
    epochs: int = 25
    """Passes over the training set."""
    batch_size: int = 128
    """Samples in a batch."""
    samples: int | None = None
    """Train on the first so many samples; all if left out."""
    test_samples: int | None = None
    """Judge by the first so many samples of the test set; all if left out."""

    def check(self) -> None:
        """Refuse numbers that can't be used.

        **Raises:** `ValueError`, naming the option.
        """
        for each in fields(self):
            value = getattr(self, each.name)
            option = f"--{each.name.replace('_', '-')}"
            for number in value if isinstance(value, tuple) else (value,):
                if isinstance(number, int) and not isinstance(number, bool) and not 0 < number <= MOST:
                    raise ValueError(f"{option} must be at least 1 and at most {MOST}, got {number}")
                if isinstance(number, float) and not (number >= 0 and math.isfinite(number)):
                    raise ValueError(f"{option} must be at least 0, got {number}")


@dataclass(frozen=True)
class Where:
    """The places of data files.

    **Arguments:**

    - `folder`: searched before the others; None for these alone.
    - `download`: whether files that are nowhere are fetched.
    """

    folder: Path | None = None
    download: bool = False
