"""A run, as its folder tells it."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any

Row = Mapping[str, Any]


@dataclasses.dataclass(frozen=True)
class Network:
    """One network of a run.

    **Attributes:**

    - `name`: in words, such as `seed 0`.
    - `rows`: what was measured, a row for each epoch, in order of the epochs.
    """

    name: str
    rows: Sequence[Row]


@dataclasses.dataclass(frozen=True)
class Group:
    """The networks of a run that differ by nothing but their seeds.

    **Attributes:**

    - `name`: in words: the run, or the rule or settings by which its networks differ.
    - `networks`: see `Network`.
    """

    name: str
    networks: Sequence[Network]


@dataclasses.dataclass(frozen=True)
class Record:
    """A run, as its folder tells it.

    **Attributes:**

    - `name`: to tell it from the others of a report.
    - `folder`: where it is, as it was given.
    - `command`: what made it: `train`, `compare`, `sweep`, `fit` or `run zil`.
    - `rule`, `data`: in words.
    - `state`: done, stopped early, interrupted, failed or unfinished.
    - `why`: the words of the log for how it ended.
    - `epochs`: how many there are to be; None if that isn't known.
    - `groups`: its networks.
    - `settings`: by name, as text; what was given on the command line, or all that is known.
    - `versions`: software and device, by name.
    - `log`: the entries of its log.
    - `notes`: what is wrong with its files.
    - `tables`: what only some kinds of runs have, as the JSON or CSV files of the folder hold it, by file.
    - `drawing`: the network's, as SVG; its folder alone doesn't give one.
    - `drawing_note`: why there is none.
    """

    name: str
    folder: str
    command: str
    rule: str
    data: str
    state: str
    why: str
    epochs: int | None
    groups: Sequence[Group]
    settings: Mapping[str, str]
    versions: Mapping[str, str]
    log: Sequence[str]
    notes: Sequence[str]
    tables: Mapping[str, Any]
    drawing: str = ""
    drawing_note: str = ""


def finite(value: object) -> float | None:
    """Return a number that is finite; None for anything else."""
    if not isinstance(value, int | float) or isinstance(value, bool):
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    return number if math.isfinite(number) else None


def metrics_of(groups: Sequence[Group]) -> list[str]:
    """Return the names of all numbers in the rows, in the order in which they come first; those too that were never
    finite, which stand there as None."""
    rows = [row for group in groups for network in group.networks for row in network.rows]
    names = dict.fromkeys(name for row in rows for name, value in row.items() if value is None or _is_number(value))
    return [name for name in names if name not in ("epoch", "network", "seed")]


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def curve(network: Network, name: str) -> dict[int, float]:
    """Return a metric by epoch, where it is finite."""
    values = {row["epoch"]: finite(row.get(name)) for row in network.rows}
    return {epoch: value for epoch, value in values.items() if value is not None}
