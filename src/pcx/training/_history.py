"""The history of a run: one row for each epoch and network."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from ._member import Member
from ._stopping import Mode, cost
from ._table import grouped

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
    """Whether no epoch of a network was better than its last one."""
    costs = [cost(each, metric, mode) for each in history]
    return bool(costs) and costs[-1] <= min(costs)


def lines(
    epoch: int, epochs: int, rows: Sequence[dict[str, Any]], members: Sequence[Member], by: str, mode: Mode
) -> list[str]:
    """An epoch in words: means over the networks; of several settings a line for each, the best first."""
    groups = [[row for row in rows if row["network"] in group] for group in grouped(members)]
    groups = [group for group in groups if group]
    seconds = max((each["seconds"] for each in rows), default=0.0)
    begin, end = f"epoch {epoch}/{epochs}", f"({seconds:.1f} s)"
    if len(grouped(members)) == 1:
        return [f"{begin}: {_means(rows)} {end}"]
    groups.sort(key=lambda group: sum(cost(row, by, mode) for row in group) / len(group))
    names = [", ".join(f"{k} {v:g}" for k, v in members[group[0]["network"]].settings.items()) for group in groups]
    head = f"{begin}, the best {by.replace('_', ' ')} first {end}"
    return [head, *[f"  {name}: {_means(group)}" for name, group in zip(names, groups, strict=True)]]


def _means(rows: Sequence[dict[str, Any]]) -> str:
    parts = []
    for name in ("energy", "loss", "accuracy", "validation_loss", "validation_accuracy"):
        values = [each[name] for each in rows if each.get(name) is not None]
        if values:
            mean = sum(values) / len(values)
            text = f"{mean:.2%}" if "accuracy" in name else f"{mean:.4g}"
            parts.append(f"{name.replace('_', ' ')} {text}")
    return ", ".join(parts)


def _number(x: Any) -> float | None:
    x = float(x)
    return x if math.isfinite(x) else None
