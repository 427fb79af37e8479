"""`pcx runs`: what lies in a folder of runs. Imports nothing heavy: it reads JSON."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ._failures import DONE, CommandError
from ._saved import read_run
from ._tables import console, percent, say, table

_DEPTH = 3
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
        made = table(None, ["run", "rule", "data", "state", "epochs", "networks", "last", "best"], texts=4)
        for run in found:
            epochs = "-" if run["epochs"] is None else f"{run['done']}/{run['epochs']}"
            numbers = [epochs, str(run["networks"] or "-"), percent(run["last"]), percent(run["best"])]
            made.add_row(run["run"], run["rule"], run["data"], run["state"], *numbers)
        console().print(made)
        say("last and best: validation accuracy, mean over the networks (training accuracy where none was held out)")
    return DONE


def _find(folder: Path, depth: int) -> Iterator[Path]:
    if (folder / "config.json").is_file():
        yield folder
    if depth:
        for path in sorted(folder.iterdir()):
            if path.is_dir() and not path.is_symlink() and path.name != "checkpoints" and path.name[0] != ".":
                yield from _find(path, depth - 1)


def described(folder: Path) -> dict[str, Any]:
    """What can be said of a run from its files."""
    try:
        config = read_run(folder)
    except CommandError:
        config = {}
    options = config.get("options") if isinstance(config.get("options"), dict) else {}
    assert isinstance(options, dict)
    rows = _rows(folder / "metrics.jsonl")
    by_epoch: dict[int, list[float]] = {}
    for row in rows:
        value = next((row[n] for n in ("validation_accuracy", "test_accuracy", "accuracy") if n in row), None)
        if value is not None and "epoch" in row:
            by_epoch.setdefault(row["epoch"], []).append(value)
    means = [sum(values) / len(values) for _, values in sorted(by_epoch.items())]
    rules = options.get("rules") or config.get("rules")
    return {
        "run": str(folder),
        "command": config.get("command", ""),
        "rule": options.get("rule") or " ".join(rules or []) or "-",
        "data": options.get("data", "-"),
        "state": _state(folder, config),
        "done": max((row.get("epoch", 0) for row in rows), default=0),
        "epochs": config.get("epochs") or options.get("epochs") if config.get("command") != "compare" else None,
        "networks": len({(row.get("rule"), row.get("network", row.get("seed"))) for row in rows}) or None,
        "last": means[-1] if means else None,
        "best": max(means, default=None),
    }


def _rows(path: Path) -> list[dict[str, Any]]:
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except OSError:
        return []
    found = []
    for line in lines:
        try:
            found.append(json.loads(line))
        except ValueError:  # the last line of a run that was killed
            continue
    return [row for row in found if isinstance(row, dict)]


def _state(folder: Path, config: dict[str, Any]) -> str:
    """done, interrupted or failed, by the log's last entry; else unfinished: the run goes on, or was killed."""
    if config.get("command") == "compare":
        return "done" if (folder / "summary.json").exists() else "unfinished"
    return _STATES.get(last_entry(folder).partition(":")[0], "unfinished")


def last_entry(folder: Path) -> str:
    """The last entry of a run's log, without its time; empty if there is none."""
    try:
        lines = (folder / "log.txt").read_text(encoding="utf-8").splitlines()
    except OSError:
        return ""
    entries = [match[1] for line in lines if (match := _ENTRY.match(line))]
    return entries[-1] if entries else ""
