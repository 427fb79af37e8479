"""Verifying the folder of an experiment: its files are what they were, and its config still makes the same steps."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ...data import given_path
from ._code import software
from ._experiment import Experiment
from ._record import FirstSteps, Record
from ._run import ARMS, COMMAND
from ._settings import Settings, Where
from ._sums import SUMS, Sums, check_sums

TOLERANCE = 1e-4
"""The relative difference that is allowed where software or processor are others: of each number of each step, and of
the way that each weight has gone."""


@dataclass(frozen=True)
class Compared:
    """The first steps of an arm beside those that its folder holds.

    **Arguments:**

    - `same_bits`: whether all numbers and weights are the same to the last bit.
    - `difference`: the largest relative difference.
    - `at`: of what that is.
    """

    same_bits: bool
    difference: float = 0.0
    at: str = ""


@dataclass(frozen=True)
class Verified:
    """The findings of verifying a folder.

    **Arguments:**

    - `sums`: of the files.
    - `software`: what is other software now than when the folder was made; nothing if all is the same.
    - `data`: whether the data are the same; None if they weren't looked at.
    - `steps`: of each arm.
    """

    sums: Sums
    software: list[str] = field(default_factory=list)
    data: bool | None = None
    steps: dict[str, Compared] = field(default_factory=dict)

    def good(self, arm: str) -> bool:
        """Return whether the first steps of an arm are what they must be: the same bits with the same software, and
        else within the tolerance.

        **Arguments:**

        - `arm`: its name.

        **Returns:** whether they are.
        """
        found = self.steps[arm]
        return found.same_bits or (bool(self.software) and found.difference <= TOLERANCE)

    @property
    def holds(self) -> bool:
        """True if all of it is what it must be."""
        files = not self.sums.changed and not self.sums.missing
        return files and self.data is not False and all(self.good(arm) for arm in self.steps)


def read_config(folder: Path) -> dict[str, Any]:
    """Return the config of a folder that can be verified.

    **Arguments:**

    - `folder`: the folder.

    **Returns:** what its `config.json` holds.

    **Raises:** `ValueError` if it is no folder of an experiment, or one that isn't finished, saying what it is.
    """
    if not folder.is_dir():
        raise ValueError(f"there is no folder {folder}")
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except FileNotFoundError as e:
        raise ValueError(f"{folder} holds no run (no config.json); pcx verify is for the folders of pcx run") from e
    except (OSError, ValueError) as e:
        raise ValueError(f"{folder / 'config.json'} can't be read: {e}") from e
    if not isinstance(config, dict) or config.get("command") != COMMAND or not config.get("experiment"):
        if (folder / SUMS).is_file():
            raise ValueError(f"{folder} holds no run of pcx run, and no first steps; --sums-only verifies its files")
        made = config.get("command") if isinstance(config, dict) else None
        by = f"pcx {made}" if isinstance(made, str) else "something else"
        raise ValueError(
            f"{folder} was written by {by}, which keeps no checksums and no first steps; pcx verify is for the folders "
            "of pcx run"
        )
    if not (folder / SUMS).is_file():
        if config.get("resumes") is False:
            raise ValueError(f"{folder} isn't finished, and can't go on: run it again; it is sealed at its end")
        raise ValueError(
            f"{folder} isn't finished: go on by pcx run {config['experiment']} --resume --out {folder}; it is sealed "
            "at its end"
        )
    return config


def verify_sums(folder: Path) -> Verified:
    """Compare the files of a sealed folder, of whatever, with its checksums.

    **Arguments:**

    - `folder`: the folder.

    **Returns:** what was found, of the files alone.

    **Raises:** `ValueError` if it isn't sealed, saying what it is, or its checksums can't be read.
    """
    if not (folder / SUMS).is_file():
        read_config(folder)  # says what it is
    return Verified(check_sums(folder))


def verify(
    folder: str | os.PathLike[str],
    experiment: Experiment,
    settings: Settings,
    where: Where,
    *,
    say: Callable[[str], None] = print,
) -> Verified:
    """Compare a folder's files with its checksums, and the first steps of each of its arms with those that they make
    now.

    **Arguments:**

    - `folder`: of the experiment, see `read_config`.
    - `experiment`, `settings`: those of its config.
    - `where`: where the data files are.
    - `say`: is given a line for each arm that is about to be looked at.

    **Returns:** what was found.

    **Raises:** `ValueError` for files that can't be read; what the data's loader raises.
    """
    folder = given_path("verify: folder", folder)
    sums, config = check_sums(folder), read_config(folder)
    data = experiment.data(settings, where)
    same = data.sha256 == config.get("data_sha256")
    changed = _changed(_json(folder / "versions.json"), software())
    found = {}
    for name in config["rules"]:
        if name not in experiment.arms(settings):
            found[str(name)] = Compared(False, math.inf, "an arm that there is none of now")
            continue
        was = _record(folder, name).first_steps
        if was is None:
            found[name] = Compared(False, math.inf, "first steps that the folder doesn't hold")
            continue
        say(f"{name}: the first {was.count} steps")
        found[name] = compared(was, experiment.arm(name, settings, data).first_steps(0, was.count))
    return Verified(sums, changed, same, found)


def compared(was: FirstSteps, now: FirstSteps) -> Compared:
    """Return how far first steps differ.

    **Arguments:**

    - `was`, `now`: those of the folder, and those of now.

    **Returns:** the largest relative difference; infinite where one of them has numbers that the other lacks.
    """
    if was.bits == now.bits and was.numbers == now.numbers:
        return Compared(True)
    worst, at = 0.0, "the bits of weights"
    for name in sorted({*was.numbers, *now.numbers}):
        pairs = _pairs(was.numbers.get(name, []), now.numbers.get(name, []))
        for i, difference in enumerate(pairs):
            if not difference <= worst:
                worst, at = difference, f"{name} of step {i + 1}"
    for path in sorted({*was.moved, *now.moved}):
        difference = _relative(was.moved.get(path), now.moved.get(path))
        if not difference <= worst:
            worst, at = difference, f"the way of {path}"
    return Compared(False, worst, at)


def _pairs(was: Sequence[float | None], now: Sequence[float | None]) -> list[float]:
    if len(was) != len(now):
        return [math.inf]
    return [_relative(a, b) for a, b in zip(was, now, strict=True)]


def _relative(a: float | None, b: float | None) -> float:
    if a == b:
        return 0.0
    return math.inf if a is None or b is None else abs(a - b) / max(abs(a), abs(b))


def _changed(was: Mapping[str, Any], now: Mapping[str, Any], path: str = "") -> list[str]:
    """Return what differs, in words: what both are made of decides the bits."""
    found = []
    for name in {**was, **now}:
        # The hash of the source says what the commit does; the folder of pcx run zil tells of more than others do.
        if name in ("commit", "dirty", "git", "process_count"):
            continue
        a, b = was.get(name), now.get(name)
        if isinstance(a, dict) and isinstance(b, dict):
            found += _changed(a, b, f"{path}{name} ")
        elif a != b:
            found.append(f"{path}{name} was {_short(a)}, is {_short(b)}")
    return found


def _short(value: object) -> str:
    text = str(value)
    return text if len(text) <= 64 else f"{text[:10]}..."


def _record(folder: Path, name: str) -> Record:
    return Record.from_json(_json(folder / ARMS / f"{name}.json"))


def _json(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as e:
        raise ValueError(f"{path} can't be read: {e}") from e
    if not isinstance(found, dict):
        raise ValueError(f"{path} holds no object")
    return found
