"""The options of the commands. Imports nothing heavy: they are read before anything else is."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from ._failures import Refused

RULES = ("zil", "hil", "backprop")
POINTS = 1024  # of the training set, and as many of the test set


@dataclass(frozen=True)
class ZilOptions:
    """Train a small classifier of two moons by Z-IL, by hybrid inference learning and by backpropagation."""

    seeds: int = 8
    """Number of networks per rule; network i starts from the same weights under every rule."""
    epochs: int = 8
    """Passes over the 1024 training points."""
    rule: tuple[Literal["zil", "hil", "backprop", "all"], ...] = ("all",)
    """Learning rules, one or several: zil (zero-divergence inference learning), hil (the same sweep, then more
    inference and a second update of the weights), backprop, or all three."""
    out: Path | None = None
    """Folder for the results, new or empty; runs/zil-<date>-<time> if left out."""
    batch_size: int = 256
    """Points per batch, 1 to 1024; points beyond the last full batch are left out."""
    hidden: int = 32
    """Width of both hidden layers."""

    @property
    def rules(self) -> tuple[str, ...]:
        """The rules to run, each once, in the order in which they are run."""
        return RULES if "all" in self.rule else tuple(rule for rule in RULES if rule in self.rule)

    def check(self) -> None:
        """Raises `Refused` if an option has a value that cannot be used."""
        for name in ("seeds", "epochs", "batch_size", "hidden"):
            value = getattr(self, name)
            most = 10_000 if name in ("seeds", "hidden") else 2**31 - 1
            if value < 1:
                raise Refused(f"--{name.replace('_', '-')} must be at least 1, got {value}")
            if value > most and name != "batch_size":
                raise Refused(f"--{name.replace('_', '-')} must be at most {most}, got {value}")
        if self.batch_size > POINTS:
            raise Refused(f"--batch-size must be at most {POINTS}, the number of points, got {self.batch_size}")
        if not self.rule or not set(self.rule) <= {*RULES, "all"}:
            raise Refused(
                f"--rule must be one or several of {', '.join((*RULES, 'all'))}, got {' '.join(self.rule) or 'none'}"
            )
