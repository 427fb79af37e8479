"""The two protocols by which results are told: the last epoch of all seeds, and the best one as in the literature."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ...core import moments
from ._experiment import Measure
from ._record import Record


def summarise(measures: Sequence[Measure], records: Mapping[str, Record]) -> dict[str, Any]:
    """Return the results of all arms.

    `last` is the last epoch, over all seeds; a seed that has none counts as missing. `best` takes each seed's best
    epoch, chosen on the test set itself, as the literature does.

    **Arguments:**

    - `measures`: what is told.
    - `records`: by arm.

    **Returns:** for each arm and measure `last` and `best`, or `once`: `mean`, the sample deviation `std`, `n`, and
        the numbers `by_seed`.
    """
    return {name: {m.key: _of(m, record) for m in measures} for name, record in records.items()}


def _of(measure: Measure, record: Record) -> dict[str, Any]:
    seeds = [str(seed) for seed in record.seeds]
    if measure.once:
        values = record.after.get(measure.key, [])
        return {"once": _moments(dict(zip(seeds, values, strict=False)))}
    curves = dict(zip(seeds, record.curves(measure.key), strict=True))
    pick = max if measure.better == "max" else min
    there = {seed: [v for v in curve if v is not None] for seed, curve in curves.items()}
    return {
        "last": _moments({seed: curve[-1] if curve else None for seed, curve in curves.items()}),
        "best": _moments({seed: pick(found) if found else None for seed, found in there.items()}),
    }


def _moments(by_seed: Mapping[str, float | None]) -> dict[str, Any]:
    return {**moments(list(by_seed.values())), "by_seed": dict(by_seed)}
