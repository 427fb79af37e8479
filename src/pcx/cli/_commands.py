"""The commands. Imports nothing heavy: each command imports what it needs when it runs."""

from __future__ import annotations

import dataclasses
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Literal, TypeVar

import tyro

from ..experiments import EXPERIMENTS
from ._experiment import ExperimentOptions, experiment_command, settings_types
from ._failures import CommandError
from ._flowing import flowing, let_help_flow
from ._install import missing_of, not_installed
from ._job import Job
from ._options import ZilOptions
from ._programs import Programs, kept_programs
from ._saved import command_of, option_in, read_config
from ._settings import CompareOptions, Experiment, TrainOptions
from ._sweep_options import SweepOptions

_ALONE = Job()
_PROGRAMS = Programs()
_STORES = ("orbax", "safetensors")  # top-level modules
_PAGES = ("jinja2",)
T = TypeVar("T")
Run = Annotated[Path, tyro.conf.Positional]
Runs = Annotated[tuple[Path, ...], tyro.conf.Positional]


def commands(args: Sequence[str]) -> dict[str, tuple[Callable[..., int], str | None]]:
    """Return the commands by name, with what they do, unless their docstring says it.

    **Arguments:**

    - `args`: the words of the command line: defaults come from the run that `--config` names in them.
    """
    argv = list(args)
    if not argv or {"-h", "--help"} & set(argv):
        known = (TrainOptions, CompareOptions, SweepOptions, ZilOptions, ExperimentOptions, Job, Programs)
        for options in (*known, *settings_types()):
            let_help_flow(options)
    command = argv[0] if argv else ""
    of_train = _base(TrainOptions, argv) if command == "train" else TrainOptions()
    of_compare = _base(CompareOptions, argv) if command == "compare" else CompareOptions()
    of_sweep = _of_sweep(argv) if command == "sweep" else SweepOptions()

    def train(options: Annotated[TrainOptions, tyro.conf.arg(name="")] = of_train) -> int:
        options.check()
        options.check_given(argv)
        _need_stores()
        with kept_programs(options):
            from ._train import train

            return train(options, argv)

    def resume(
        run: Run,
        epochs: int | None = None,
        data_folder: Path | None = None,
        devices: int | None = None,
        layer_devices: int | None = None,
        equal_layers: Literal["auto", "looped", "stacked", "apart"] | None = None,
        quiet: bool = False,
        job: Annotated[Job, tyro.conf.arg(name="")] = _ALONE,
        programs: Annotated[Programs, tyro.conf.arg(name="")] = _PROGRAMS,
    ) -> int:
        """Go on with a run that was interrupted or killed, or train it longer.

        The options are those that it was begun with. On as many devices it ends with the same bits as if it had never
        stopped; on more or fewer, with the same numbers but for rounding.

        Args:
            run: The run's folder.
            epochs: Train up to so many epochs in all, more than it was begun with.
            data_folder: Where the data files are now.
            devices: Devices to train on this time; as many as it was begun with if left out.
            layer_devices: Devices to share equal layers out over this time; as it was begun with if left out.
            equal_layers: How layers that repeat are computed this time; as it was begun with if left out.
            quiet: Show no progress.
            job: Which processes train together.
            programs: Where compiled programs are kept.
        """
        job.check_job()
        _need_stores()
        from ._train import resume

        free = {"devices": devices, "layer_devices": layer_devices, "equal_layers": equal_layers}
        return resume(run, epochs, data_folder, quiet, job, free)

    def evaluate(
        run: Run,
        best: bool = False,
        split: Literal["test", "validation", "train"] = "test",
        json: bool = False,
        data_folder: Path | None = None,
        programs: Annotated[Programs, tyro.conf.arg(name="")] = _PROGRAMS,
    ) -> int:
        """Judge the networks of a run: accuracy and loss for each seed, mean and sample deviation.

        Args:
            run: The run's folder. Of a comparison, the folder of one rule inside it.
            best: The weights of the best epoch by --monitor, not of the last one.
            split: What to judge by; validation is what the run held out.
            json: Print JSON.
            data_folder: Where the data files are now.
            programs: Where compiled programs are kept.
        """
        _need_stores()
        with kept_programs(programs):
            from ._evaluate import evaluate

            return evaluate(run, split, best, json, data_folder)

    def compare(options: Annotated[CompareOptions, tyro.conf.arg(name="")] = of_compare) -> int:
        options.check()
        options.check_given(argv)
        _need_stores()
        with kept_programs(options):
            from ._compare import compare
            from ._job import check_alone

            check_alone("compare")
            return compare(options, argv)

    def sweep(options: Annotated[SweepOptions, tyro.conf.arg(name="")] = of_sweep) -> int:
        options.check()
        options.check_given(argv)
        if missing := missing_of(["optuna"]):
            raise CommandError(not_installed(missing))
        with kept_programs(options):
            from ._sweep import run

            return run(options, argv)

    def runs(folder: Run = Path("runs"), json: bool = False) -> int:
        """List the runs in a folder and below it: rule, data, state, epochs, and accuracy.

        Args:
            folder: Where to look.
            json: Print JSON.
        """
        from ._runs import runs

        return runs(folder, json)

    def report(runs: Runs, out: Path | None = None) -> int:
        """Write a page on a run, or a comparison of several: one file of HTML with settings, tables and figures.

        Args:
            runs: The folders of runs, comparisons or sweeps.
            out: The file; report.html in the run's folder, or here for several runs, if left out.
        """
        if missing := missing_of(_PAGES):
            raise CommandError(not_installed(missing))
        _leave_devices_alone()
        from ._report import report

        return report(runs, out)

    def watch(runs: Runs, port: int = 8800) -> int:
        """Serve the page of pcx report to a browser on this machine while a run goes on; it refreshes itself.

        Args:
            runs: The folders of runs, comparisons or sweeps; those that there are not yet are waited for.
            port: Where it is served; 0: any that is free.
        """
        if missing := missing_of(_PAGES):
            raise CommandError(not_installed(missing))
        _leave_devices_alone()
        from ._watch import watch

        return watch(runs, port)

    def info(json: bool = False, data_folder: Path | None = None) -> int:
        """Say what pcx runs on: versions, devices, and which data sets are found where.

        Args:
            json: Print JSON.
            data_folder: A folder to search before the others.
        """
        from ._info import info

        return info(json, data_folder)

    def verify(folder: Run, sums_only: bool = False, json: bool = False, data_folder: Path | None = None) -> int:
        """Verify a folder of pcx run: its files are what they were, and its config still makes the same first steps.

        Args:
            folder: The folder.
            sums_only: Check the files alone.
            json: Print JSON.
            data_folder: Where the data files are now.
        """
        from ._experiments import verify

        return verify(folder, sums_only, json, data_folder)

    def zil(options: Annotated[ZilOptions, tyro.conf.arg(name="")]) -> int:
        options.check()
        from ._study import run  # imports JAX

        run(options)
        return 0

    return {
        "train": (train, flowing(TrainOptions.__doc__ or "")),
        "resume": (resume, None),
        "eval": (evaluate, None),
        "compare": (compare, flowing(CompareOptions.__doc__ or "")),
        "sweep": (sweep, flowing(SweepOptions.__doc__ or "")),
        "runs": (runs, None),
        "report": (report, None),
        "watch": (watch, None),
        "info": (info, None),
        "verify": (verify, None),
        "run zil": (zil, flowing(ZilOptions.__doc__ or "")),
        **{f"run {name}": (experiment_command(each, argv), each.help) for name, each in EXPERIMENTS.items()},
    }


def _base(cls: type[T], argv: list[str]) -> T:
    """The options that the command line comes on top of."""
    config = option_in(argv, "--config")
    if config is None and cls in (CompareOptions, SweepOptions) and "--resume" in argv:
        config = option_in(argv, "--out")
    if config is None or {"-h", "--help"} & set(argv):
        return cls()
    # What can't be used may be replaced by the command line.
    return read_config(config, cls, checked=False)


def _of_sweep(argv: list[str]) -> SweepOptions:
    """The same of `pcx sweep`, which may begin with the options of a run of `pcx train`."""
    config = option_in(argv, "--config")
    if config is None or {"-h", "--help"} & set(argv) or command_of(config) != "train":
        return _base(SweepOptions, argv)
    run = _base(TrainOptions, argv)
    return SweepOptions(**{f.name: getattr(run, f.name) for f in dataclasses.fields(Experiment)}, rule=run.rule)


def _leave_devices_alone() -> None:
    """Let JAX, if nothing has imported it yet, find the CPU alone: another device may be taken by the run that is
    looked at, and draws nothing faster."""
    if "jax" not in sys.modules and "JAX_PLATFORMS" not in os.environ:
        os.environ["JAX_PLATFORMS"] = "cpu"
        try:
            import jax  # noqa: F401
        finally:
            del os.environ["JAX_PLATFORMS"]


def _need_stores() -> None:
    missing = missing_of(_STORES)
    if missing:
        raise CommandError(not_installed(missing))
