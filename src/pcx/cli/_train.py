"""`pcx train` and `pcx resume`."""

from __future__ import annotations

import dataclasses
import shlex
import statistics
from pathlib import Path
from typing import Any

from ..core import NOTHING
from ..training import Fit, Folder, Processes, last_look
from ._agree import check_alike
from ._build import Splits
from ._devices import check_devices
from ._failures import DONE, INTERRUPTED, NOT_FINITE, CommandError, complain, told
from ._interrupt import resumable
from ._job import Job, joined
from ._own import settled
from ._regime import in_words, summed_up
from ._run import changed_options, check_looks, lengthen, monitored, say_what_has_no_effect, train_in
from ._runs import described, last_entry
from ._saved import as_json, new_folder, read_config
from ._settings import TrainOptions
from ._tables import console, counted, duration, number, percent, say, spread, table


def train(options: TrainOptions, argv: list[str]) -> int:
    """Train and print what came out; the exit status."""
    with joined(options) as processes:
        options = settled(options)
        alike = as_json(options) | {"resume": options.resume}
        check_alike(processes, {k: v for k, v in alike.items() if k != "data_folder"})
        return _train(options, argv, processes)


def _train(options: TrainOptions, argv: list[str], processes: Processes) -> int:
    if options.resume == "auto" and options.out is not None and (options.out / "config.json").exists():
        return _go_on(options.out, options, processes)
    folder = new_folder(options.out, "train", f"go on with it by `pcx resume {shlex.quote(str(options.out))}`")
    folder = Path(processes.first(str(folder)))  # which may have the time in its name
    with told():
        splits = Splits(options)
        check_looks(options, len(splits.train))
    check_devices(options)
    if processes.writes:
        say_what_has_no_effect(options, argv)
    return _go(folder, options, splits, argv, processes, resume=False)


def _go_on(folder: Path, options: TrainOptions, processes: Processes) -> int:
    """Go on with a run by the same command that began it; more epochs make it longer."""
    changed = changed_options(read_config(folder, TrainOptions), options)
    if changed:
        raise CommandError(
            f"the run in {folder} was begun otherwise: {'; '.join(changed)}. Go on with the options that it was begun "
            "with, or begin another one with --out"
        )
    names = ("devices", "layer_devices", "equal_layers", "regime")
    free = {name: getattr(options, name) for name in names}
    free["curvature"] = None if options.regime is None else options.curvature
    return _resume(folder, options.epochs, options.data_folder, options.quiet, processes, free)


def resume(
    folder: Path,
    epochs: int | None,
    data_folder: Path | None,
    quiet: bool,
    job: Job,
    free: dict[str, Any],
) -> int:
    """Go on with a run; the exit status.

    **Arguments:**

    - `free`: options that may be others than when it was begun; None is as it was begun.
    """
    with joined(job) as processes:
        check_alike(processes, {"epochs": epochs, **free})
        return _resume(folder, epochs, data_folder, quiet, processes, free)


def _resume(
    folder: Path,
    epochs: int | None,
    data_folder: Path | None,
    quiet: bool,
    processes: Processes,
    free: dict[str, Any],
) -> int:
    options = read_config(folder, TrainOptions, resumes=True)
    changed: dict[str, Any] = {"quiet": quiet, **{name: value for name, value in free.items() if value is not None}}
    if data_folder is not None:
        changed["data_folder"] = data_folder
    if epochs is not None and epochs < options.epochs:
        raise CommandError(f"the run has {counted(options.epochs, 'epoch')}; --epochs {epochs} would be fewer")
    if epochs is not None and epochs > options.epochs:
        changed["epochs"] = epochs
        if options.schedule != "constant" and options.decay_epochs is None:
            changed["decay_epochs"] = options.epochs  # what was begun goes on; the rate stays at its last value
    if _finished(folder, options, "epochs" in changed):
        return DONE
    options = dataclasses.replace(options, **changed)
    options.check()
    with told():
        splits = Splits(options)
    check_devices(options)
    processes.meet()  # all have read what process 0 now changes
    if "epochs" in changed and processes.writes:
        lengthen(folder, options)
    return _go(folder, options, splits, [], processes, resume=True)


def _finished(folder: Path, options: TrainOptions, longer: bool) -> bool:
    """Return whether there is nothing to go on with, and say so."""
    entry = last_entry(folder)
    if not (folder / "summary.json").exists() or entry not in ("done", "stopped early"):
        return False
    if entry == "stopped early":
        # No network of it learns any more, however many epochs there are.
        again = f"pcx train --config {shlex.quote(str(folder))}"
        message = f"{folder} stopped early, by --patience; begin another run with: {again}"
        if longer:
            raise CommandError(message)
        say(message)
        return True
    if longer or described(folder)["done"] < options.epochs:
        return False  # or it was killed when it was to be made longer
    say(f"{folder} is finished already, after {counted(options.epochs, 'epoch')}; --epochs N trains longer")
    return True


def _go(
    folder: Path, options: TrainOptions, splits: Splits, argv: list[str], processes: Processes, resume: bool
) -> int:
    how = f"pcx resume {shlex.quote(str(folder))}"
    resumable(folder, how)
    processes.if_lost(_again(how, options, resume))
    found = train_in(folder, options, splits, argv, resume, quiet=not processes.writes)
    summary = summarise(found, options)
    if processes.writes:
        with told():
            Folder(folder, resume=True).write_json("summary.json", summary)
        show(summary, options, folder)
    return ending(found, how)


def _again(how: str, options: TrainOptions, resumed: bool) -> str:
    """Return the sentence that says how processes that lost one go on."""
    if resumed or options.resume == "auto":
        return "Start all processes again by the same command"
    by_hand = "" if options.coordinator is None else " with its --coordinator, --processes and --process"
    return f"Start all processes again: by {how}{by_hand}, or by the same command with --resume auto added"


def ending(found: Fit, how: str) -> int:
    """Return the exit status of a run, and write a line on stderr unless it came to its end."""
    if found.ended == "interrupted":
        complain(f"pcx: interrupted; go on with: {how}")
        return INTERRUPTED
    if found.ended == "failed":
        complain(f"pcx: error: training failed: {found.why}")
        return NOT_FINITE
    return DONE


def summarise(found: Fit, options: TrainOptions) -> dict[str, Any]:
    """Return the results of a run, for `summary.json`: for each network its last epoch, and its best one by
    `--monitor`."""
    metric = monitored(options)
    sign = 1 if "accuracy" in metric else -1
    networks = []
    for i, member in enumerate(found.members):
        rows = found.of(i)
        if not rows:
            networks.append({"seed": member.seed, "epochs": 0})
            continue
        finite = [row for row in rows if row.get(metric) is not None]
        # Of equal epochs the last, as in the best checkpoint.
        best = max(reversed(finite), key=lambda row: sign * row[metric], default=rows[-1])
        networks.append({"seed": member.seed, "epochs": len(rows), "last": _kept(rows[-1]), "best": _kept(best)})
        if look := summed_up(last_look(rows)):
            networks[-1]["regime"] = look
    # All networks of a run share the clock. The first epoch of each process that trained holds a compilation.
    times = {row["epoch"]: row["seconds"] for row in found.history}
    plain = [seconds for epoch, seconds in times.items() if epoch not in found.compiled]
    seconds = statistics.median(plain or times.values()) / len(found.members) if times else None
    return {
        "rule": options.rule,
        "ended": found.ended,
        "why": found.why,
        "best_by": metric,
        "seconds_per_epoch": seconds,
        "with_compilation": bool(times) and not plain,
        "networks": networks,
    }


def _kept(row: dict[str, Any]) -> dict[str, Any]:
    names = ("epoch", "energy", "loss", "accuracy", "validation_loss", "validation_accuracy")
    return {name: row[name] for name in names if name in row}


def show(summary: dict[str, Any], options: TrainOptions, folder: Path) -> None:
    """Print the table of a run."""
    judged = {"held-out": "validation", "test": "test", "none": ""}[options.validation]
    columns = ["seed", "epochs", "loss", "accuracy"]
    columns += [f"{judged} loss", f"{judged} accuracy"] if judged else []
    by = summary["best_by"].replace("_", " ")
    columns += [f"best epoch by {by}: accuracy"] if options.validation == "held-out" else []
    looked = any("regime" in network for network in summary["networks"])
    columns += ["regime"] if looked else []
    made = table(f"{options.rule}, {options.model} on {options.data}: last epoch", columns)
    names = ["loss", "accuracy", "validation_loss", "validation_accuracy"][: 4 if judged else 2]
    shows = [number, percent, number, percent]
    networks = summary["networks"]
    for network in networks:
        last = network.get("last", {})
        cells = [write(last.get(name)) for name, write in zip(names, shows, strict=False)]
        if options.validation == "held-out":
            best = network.get("best")
            cells.append(f"{best['epoch']}: {percent(best['validation_accuracy'])}" if best else NOTHING)
        cells += [in_words(look) if (look := network.get("regime")) else NOTHING] if looked else []
        made.add_row(str(network["seed"]), str(network["epochs"]), *cells)
    if len(networks) > 1:
        made.add_section()
        lasts = [network.get("last", {}) for network in networks]
        cells = [spread([last.get(n) for last in lasts], w) for n, w in zip(names, shows, strict=False)]
        made.add_row("mean ± std", "", *cells)
    console().print(made)
    if summary["seconds_per_epoch"] is not None:
        also = ", with the time to compile" if summary["with_compilation"] else ""
        say(f"{duration(summary['seconds_per_epoch'])} for each epoch and network{also}")
    say(f"results in {folder}; test with: pcx eval {shlex.quote(str(folder))}")
