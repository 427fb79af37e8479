"""`pcx run NAME` for the experiments, and `pcx verify`."""

from __future__ import annotations

import contextlib
import json
import shlex
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from ..experiments import (
    EXPERIMENTS,
    TOLERANCE,
    Experiment,
    Outcome,
    Plan,
    Settings,
    Verified,
    Where,
    read_config,
    verify_sums,
)
from ..experiments import run as run_experiment
from ..experiments import verify as verify_folder
from ._experiment import STUDIES, ExperimentOptions
from ._failures import DONE, ERROR, INTERRUPTED, NOT_FINITE, CommandError, Refused, complain, nowhere, told
from ._interrupt import ended_by_signal, resumable
from ._options import ZilOptions
from ._saved import from_json, new_folder, read_run
from ._tables import counted, say


def run(experiment: Experiment, settings: Settings, options: ExperimentOptions, argv: Sequence[str]) -> int:
    """Run an experiment, or go on with it, and print its table; the exit status."""
    only, quick = options.only, options.quick
    try:
        settings.check()
        arms = Plan(experiment, settings, only).arms
    except ValueError as error:
        raise Refused(str(error)) from error
    if options.resume:
        out = _begun(experiment, options)
        config = read_run(out)
        only, quick = only or tuple(config.get("rules", ())), bool(config.get("quick"))
    else:
        how = _again(experiment, options.out) if options.out is not None else ""
        out = new_folder(options.out, experiment.name, f"go on with it by `{how}`")
    plan = Plan(experiment, settings, only, quick, Where(options.data_folder, options.download), ("pcx", *argv))
    how = _again(experiment, out)
    resumable(out, how)
    if not options.quiet:
        say(f"{experiment.name}: {counted(len(only or arms), 'arm')}, {counted(settings.seeds, 'seed')}")
    with _in_words():
        found = run_experiment(
            plan, out, keep=options.keep, show=not options.quiet, say=_nothing if options.quiet else say,
            stop=ended_by_signal,
        )  # fmt: skip
    return _ended(found, out, how)


@contextlib.contextmanager
def _in_words() -> Iterator[None]:
    """Make what the frame refuses an error of the command; of data that are nowhere, with the options that help."""
    with told():
        try:
            yield
        except FileNotFoundError as error:
            raise nowhere(error) from error


def _begun(experiment: Experiment, options: ExperimentOptions) -> Path:
    if options.out is None:
        raise Refused("--resume needs --out, the folder of the experiment")
    if not (options.out / "config.json").is_file():
        raise CommandError(f"{options.out} holds no experiment to go on with; leave --resume out to begin one there")
    return options.out


def _again(experiment: Experiment, out: Path) -> str:
    return f"pcx run {experiment.name} --resume --out {shlex.quote(str(out))}"


def _nothing(text: str) -> None:
    """Say nothing."""


def _ended(found: Outcome, out: Path, how: str) -> int:
    if found.ended == "interrupted":
        complain(f"pcx: interrupted; go on with: {how}")
        return INTERRUPTED
    say(found.table)
    say(f"results in {out}; verify with: pcx verify {shlex.quote(str(out))}")
    failed = {name: record.why for name, record in found.records.items() if record.ended == "failed"}
    for name, why in failed.items():
        complain(f"pcx: error: training of {name} failed: {why}")
    return NOT_FINITE if failed else DONE


def verify(folder: Path, sums_only: bool, as_json: bool, data_folder: Path | None) -> int:
    """Verify the folder of an experiment, and say what was found; the exit status."""
    found = _sums_of(folder) if sums_only else _verified(folder, data_folder, _nothing if as_json else say)
    if as_json:
        print(json.dumps(_plain(found), indent=2))
    else:
        _tell(found)
    if found.holds:
        return DONE
    complain(f"pcx: error: {folder} is not what it was, or makes other steps")
    return ERROR


def _sums_of(folder: Path) -> Verified:
    with _in_words():
        return verify_sums(folder)


def _verified(folder: Path, data_folder: Path | None, tell: Callable[[str], None]) -> Verified:
    with _in_words():
        config = read_config(folder)
    experiment, settings = _of(config, folder)
    with _in_words():
        settings.check()
        return verify_folder(folder, experiment, settings, Where(data_folder), say=tell)


def _of(config: dict[str, Any], folder: Path) -> tuple[Experiment, Settings]:
    """Return the experiment of a folder, and its settings."""
    name, path = str(config["experiment"]), folder / "config.json"
    options = config.get("options")
    options = options if isinstance(options, dict) else {}
    if name in STUDIES:
        from ._zil_steps import ZilStudy

        study = ZilStudy(from_json(ZilOptions, options, path))
        study.options.check()
        return study, study.settings
    if name not in EXPERIMENTS:
        raise CommandError(f"{folder} is of {name!r}, which this pcx has no experiment of")
    experiment = EXPERIMENTS[name]
    return experiment, from_json(type(experiment.settings), options, path)


def _tell(found: Verified) -> None:
    sums = found.sums
    say(f"{counted(sums.whole, 'file')} as sealed")
    for what, names in (("changed", sums.changed), ("missing", sums.missing), ("not there when sealed", sums.added)):
        for name in names:
            say(f"  {what}: {name}")
    if found.data is not None:
        say(f"data: {'the same' if found.data else 'OTHERS than the results were made with'}")
        for line in found.software:
            say(f"  software: {line}")
    for name in found.steps:
        say(f"{name}: {_steps_in_words(found, name)}")


def _steps_in_words(found: Verified, arm: str) -> str:
    step = found.steps[arm]
    if step.same_bits:
        return "the same bits"
    far = f"differs by {step.difference:.1e} of its size at most ({step.at})"
    if not found.software:
        return f"OTHER bits with the same software: {far}"
    if found.good(arm):
        return f"the same to within {TOLERANCE:g}, with other software: {far}"
    return f"OTHER steps: {far}, and {TOLERANCE:g} is allowed with other software"


def _plain(found: Verified) -> dict[str, Any]:
    return {
        "holds": found.holds,
        "files": vars(found.sums),
        "data": found.data,
        "software": found.software,
        "steps": {name: vars(step) | {"good": found.good(name)} for name, step in found.steps.items()},
    }
