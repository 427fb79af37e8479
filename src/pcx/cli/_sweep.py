"""`pcx sweep`: many settings, which is best, and what mattered."""

from __future__ import annotations

import dataclasses
import inspect
import itertools
import json
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

from .. import predictive_coding as pxc
from ..training import EarlyStopping, Folder, LearningRule, Sweep, differences, shown, sweep
from ._build import Splits, augmentation, make_rule, model_maker, unasked
from ._checks import dashed
from ._devices import check_devices
from ._failures import DONE, INTERRUPTED, NOT_FINITE, CommandError, Refused, complain, told
from ._interrupt import resumable
from ._own import settled
from ._run import monitored, own_of, say_what_has_no_effect
from ._saved import as_json, new_folder, read_config
from ._settings import CONVOLUTIONAL
from ._sweep_options import SweepOptions
from ._tables import console, counted, number, percent, say, table
from ._vary import OF_MODEL, with_setting

_SHOWN = 20  # lines of the table
_FREE = (
    "trials",
    "ensemble",
    "data_folder",
    "checkpoint_every",
    "checkpoint_seconds",
    "parallel",
    "devices",
    "storage",
)


@dataclasses.dataclass
class _Shape:
    """A sample's shape and the number of classes: a network is made for them."""

    shape: tuple[int, ...]
    classes: int


def run(options: SweepOptions, argv: list[str]) -> int:
    """Make a sweep, or go on with it, and print what came out; the exit status."""
    options = settled(options)
    folder = _folder(options)
    varied = options.varied
    space = {each.name: each.domain for each in varied}
    for each in varied:
        if options.trials is None and each.low is not None and not each.whole and each.points is None:
            raise Refused(
                f"--vary {each.text}: a grid needs the number of its points: {each.text}:5; or search, with --trials 60"
            )
    if options.trials is None:
        _check_grid(options)
    ignored = options.without_effect() | unasked(options)
    for each in varied:
        if each.path[1:] == () and dashed(each.name) in ignored:
            raise Refused(f"--vary {each.text} has no effect: {ignored[dashed(each.name)]}")
    with told():
        splits = Splits(_with_images(options))
    if "batch_size" not in space:
        check_devices(dataclasses.replace(options, seeds=(1,)))  # as the last network of an ensemble may need it
    say_what_has_no_effect(options, argv)
    how = f"pcx sweep --out {shlex.quote(str(folder))} --resume"
    resumable(folder, how)
    base = options.of({})
    with told():
        found = sweep(
            _model(base, options, _Shape(tuple(splits.shape), splits.classes)),
            _rule(base, options, len(splits.train)),
            splits.train,
            splits.validation,
            space=space,
            epochs=options.epochs,
            trials=options.trials,
            metric=monitored(base),
            seeds=options.all_seeds,
            batch_size=None if "batch_size" in space else options.batch_size,
            augment=augmentation(options),
            early_stopping=None if options.patience is None else EarlyStopping(monitored(base), options.patience),
            sampler=options.sampler,
            seed=options.search_seed,
            at_once=options.at_once,
            pruner=None if options.pruner == "none" else options.pruner,
            ensemble=options.ensemble,
            parallel=options.parallel,
            mesh=options.devices,
            folder=folder,
            storage=options.storage,
            config={"command": "sweep", "argv": ["pcx", *argv], "options": as_json(options), **own_of(options)},
            show=not options.quiet,
        )
    if found.ended == "interrupted":
        complain(f"pcx: interrupted; go on with: {how}")
        return INTERRUPTED
    return _end(found, options, folder)


def _folder(options: SweepOptions) -> Path:
    """The sweep's folder; one that is there must be of the same sweep."""
    out = options.out
    if out is None or not (out / "config.json").exists():
        if options.resume:
            raise CommandError(f"{out} holds no sweep (no config.json)")
        return new_folder(out, "sweep", "")
    both = read_config(out, SweepOptions), options
    was, now = ({k: v for k, v in as_json(o).items() if k not in _FREE} for o in both)
    if changed := differences(was, now):
        raise CommandError(
            f"the sweep in {out} was begun otherwise: {'; '.join(changed)}. Go on with the options that it was begun "
            "with, by --resume, or begin another one with --out"
        )
    return out


def _check_grid(options: SweepOptions) -> None:
    """Refuse settings whose values don't fit together, before anything is made."""
    values = {each.name: each.domain._grid() or [] for each in options.varied}
    combinations = itertools.islice(itertools.product(*values.values()), 10_000)
    for _ in options.each([dict(zip(values, each, strict=True)) for each in combinations]):
        pass


def _with_images(options: SweepOptions) -> SweepOptions:
    """Options with the network that needs most of its images: a convolutional one, if one is tried."""
    models = [value for each in options.varied if each.path == ("model",) for value in each.values]
    kept = next((name for name in models if name in CONVOLUTIONAL), options.model)
    return dataclasses.replace(options, model=kept)


def _asking(function: Callable[..., Any], names: list[str]) -> Callable[..., Any]:
    """Let a function ask for settings by these names."""
    kind = inspect.Parameter.KEYWORD_ONLY
    function.__signature__ = inspect.Signature([inspect.Parameter(n, kind) for n in names])  # type: ignore[attr-defined]
    return function


def _model(base: Any, options: SweepOptions, shape: _Shape) -> Callable[..., pxc.EnergyModule]:
    varied = options.varied

    def model(**setting: object) -> pxc.EnergyModule:
        return model_maker(with_setting(base, varied, setting), shape)()

    return _asking(model, [each.name for each in varied if each.path[0] in OF_MODEL])


def _rule(base: Any, options: SweepOptions, samples: int) -> Callable[..., LearningRule]:
    varied = options.varied

    def rule(**setting: object) -> LearningRule:
        made = with_setting(base, varied, setting)
        return make_rule(made, made.rule, samples)

    return _asking(rule, [each.name for each in varied if each.path[0] not in OF_MODEL])


def _end(found: Sweep, options: SweepOptions, folder: Path) -> int:
    _show(found, options)
    done = [row for row in found.rows if row["ended"] == "done"]
    if not done:
        why = next((row["why"] for row in found.rows if row["why"]), "all were pruned")
        complain(f"pcx: error: no setting went well; the first: {why}")
        return NOT_FINITE
    best = options.of(found.best)
    text = json.dumps({"command": "train", "options": as_json(best), **own_of(best)}, indent=2) + "\n"
    with told():
        Folder(folder, resume=True).write("best.json", lambda path: path.write_text(text, encoding="utf-8"))
    importances = json.loads((folder / "summary.json").read_text(encoding="utf-8"))["importances"]
    if any(importances.values()):
        say("what mattered: " + ", ".join(f"{name} {percent(v)}" for name, v in importances.items()))
    say(f"results in {folder}: table.csv, trials.jsonl, summary.json, best.json{', figure.png' if importances else ''}")
    say(f"train by the best setting: pcx train --config {shlex.quote(str(folder / 'best.json'))}")
    return DONE


def _show(found: Sweep, options: SweepOptions) -> None:
    """Print the table, the best first."""
    lines, names = found.table(best_first=True).rows, [each.name for each in options.varied]
    columns = ["setting", *names, "ended", "epochs"]
    numbers = [n for n in ("loss", "accuracy", "validation_loss", "validation_accuracy") if any(n in r for r in lines)]
    best = f"best {found.metric}"
    title = f"{options.model} on {options.data}: {counted(len(lines), 'setting')} by {best.replace('_', ' ')}"
    made = table(title, [*columns, *[n.replace("_", " ") for n in numbers], best.replace("_", " ")], texts=0)
    for line in lines[:_SHOWN]:
        cells = [str(line["setting"]), *[shown(line[n]) for n in names], line["ended"], str(line["epochs"])]
        cells += [_number(n, line.get(n)) for n in numbers]
        value = _number(found.metric, line[best])
        if line.get("deviation") is not None:
            value += f" ± {_number(found.metric, line['deviation'])}"
        made.add_row(*cells, value)
    console().print(made)
    say("setting: its number in table.csv; the best first; all but the last column is of the last epoch")
    if len(lines) > _SHOWN:
        say(f"and {len(lines) - _SHOWN} more in table.csv")


def _number(name: str, value: float | None) -> str:
    return (percent if "accuracy" in name else number)(value)
