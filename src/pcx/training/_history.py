"""The history of a run: one row for each epoch and network, and what is said of it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from jaxtyping import PyTree

from ..learning import uphill_in_words
from ._looks import verdicts
from ._member import Member
from ._metrics import COUNTED
from ._stopping import Mode, cost
from ._table import grouped
from ._types import Number, Row

OWN = (
    "epoch", "network", "seed", "accuracy", "energy", "energy_before", "loss", "steps", "uphill", "seconds", "energies",
    "regime", COUNTED,
)  # fmt: skip
"""Names in a row that settings and metrics can't have (but for accuracy, which a metric may replace)."""


def row(epoch: int, network: int, member: Member, totals: PyTree, judged: Mapping[str, float], seconds: float) -> Row:
    """Return one row.

    **Arguments:**

    - `epoch`: from 1.
    - `totals`: the network's sums over the samples of the epoch, on the host.
    - `judged`: means over the held-out samples, by their names in the row.
    - `seconds`: of all networks together.
    """
    count = int(totals["samples"])
    sums = dict(totals["sums"])
    energies = {k: _number(v / count) for k, v in sums.pop("energies", {}).items()}
    return {
        "epoch": epoch,
        "network": network,
        "seed": member.seed,
        **member.settings,
        **{k: _number(v) for k, v in means(sums, count).items()},
        **{k: _number(v) for k, v in judged.items()},
        "uphill": _number(totals["uphill"] / totals["batches"]),
        "seconds": round(seconds, 4),
        "energies": energies,
    }


def means(sums: Mapping[str, Number], size: int) -> dict[str, float]:
    """Return means over samples from sums over them; metrics are weighted by the samples' weights, where they
    have some."""
    counted = sums.get(COUNTED, size) or math.nan
    own = set(OWN) - {"accuracy"}
    return {k: float(v / (size if k in own else counted)) for k, v in sums.items() if k != COUNTED}


def without_network(seen: Row) -> Row:
    """Return what was seen of a network, as it stands in the network's own row."""
    return {name: value for name, value in seen.items() if name != "network"}


def went_uphill(rows: Sequence[Row]) -> str | None:
    """Return, in words, that a network's settling goes uphill and stays so: after its last epoch most batches did, and
    their energy was above that of every epoch before settling. So no settling at all would have been better. None
    otherwise.

    **Arguments:**

    - `rows`: of one network.
    """
    if not rows or rows[-1].get("uphill", 0) <= 0.5:
        return None
    after, before = (
        rows[-1]["energy"],
        [each["energy_before"] for each in rows if each.get("energy_before") is not None],
    )
    if after is not None and before and after <= max(before):
        return None
    return uphill(rows[-1])


def uphill(row: Row) -> str:
    """Return, in words, how settling went uphill in an epoch."""
    said = uphill_in_words(row["energy_before"], row["energy"], row["energies"])
    return f"epoch {row['epoch']}, in {row['uphill']:.0%} of the batches: {said}"


def not_finite(row: Row) -> str | None:
    """Return, in words, which numbers of an epoch are NaN or infinite, for which its row holds None; None if there is
    no such number."""
    bad = [name for name, value in row.items() if value is None]
    if not bad:
        return None
    are = "are" if len(bad) > 1 else "is"
    look = "the held-out data and " if any(name.startswith("validation_") for name in bad) else ""
    return (
        f"epoch {row['epoch']}: {', '.join(bad)} {are} NaN or infinite; the history has None there, which is never the "
        f"best. Look at {look}the metrics; or, if the epochs before went well, lower the rate of the weights"
    )


def lines(epoch: int, epochs: int, rows: Sequence[Row], members: Sequence[Member], by: str, mode: Mode) -> list[str]:
    """Return an epoch in words: means over the networks; of several settings a line for each, the best first."""
    groups = [[row for row in rows if row["network"] in group] for group in grouped(members)]
    groups = [group for group in groups if group]
    seconds = max((each["seconds"] for each in rows), default=0.0)
    begin, end = f"epoch {epoch}/{epochs}", f"({seconds:.1f} s)"
    if len(grouped(members)) == 1 or not all(by in each for each in rows):
        return [f"{begin}: {_means(rows)} {end}"]
    groups.sort(key=lambda group: sum(cost(row, by, mode) for row in group) / len(group))
    names = [", ".join(f"{k} {v:g}" for k, v in members[group[0]["network"]].settings.items()) for group in groups]
    head = f"{begin}, the best {by.replace('_', ' ')} first {end}"
    return [head, *[f"  {name}: {_means(group)}" for name, group in zip(names, groups, strict=True)]]


def _means(rows: Sequence[Row]) -> str:
    parts = []
    for name in ("energy", "loss", "accuracy", "validation_loss", "validation_accuracy"):
        values = [each[name] for each in rows if each.get(name) is not None]
        if values:
            mean = sum(values) / len(values)
            text = f"{mean:.2%}" if "accuracy" in name else f"{mean:.4g}"
            parts.append(f"{name.replace('_', ' ')} {text}")
    return ", ".join([*parts, *_regimes(rows)])


def _regimes(rows: Sequence[Row]) -> list[str]:
    """Return the regime of each network, as it was last seen, in words."""
    last = [seen[-1] for row in rows if (seen := row.get("regime"))]
    told = verdicts(last)
    if not told:
        return []
    by_layer = [found for seen in last if isinstance(found := seen.get("module_cosine"), dict)]
    cosines = [c for found in by_layer for c in found.values() if isinstance(c, (int, float))]
    near = f" (cosine to backprop {_short(min(cosines))} to {_short(max(cosines))})" if cosines else ""
    # Of several networks those of the one in which they are most.
    silent = max([len(seen.get("silent") or ()) for seen in last])
    quiet = f", {silent} {'layers learn' if silent > 1 else 'layer learns'} nothing" if silent else ""
    return [f"regime {told}{near}{quiet}"]


def _short(x: float) -> str:
    return f"{x:.3f}".replace("-0.000", "0.000")


def _number(x: Number) -> float | None:
    x = float(x)
    return x if math.isfinite(x) else None
