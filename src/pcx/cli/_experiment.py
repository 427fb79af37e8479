"""The options of `pcx run NAME` for the experiments, and its list. Imports nothing heavy."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import tyro

from ..experiments import EXPERIMENTS, Experiment, Settings
from ._failures import DONE
from ._saved import from_json, option_in, read_run

STUDIES = {"zil": "Train a small classifier of two moons by Z-IL, HIL and backpropagation."}
"""What `pcx run` lists beside the experiments."""


@dataclass(frozen=True)
class ExperimentOptions:
    """The options that every experiment has beside its settings."""

    quick: bool = False
    """A first look in seconds: small sizes, few epochs. Other settings come on top."""
    only: tuple[str, ...] = ()
    """The arms that run, such as the rules; all if left out."""
    out: Path | None = None
    """Folder for the results, new or empty; runs/NAME-<date>-<time> if left out."""
    resume: bool = False
    """Go on with the experiment in --out, with the settings that it was begun with."""
    keep: bool = False
    """Keep each arm's run, with checkpoints and weights, in runs/ inside of the folder."""
    data_folder: Path | None = None
    """Where the data files are; `pcx info` lists the folders that are searched otherwise."""
    download: bool = False
    """Fetch the files into the user's cache if they are nowhere."""
    quiet: bool = False
    """Show no progress."""


def experiment_command(experiment: Experiment, argv: Sequence[str]) -> Callable[..., int]:
    """Return the command that runs an experiment. Its settings begin as the published ones, as the quick ones, or as
    those of the folder that it goes on with.

    **Arguments:**

    - `argv`: the words of the command line.
    """
    mine = list(argv[:2]) == ["run", experiment.name]
    base = experiment.quick if mine and "--quick" in argv else experiment.settings
    folder = option_in(argv, "--out") if mine and "--resume" in argv else None
    if folder is not None and (folder / "config.json").is_file():
        options = read_run(folder).get("options")
        base = from_json(type(base), options if isinstance(options, dict) else {}, folder / "config.json")

    def command(settings: Any = base, options: Any = ExperimentOptions()) -> int:
        from ._experiments import run  # imports JAX

        return run(experiment, settings, options, argv)

    # Of the function itself, too, where a checker of types stands before it.
    annotations = {
        "settings": Annotated[type(base), tyro.conf.arg(name="")],
        "options": Annotated[ExperimentOptions, tyro.conf.arg(name="")],
        "return": int,
    }
    command.__annotations__ = inspect.unwrap(command).__annotations__ = annotations
    return command


def listing() -> int:
    """Print the names of the experiments, with what each does; the exit status."""
    lines = {**STUDIES, **{name: each.help for name, each in EXPERIMENTS.items()}}
    width = max(map(len, lines))
    print("pcx run NAME, NAME one of")
    for name, text in lines.items():
        print(f"  {name.ljust(width)}  {text}")
    print("pcx run NAME --help lists the settings; --quick takes seconds. pcx verify FOLDER verifies what it left.")
    return DONE


def settings_types() -> list[type[Settings]]:
    """Return the classes of the settings of all experiments."""
    return list({type(each.settings): None for each in EXPERIMENTS.values()})
