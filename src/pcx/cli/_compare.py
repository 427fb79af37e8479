"""`pcx compare`: the same networks by several rules, and how sure the differences are."""

from __future__ import annotations

import dataclasses
import math
import shlex
from pathlib import Path
from typing import Any

import numpy as np

from ..core import NOTHING, moments
from ..learning import State
from ..training import Fit, Folder, verdicts, versions
from ._build import Splits, make_rule
from ._curves import draw
from ._devices import check_devices
from ._evaluate import judge
from ._failures import DONE, NOT_FINITE, CommandError, complain, told
from ._interrupt import ended_by_signal, resumable
from ._own import settled
from ._run import changed_options, check_looks, lengthen, own_of, say_what_has_no_effect, train_in
from ._saved import as_json, new_folder, read_config
from ._settings import CompareOptions, TrainOptions, is_own, label
from ._tables import console, counted, percent, say, table
from ._train import ending, summarise

BASELINE = "backprop"


def compare(options: CompareOptions, argv: list[str]) -> int:
    """Train by each rule and print the comparison; the exit status."""
    how = f"pcx compare --out {shlex.quote(str(options.out))} --resume"
    if options.resume:
        assert options.out is not None
        folder = options.out
        options = _taken_up(settled(options), read_config(folder, CompareOptions))
    else:
        options = settled(options)
        folder = new_folder(options.out, "compare", f"go on with it by `{how}`")
        how = f"pcx compare --out {shlex.quote(str(folder))} --resume"
    with told():
        splits = Splits(options)
        check_looks(options, len(splits.train))
    check_devices(options)
    with told():
        place = Folder(folder, options.resume)
        place.write_json(
            "config.json",
            {"command": "compare", "argv": ["pcx", *argv], "options": as_json(options), **own_of(options)},
        )
        place.write_json("versions.json", versions())
    say_what_has_no_effect(options, argv)
    results: dict[str, dict[str, Any]] = {}
    curves: dict[str, np.ndarray] = {}
    resumable(folder, how)
    for name in options.rules:
        rule = label(name)
        found = _train(folder / rule, options.of(name), splits)
        if found.ended == "interrupted" or ended_by_signal():
            return ending(found, how)
        if not options.quiet:
            say(f"{rule}: {found.ended}")
        results[rule] = summarise(found, options.of(name)) | {"test": _tested(found, name, options, splits)}
        curves[rule] = _curve(found, options)
        Folder(folder / rule, resume=True).write_json("summary.json", results[rule])
    summary = compared(results, options)
    shown = "training" if options.validation == "none" else "test" if options.validation == "test" else "validation"
    with told():
        place.write_json("summary.json", summary)
        place.write("figure.png", lambda path: draw(path, curves, f"{shown} accuracy"))
    _show(summary, options)
    say(f"results in {folder}: summary.json, figure.png, and a run for each rule")
    failed = {rule: result["why"] for rule, result in results.items() if result["ended"] == "failed"}
    for rule, why in failed.items():
        complain(f"pcx: error: training by {rule} failed: {why}")
    return NOT_FINITE if failed else DONE


def _taken_up(options: CompareOptions, old: CompareOptions) -> CompareOptions:
    """The options of a comparison that goes on: more epochs, and rules in any number, but the same networks."""
    changed = changed_options(old, options, "rules")
    if changed:
        raise CommandError(f"the comparison was begun otherwise: {'; '.join(changed)}. Begin another one with --out")
    if options.epochs < old.epochs:
        had = counted(old.epochs, "epoch")
        raise CommandError(f"the comparison has {had}; --epochs {options.epochs} would be fewer")
    if options.epochs > old.epochs and options.schedule != "constant" and options.decay_epochs is None:
        options = dataclasses.replace(options, decay_epochs=old.epochs)
    return options


def _train(folder: Path, options: TrainOptions, splits: Splits) -> Fit:
    begun = (folder / "config.json").exists()
    if begun and read_config(folder, TrainOptions).epochs < options.epochs:
        lengthen(folder, options)
    if not options.quiet:
        say(f"{options.rule}:")
    return train_in(folder, options, splits, [], begun)


def _tested(found: Fit, name: str, options: CompareOptions, splits: Splits) -> list[dict[str, Any]]:
    """Loss and accuracy on the test set after the last epoch; None for a network that failed."""
    # A forward pass is that of any rule of pcx; one of the user's own knows its own states.
    others = [r for r in options.rules if not is_own(r)] if isinstance(found.states[0], State) else []
    rule = make_rule(options, others[0] if others else name, len(splits.train))
    tested = [_finite(each) for each in judge(rule, found.states, splits.test)]
    failed = {i for i, member in enumerate(found.members) if f"{member.name}, epoch " in (found.why or "")}
    return [
        {"seed": member.seed, **({"accuracy": None, "loss": None} if i in failed else tested[i])}
        for i, member in enumerate(found.members)
    ]


def _finite(values: dict[str, float]) -> dict[str, float | None]:
    return {name: value if math.isfinite(value) else None for name, value in values.items()}


def _curve(found: Fit, options: CompareOptions) -> np.ndarray:
    metric = "accuracy" if options.validation == "none" else "validation_accuracy"
    values = np.full((len(found.members), options.epochs), np.nan)
    for row in found.history:
        if row.get(metric) is not None:
            values[row["network"], row["epoch"] - 1] = row[metric]
    return values


def compared(results: dict[str, dict[str, Any]], options: CompareOptions) -> dict[str, Any]:
    """Return the comparison, for `summary.json`: for each rule the test accuracy after the last epoch, its difference
    from backpropagation's of the same seed, and seconds for each epoch and network, also as a multiple of
    backpropagation's; and the last look at the regime of each network, where there was one."""
    from ..analysis import paired  # which a start need not wait for

    base = results.get(BASELINE)
    rules = {}
    for rule, result in results.items():
        accuracy = [each["accuracy"] for each in result["test"]]
        seconds = result["seconds_per_epoch"]
        rules[rule] = {
            "ended": result["ended"],
            "why": result["why"],
            "test_accuracy": {"by_seed": {str(e["seed"]): e["accuracy"] for e in result["test"]}, **moments(accuracy)},
            "test_loss": moments([each["loss"] for each in result["test"]]),
            "minus_backprop": None,
            "seconds_per_epoch": seconds,
            "with_compilation": result["with_compilation"],
            "cost": None,
        }
        looked = [{"seed": n["seed"], **n["regime"]} for n in result["networks"] if "regime" in n]
        rules[rule] |= {"regime": looked} if looked else {}
        if base is not None and rule != BASELINE:
            rules[rule]["minus_backprop"] = paired(accuracy, [each["accuracy"] for each in base["test"]])
        if base is not None and seconds and base["seconds_per_epoch"]:
            rules[rule]["cost"] = seconds / base["seconds_per_epoch"]
    return {"epochs": options.epochs, "seeds": list(options.all_seeds), "rules": rules}


def _show(summary: dict[str, Any], options: CompareOptions) -> None:
    count = len(summary["seeds"])
    epochs, seeds = counted(options.epochs, "epoch"), counted(count, "seed")
    against = BASELINE in summary["rules"]
    looked = any("regime" in found for found in summary["rules"].values())
    columns = ["rule", "test accuracy", "minus backprop (95 %)", "s / epoch and network", "cost / backprop", "regime"]
    shown = [name for name in columns if (against or "backprop" not in name) and (looked or name != "regime")]
    made = table(f"{options.model} on {options.data}, {epochs}, {seeds}, mean ± deviation", shown)
    for rule, found in summary["rules"].items():
        accuracy, seconds, cost = found["test_accuracy"], found["seconds_per_epoch"], found["cost"]
        text = percent(accuracy["mean"])
        if accuracy["std"] is not None:
            text += f" ± {percent(accuracy['std'])}"
        if accuracy["n"] < count:
            text += f" ({accuracy['n']} of {count})"
        cells = [rule, text, _difference(found["minus_backprop"])]
        cells += [NOTHING if value is None else f"{value:.3g}" for value in (seconds, cost)]
        cells += [verdicts(found.get("regime", [])) or NOTHING]
        made.add_row(*[cell for name, cell in zip(columns, cells, strict=True) if name in shown])
    console().print(made)
    if held := [rule for rule, found in summary["rules"].items() if found["with_compilation"]]:
        epoch = "Each epoch's time" if options.epochs > 1 else "The time of a single epoch"
        say(f"{epoch} holds the compilation ({', '.join(held)}); others of a run leave out the first of each start.")


def _difference(less: dict[str, Any] | None) -> str:
    if less is None or less["mean"] is None:
        return NOTHING
    interval = "" if less["low"] is None else f" [{less['low']:+.2%}, {less['high']:+.2%}]"
    return f"{less['mean']:+.2%}{interval}"
