"""The history of a run: one row for each epoch and network."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from ._result import Member
from ._stopping import Mode, cost

OWN = ("epoch", "network", "seed", "accuracy", "energy", "loss", "steps", "seconds", "energies")
"""Names in a row that settings and metrics can't have (but for accuracy, which a metric may replace)."""


def row(
    epoch: int, network: int, member: Member, totals: Any, judged: dict[str, float], seconds: float
) -> dict[str, Any]:
    """One row.

    **Arguments:**

    - `epoch`: from 1.
    - `totals`: the network's sums over the samples of the epoch, on the host.
    - `judged`: means over the held-out samples, by their names in the row.
    - `seconds`: of all networks together.
    """
    count = int(totals["samples"])
    sums = dict(totals["sums"])
    energies = {k: _number(v / count) for k, v in sums.pop("energies").items()}
    return {
        "epoch": epoch,
        "network": network,
        "seed": member.seed,
        **member.settings,
        **{k: _number(v / count) for k, v in sums.items()},
        **{k: _number(v) for k, v in judged.items()},
        "seconds": round(seconds, 4),
        "energies": energies,
    }


def is_best(history: Sequence[dict[str, Any]], metric: str, mode: Mode) -> bool:
    """Whether no epoch was better than the last one, by the mean over the networks. One that stopped counts as it was
    at its last epoch."""
    now: dict[int, float] = {}
    means: dict[int, float] = {}
    for each in history:
        now[each["network"]] = cost(each, metric, mode)
        means[each["epoch"]] = sum(now.values()) / len(now)
    return bool(means) and means[max(means)] <= min(means.values())


def line(epoch: int, epochs: int, rows: Sequence[dict[str, Any]]) -> str:
    """An epoch in words: means over the networks."""
    parts = []
    for name in ("energy", "loss", "accuracy", "validation_loss", "validation_accuracy"):
        values = [each[name] for each in rows if each.get(name) is not None]
        if values:
            mean = sum(values) / len(values)
            text = f"{mean:.2%}" if "accuracy" in name else f"{mean:.4g}"
            parts.append(f"{name.replace('_', ' ')} {text}")
    seconds = max((each["seconds"] for each in rows), default=0.0)
    return f"epoch {epoch}/{epochs}: {', '.join(parts)} ({seconds:.1f} s)"


def _number(x: Any) -> float | None:
    x = float(x)
    return x if math.isfinite(x) else None
