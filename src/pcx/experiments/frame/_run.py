"""Running an experiment: one arm after the other, each kept when it is done, and all of it sealed at the end."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ...data import given_path
from ...training import CheckpointError, Folder
from ._code import code_state, software
from ._data import Data
from ._experiment import Experiment
from ._protocols import summarise
from ._record import Record
from ._settings import Settings, Where
from ._steps import STEPS
from ._sums import SUMS, seal
from ._table import table

ARMS, RUNS = "arms", "runs"
COMMAND = "run"


@dataclass(frozen=True)
class Plan:
    """A plan says what is asked of an experiment.

    **Arguments:**

    - `experiment`, `settings`: which, and with what settings.
    - `only`: the arms that run; all if there are none.
    - `quick`: whether the settings began as the quick ones; for the record alone.
    - `where`: where the data files are.
    - `argv`: the words of the command, for the record.
    """

    experiment: Experiment
    settings: Settings
    only: tuple[str, ...] = ()
    quick: bool = False
    where: Where = field(default_factory=Where)
    argv: tuple[str, ...] = ()

    @property
    def arms(self) -> tuple[str, ...]:
        """The arms that run, in the experiment's order.

        **Raises:** `ValueError` for names that there are no arms of.
        """
        names = self.experiment.arms(self.settings)
        if unknown := [name for name in self.only if name not in names]:
            raise ValueError(f"--only: there is no {unknown[0]!r} in {self.experiment.name}; it has {', '.join(names)}")
        return tuple(name for name in names if not self.only or name in self.only)

    def config(self) -> dict[str, Any]:
        """Return the plan as it stands in `config.json`."""
        return {
            "command": COMMAND,
            "experiment": self.experiment.name,
            "argv": list(self.argv),
            "quick": self.quick,
            "rules": list(self.arms),  # by this name `pcx runs` lists studies
            "epochs": self.settings.epochs,
            "seeds": list(range(self.settings.seeds)),
            "options": json.loads(json.dumps(dataclasses.asdict(self.settings))),
            "source": self.experiment.source_of(self.settings),
        }


@dataclass(frozen=True)
class Outcome:
    """The end of an experiment.

    **Arguments:**

    - `ended`: `"done"`, `"failed"` if the training of an arm failed, or `"interrupted"`.
    - `records`: of the arms, by name.
    - `table`: the table, as Markdown.
    """

    ended: str
    records: dict[str, Record]
    table: str = ""


def run(
    plan: Plan,
    out: str | os.PathLike[str],
    *,
    keep: bool = False,
    show: bool = True,
    say: Callable[[str], None] = print,
    stop: Callable[[], bool] = lambda: False,
) -> Outcome:
    """Run an experiment in a folder, or go on with the one that is there.

    An arm that is done is a file in `arms/`, and isn't trained again; one that was broken off goes on from its last
    checkpoint.

    **Arguments:**

    - `plan`: what is asked.
    - `out`: the folder, new, empty, or of the same experiment with the same settings.
    - `keep`: whether checkpoints and weights stay, in `runs/`, when an arm is done.
    - `show`: whether to show progress.
    - `say`: is given lines for the user.
    - `stop`: whether to stop when an arm is done, though others are left.

    **Returns:** how it ended.

    **Raises:** `ValueError` for arms or settings that don't fit, or another experiment in the folder, naming the
    differences; `FileExistsError` for a folder with anything else; what the data's loader raises.
    """
    out = given_path("run: out", out)
    plan.settings.check()
    arms = plan.arms
    data = plan.experiment.data(plan.settings, plan.where)
    folder = Folder(out, resume="auto")
    facts = {"data": data.name, "data_sha256": data.sha256}
    if folder.resumed:
        _check_same(folder, plan, facts)
        if (out / SUMS).is_file():
            say(f"{out} is finished already")
            return Outcome("done", {name: _read(out, name) for name in arms}, (out / "table.md").read_text("utf-8"))
    else:
        folder.write_json("versions.json", software())
        folder.write_json("config.json", plan.config() | facts)  # last: it makes the folder a run
    folder.log("go on" if folder.resumed else f"begin {plan.experiment.name}: {', '.join(arms)}")
    records: dict[str, Record] = {}
    for i, name in enumerate(arms):
        if (out / ARMS / f"{name}.json").is_file():
            records[name] = _read(out, name)
            continue
        say(f"{name} ({i + 1} of {len(arms)})")
        record = _trained(plan, name, data, out, show)
        if record.ended == "interrupted":
            folder.log("interrupted")
            return Outcome("interrupted", records)
        (out / ARMS).mkdir(exist_ok=True)
        folder.write_json(f"{ARMS}/{name}.json", record.as_json())
        folder.log(f"{name}: {record.ended}{f': {record.why}' if record.why else ''}")
        records[name] = record
        if not keep:
            _remove(out / RUNS / name)
        if stop() and i + 1 < len(arms):
            return Outcome("interrupted", records)
    return _sealed(plan, folder, records, facts)


def _trained(plan: Plan, name: str, data: Data, out: Path, show: bool) -> Record:
    settings = plan.settings
    arm = plan.experiment.arm(name, settings, data)
    steps = arm.first_steps(0, STEPS)  # first: what doesn't work fails at once
    record = arm.train(out / RUNS / name, range(settings.seeds), show)
    return dataclasses.replace(record, first_steps=steps, code=code_state())


def _sealed(plan: Plan, folder: Folder, records: dict[str, Record], data: dict[str, str]) -> Outcome:
    """Write results, table and figure, and then the checksums of all files."""
    experiment = plan.experiment
    summary = summarise(experiment.measures, records)
    text = table(experiment, plan.settings, summary, records, data)
    regimes = {name: record.regime for name, record in records.items()}
    folder.metrics([{"rule": name, **row} for name, record in records.items() for row in record.rows], fresh=True)
    folder.write_json("summary.json", {"results": summary, "regimes": regimes, "seconds": _seconds(records)})
    folder.write("table.md", lambda path: path.write_text(text, encoding="utf-8"))
    folder.write("figure.png", lambda path: experiment.draw(path, records))
    folder.log("done")
    left = folder.path / RUNS
    if left.is_dir() and not any(left.iterdir()):
        left.rmdir()
    seal(folder)
    ended = "failed" if any(record.ended == "failed" for record in records.values()) else "done"
    return Outcome(ended, records, text)


def _seconds(records: dict[str, Record]) -> dict[str, Any]:
    steps = {name: record.first_steps for name, record in records.items()}
    return {
        name: {
            "epoch_and_network": record.seconds,
            "first_call": None if (found := steps[name]) is None else found.first_call,
            "step": None if found is None else found.step,
        }
        for name, record in records.items()
    }


def _check_same(folder: Folder, plan: Plan, data: dict[str, str]) -> None:
    """Refuse a folder of something else."""
    was = folder.read_json("config.json")
    if was.get("command") != COMMAND or was.get("experiment") != plan.experiment.name:
        what = was.get("experiment") or was.get("command") or "something else"
        raise ValueError(f"{folder.path} holds a run of {what}, not of {plan.experiment.name}; choose another --out")
    now = plan.config() | data
    for name in ("options", "rules", "data_sha256"):
        if was.get(name) != now[name]:
            raise ValueError(
                f"the experiment in {folder.path} was begun otherwise: {name} was {_short(was.get(name))}, is "
                f"{_short(now[name])}. Go on with what it was begun with, or begin another one with --out"
            )


def _short(value: object) -> str:
    text = json.dumps(value)
    return text if len(text) <= 160 else f"{text[:157]}..."


def _read(out: Path, name: str) -> Record:
    path = out / ARMS / f"{name}.json"
    try:
        return Record.from_json(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError) as e:
        raise CheckpointError(f"{path} can't be read: {e}; remove it, and this arm is trained again") from e


def _remove(path: Path) -> None:
    """Remove what an arm needed to go on: its record is kept."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
