"""One training run in its folder: what `pcx train`, `pcx resume` and `pcx compare` have in common."""

from __future__ import annotations

import dataclasses
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from ..learning import Rule
from ..training import EarlyStopping, Fit, FitOptions, Folder, Probe, differences, fit, mesh_by_layer
from ._build import Splits, augmentation, make_rule, model_maker, unasked
from ._devices import layers_in_words
from ._failures import Refused, complain, told
from ._own import sources
from ._saved import as_json
from ._settings import Experiment, Looks, TrainOptions


def monitored(options: TrainOptions) -> str:
    """Return the metric by which one epoch is better than another. Never that of the test set."""
    return options.monitor.replace("-", "_") if options.validation == "held-out" else "loss"


def say_what_has_no_effect(options: Experiment, args: Sequence[str]) -> None:
    """Write a line on stderr for each option that was given and has no effect beside the others.

    **Arguments:**

    - `args`: the words of the command line.

    **Raises:** `Refused` if a rule of one's own can't be read.
    """
    given = {word.partition("=")[0].replace("_", "-") for word in args}
    for name, reason in (options.without_effect() | unasked(options)).items():
        if f"--{name}" in given:
            complain(f"pcx: warning: --{name} has no effect: {reason}")


def train_in(
    folder: Path, options: TrainOptions, splits: Splits, argv: list[str], resume: bool, quiet: bool = False
) -> Fit:
    """Train, or go on with the run in the folder.

    **Arguments:**

    - `quiet`: say nothing, whatever the options say: another process of the job does.

    **Raises:** `CommandError` for what the library refuses.
    """
    with told(), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "fit: training failed")  # the command says it itself
        # Said already, in the words of the command's options.
        warnings.filterwarnings("ignore", "fit: checkpoint_seconds has no effect")
        if quiet:
            warnings.simplefilter("ignore")
            options = dataclasses.replace(options, quiet=True)
        with layers_in_words(options):
            return fit(
                model_maker(options, splits),
                make_rule(options, options.rule, len(splits.train)),
                splits.train,
                splits.validation,
                **vars(fit_options(folder, options, argv, resume)),
            )


def fit_options(folder: Path, options: TrainOptions, argv: list[str], resume: bool) -> FitOptions:
    """Return the options of `fit` that those of the command say."""
    metric = monitored(options)
    return FitOptions(
        epochs=options.epochs,
        batch_size=options.batch_size,
        seeds=options.all_seeds,
        augment=augmentation(options),
        early_stopping=None if options.patience is None else EarlyStopping(metric, options.patience),
        folder=folder,
        resume=resume,
        checkpoint_every=options.checkpoint_every,
        checkpoint_seconds=options.checkpoint_seconds,
        best=metric,
        config=config_of(options, argv),
        show=not options.quiet,
        parallel=options.parallel,
        mesh=mesh_by_layer(options.devices, options.layer_devices),
        regime=_regime(options),
    )


def _regime(options: Looks) -> Probe | Literal["auto"] | int | None:
    if options.curvature and options.looks:
        from ..analysis import Meter

        return Meter(curvature=True) if isinstance(options.regime, str) else Meter(options.regime, curvature=True)
    return None if options.regime == "off" else options.regime


def check_looks(options: Looks, samples: int) -> None:
    """Refuse, before there is a folder, rules whose regime can't be measured.

    **Arguments:**

    - `samples`: how many there are to train on.

    **Raises:** `Refused`.
    """
    for name in options.used_rules if options.looks else ():
        if not isinstance(make_rule(options, name, samples), Rule):
            raise Refused(f"--regime measures rules that have learn, as a pcx.learning.Rule has, and {name} makes none")


def config_of(options: TrainOptions, argv: list[str]) -> dict[str, Any]:
    """Return what a run's `config.json` holds of its command."""
    return {"command": "train", "argv": ["pcx", *argv], "options": as_json(options), **own_of(options)}


def own_of(options: Experiment) -> dict[str, Any]:
    """Return the files of networks, energies and rules of one's own, for `config.json`; nothing if there are none."""
    found = sources(options)
    return {"own": found} if found else {}


# What doesn't decide what is trained, or only for how long: one that goes on may have other ones.
_FREE = (
    "epochs",
    "decay_epochs",
    "data_folder",
    "checkpoint_every",
    "checkpoint_seconds",
    "devices",
    "layer_devices",
    "equal_layers",
    "regime",
    "curvature",
)


def changed_options(old: Experiment, new: Experiment, *free: str) -> list[str]:
    """Return in words what is another option than at the beginning, of those that whoever goes on must keep.

    **Arguments:**

    - `old`, `new`: the options at the beginning, and those now.
    - `free`: names of more options that may change.
    """
    was, now = ({k: v for k, v in as_json(o).items() if k not in (*_FREE, *free)} for o in (old, new))
    return differences(was, now)


def lengthen(folder: Path, options: TrainOptions) -> None:
    """Write a run's new number of epochs into its config, which is else that of its beginning."""
    with told():
        place = Folder(folder, resume=True)
        config = place.read_json("config.json")
        longer = {name: getattr(options, name) for name in ("epochs", "decay_epochs")}
        config |= {"epochs": options.epochs, "options": config["options"] | longer}
        place.write_json("config.json", config)
