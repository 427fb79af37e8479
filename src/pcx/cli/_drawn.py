"""The drawing of a run's network, for its report: the network is made again, and nothing is trained."""

from __future__ import annotations

import dataclasses
import itertools
import json
import math
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from .. import analysis as pxa
from ..analysis import report as pages
from ..predictive_coding import EnergyModule
from ._build import model_maker
from ._failures import CommandError, words_for
from ._saved import as_json, read_config, read_run
from ._settings import TrainOptions, is_own

_CLASSES = {"two-moons": 2, "cifar100": 100}
_MOST = 300  # layers
_LARGEST = 10**8  # numbers of their weights: the network is made to be drawn
Models = dict[str, EnergyModule]


@dataclasses.dataclass
class _Samples:
    """The samples that a network is made for, without any."""

    shape: tuple[int, ...]
    classes: int


def with_drawings(records: Sequence[pages.Record], known: Models) -> list[pages.Record]:
    """Return records with drawings of their networks, where they can be made from what the folders hold.

    **Arguments:**

    - `records`: of runs.
    - `known`: networks that have been made already, to which these are added.
    """
    return [_drawn(record, known) if record.command == "train" else record for record in records]


def _drawn(record: pages.Record, known: Models) -> pages.Record:
    try:
        options = read_config(Path(record.folder), TrainOptions, checked=False)
        if is_own(options.model) or is_own(options.energy):
            # The folder may come from someone else, and to look at a run must not run what it names.
            return dataclasses.replace(
                record, drawing_note="it is of a file of its own, which a report doesn't execute"
            )
        if len(options.hidden) > _MOST:
            return dataclasses.replace(record, drawing_note=f"it has more than {_MOST} layers")
        samples = _Samples(_shape(Path(record.folder)), _CLASSES.get(options.data, 10))
        widths = (math.prod(samples.shape), *options.hidden, samples.classes)
        if sum(a * b for a, b in itertools.pairwise(widths)) > _LARGEST:
            return dataclasses.replace(record, drawing_note=f"it has more than {_LARGEST:,} weights")
        key = json.dumps([as_json(options), samples.shape])
        if key not in known:
            known[key] = model_maker(options, samples)()
        batch = (np.zeros((1, *samples.shape), np.float32), np.zeros(1, np.int32))
        drawing = pxa.draw(known[key], batch, energies=_energies(record) or None)
    except Exception as error:  # of whatever kind: a report without a drawing is one, too
        words = str(error) if isinstance(error, CommandError | ValueError) else words_for(error)
        return dataclasses.replace(record, drawing_note=words)
    return dataclasses.replace(record, drawing=drawing.svg)


def _shape(folder: Path) -> tuple[int, ...]:
    """The shape of a sample, as the run has kept it."""
    made_of = read_run(folder).get("made_of")
    data = made_of.get("data") if isinstance(made_of, dict) else None
    arrays = data.get("arrays") if isinstance(data, dict) else None
    found = re.fullmatch(r"\w+\[\d+((?:, ?\d+)*)\]", str(arrays[0])) if isinstance(arrays, list) and arrays else None
    if found is None:
        raise ValueError("config.json doesn't say of what shape its samples are")
    return tuple(map(int, found[1].split(",")[1:]))


def _energies(record: pages.Record) -> dict[str, float]:
    """The energy of each node in the last epoch, the mean over the networks; nothing where a number isn't finite."""
    rows = [network.rows[-1] for group in record.groups for network in group.networks]
    found = [row["energies"] for row in rows if isinstance(row.get("energies"), dict) and row["energies"]]
    if not found or len({tuple(each) for each in found}) > 1:
        return {}
    means = {node: np.mean([np.float64(each[node]) for each in found]) for node in found[0]}
    return {node: float(value) for node, value in means.items()} if np.isfinite(list(means.values())).all() else {}
