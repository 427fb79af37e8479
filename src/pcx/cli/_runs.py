"""`pcx runs`: what lies in a folder of runs. Imports nothing heavy: it reads JSON."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ..core import NOTHING
from ._failures import DONE, CommandError, complain
from ._saved import read_run
from ._tables import console, number, percent, say, table

_DEPTH = 3
_METRICS = ("validation_accuracy", "test_accuracy", "accuracy")
_JUDGED_BY = {"validation_accuracy": "validation", "test_accuracy": "test", "accuracy": "training"}
_ENTRY = re.compile(r"^\d{4}-\d\d-\d\dT[\d:]+ (.*)$")
_STATES = {"done": "done", "stopped early": "done", "interrupted": "interrupted", "failed": "failed"}


def runs(folder: Path, as_json: bool) -> int:
    """Print the runs in a folder; the exit status."""
    if not folder.is_dir():
        raise CommandError(f"there is no folder {folder}; pcx train makes runs, in runs/ unless told otherwise")
    found = [described(path) for path in _find(folder, _DEPTH)]
    if as_json:
        print(json.dumps(found, indent=2))
    elif not found:
        say(f"no runs in {folder}")
    else:
        made = table(None, ["run", "rule", "data", "state", "epochs", "networks", "judged by", "last", "best"], texts=4)
        for run in found:
            epochs = NOTHING if run["epochs"] is None else f"{run['done']}/{run['epochs']}"
            known = {name: run[name] or NOTHING for name in ("rule", "data")}
            if sweep := run["sweep"]:
                value = (percent if "accuracy" in sweep["metric"] else number)(sweep["best"])
                words = (
                    f"{sweep['done']}/{sweep['settings']} settings",
                    NOTHING,
                    sweep["metric"].replace("_", " "),
                    NOTHING,
                    value,
                )
                made.add_row(run["run"], known["rule"], known["data"], run["state"], *words)
                continue
            for i, (rule, values) in enumerate((run["rules"] or run["settings"] or {known["rule"]: run}).items()):
                first = [run["run"], known["data"], run["state"], epochs, str(run["networks"] or NOTHING)]
                name, data, state, *numbers = first if i == 0 else [""] * len(first)
                judged = _JUDGED_BY.get(run["metric"], NOTHING)
                made.add_row(
                    name, rule, data, state, *numbers, judged, percent(values["last"]), percent(values["best"])
                )
        console().print(made)
        say("last and best: accuracy, mean over the networks of a line, of the last and of the best epoch")
        if any(run["sweep"] for run in found):
            say("of a sweep: settings that have ended, and the best value of what it judges by")
    return DONE


def _find(folder: Path, depth: int) -> Iterator[Path]:
    try:
        inside = sorted(folder.iterdir())
        if (folder / "config.json").is_file():
            yield folder
        folders = [path for path in inside if path.is_dir() and not path.is_symlink()]
    except OSError as error:
        complain(f"pcx: warning: {folder} can't be read: {error.strerror}")
        return
    for path in folders if depth else ():
        if path.name != "checkpoints" and path.name[0] != ".":
            yield from _find(path, depth - 1)


def described(folder: Path) -> dict[str, Any]:
    """Summaries of runs from their files."""
    try:
        config = read_run(folder)
    except CommandError:
        config = {}
    options = config.get("options")
    options = options if isinstance(options, dict) else {}
    command = _text(config.get("command")) or ("sweep" if "sweep" in config else "")
    rules = options.get("rules") or config.get("rules")
    study = isinstance(config.get("rules"), list)  # of `pcx run`: several rules in one folder
    rows = _rows(folder / "metrics.jsonl")
    metric = next((name for name in _METRICS if any(name in row for row in rows)), None)
    of_fit = _of_fit(config)
    settings = _by_setting(config, rows, metric)
    means = [] if study or settings or metric is None else _means(rows, metric)
    epochs = None if command in ("compare", "sweep") else config.get("epochs") or options.get("epochs")
    return {
        "run": str(folder),
        "command": command,
        "rule": _text(options.get("rule")) or " ".join(map(str, rules if isinstance(rules, list) else [])) or of_fit[0],
        "data": _text(options.get("data")) or of_fit[1],
        "state": _state(folder, command),
        "done": max((row["epoch"] for row in rows), default=0),
        "epochs": epochs if isinstance(epochs, int) else None,
        "networks": len({(str(row.get("rule")), str(row.get("network", row.get("seed")))) for row in rows}) or None,
        "metric": metric,
        "last": means[-1] if means else None,
        "best": max(means, default=None),
        "rules": {rule: _by_rule(rows, rule) for rule in config["rules"]} if study else None,
        "settings": settings,
        "sweep": _sweep(folder) if command == "sweep" else None,
    }


def _of_fit(config: dict[str, Any]) -> tuple[str, str]:
    """Return rule and data of a run of `fit`, as far as its config says them: what it was given, or found."""
    named, made_of = config.get("named"), config.get("made_of")
    data = made_of.get("data") if isinstance(made_of, dict) else None
    data = data if isinstance(data, dict) else {}
    arrays = data.get("arrays")
    found = f"arrays {arrays[0]}" if isinstance(arrays, list) and arrays else _text(data.get("source"))
    rule = _text(named.get("rule")) if isinstance(named, dict) else ""
    return _text(config.get("rule")) or rule, _text(config.get("data")) or found


def _by_setting(
    config: dict[str, Any], rows: list[dict[str, Any]], metric: str | None
) -> dict[str, dict[str, float | None]] | None:
    """Return the results of each setting of a run of `fit(settings=...)`, the best first; None if all networks have the
    same."""
    made_of = config.get("made_of")
    networks = made_of.get("networks") if isinstance(made_of, dict) else None
    groups: dict[str, set[int]] = {}
    for i, network in enumerate(networks if isinstance(networks, list) else []):
        own = network.get("settings") if isinstance(network, dict) else None
        name = ", ".join(f"{k} {v}" for k, v in own.items()) if isinstance(own, dict) else ""
        groups.setdefault(name, set()).add(i)
    if len(groups) < 2:
        return None
    found: dict[str, dict[str, float | None]] = {}
    for name, group in groups.items():
        own = [row for row in rows if isinstance(row.get("network"), int) and row["network"] in group]
        means = [] if metric is None else _means(own, metric)
        found[name] = {"last": means[-1] if means else None, "best": max(means, default=None)}
    best = {name: math.inf if values["best"] is None else -values["best"] for name, values in found.items()}
    return {name: found[name] for name in sorted(found, key=lambda name: best[name])}


def _sweep(folder: Path) -> dict[str, Any] | None:
    """Return how far a sweep is, and its best value so far; None if that isn't known."""
    found = _object(folder / "progress.json") or _object(folder / "summary.json")
    counts, value = found.get("settings"), found.get("best_value")
    if not isinstance(counts, dict) or not all(isinstance(n, int) for n in counts.values()):
        return None
    return {
        "done": sum(n for kind, n in counts.items() if kind != "not run"),
        "settings": sum(counts.values()),
        "metric": _text(found.get("metric")),
        "best": value if _is_number(value) else None,
    }


def _object(path: Path) -> dict[str, Any]:
    """Return the object in a JSON file; an empty one if there is none."""
    try:
        found = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    except (OSError, ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _by_rule(rows: list[dict[str, Any]], rule: str) -> dict[str, float | None]:
    means = _means([row for row in rows if row.get("rule") == rule], "test_accuracy")
    return {"last": means[-1] if means else None, "best": max(means, default=None)}


def _means(rows: list[dict[str, Any]], metric: str) -> list[float]:
    """A metric's mean over the networks, for each epoch that has it. One that has stopped stays at its last value."""
    by_epoch: dict[int, dict[str, float]] = {}
    for row in rows:
        if _is_number(row.get(metric)):
            network = f"{row.get('rule')} {row.get('network', row.get('seed'))}"
            by_epoch.setdefault(row["epoch"], {})[network] = row[metric]
    now: dict[str, float] = {}
    means = []
    for _, found in sorted(by_epoch.items()):
        now |= found
        means.append(sum(now.values()) / len(now))
    return means


def _rows(path: Path) -> list[dict[str, Any]]:
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").split("\n") if path.is_file() else []
    except OSError:
        return []
    found = []
    for line in lines:
        try:
            found.append(json.loads(line))
        except (ValueError, RecursionError):  # damaged, or the last line of a run that was killed
            continue
    return [row for row in found if isinstance(row, dict) and isinstance(row.get("epoch"), int)]


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < math.inf


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _state(folder: Path, command: str) -> str:
    """done, interrupted or failed, by the log's last entry; else unfinished: the run goes on, or was killed."""
    if command in ("compare", "sweep"):
        ended = _text(_object(folder / "summary.json").get("ended")) if command == "sweep" else "done"
        return _STATES.get(ended, "unfinished") if (folder / "summary.json").exists() else "unfinished"
    return _STATES.get(last_entry(folder).partition(":")[0], "unfinished")


def last_entry(folder: Path) -> str:
    """Return the last entry of a run's log, without its time; empty if there is none."""
    try:
        path = folder / "log.txt"
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines() if path.is_file() else []
    except OSError:
        return ""
    entries = [match[1] for line in lines if (match := _ENTRY.match(line))]
    return entries[-1] if entries else ""
