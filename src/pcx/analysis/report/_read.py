"""From a folder to a `Record`. What is damaged is left out, and said."""

from __future__ import annotations

import csv
import io
import json
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ...core import NOTHING
from ._record import Group, Network, Record, Row

_ENTRY = re.compile(r"^(\d{4}-\d\d-\d\dT[\d:]+) (.*)$")
_ENDS = ("done", "stopped early", "interrupted", "failed")
_FILES = ("config.json", "metrics.jsonl", "log.txt", "summary.json", "progress.json", "table.csv", "versions.json")
_MOST = 64 * 2**20  # bytes of a file


class NoRun(ValueError):
    """A folder holds no run that can be read; the message says why."""


def read(folder: str | os.PathLike[str], name: str | None = None) -> list[Record]:
    """Read a run. Of a comparison, its rules are runs of their own, which come after it.

    **Arguments:**

    - `folder`: that of the run.
    - `name`: to tell it from others; the folder's name by default.

    **Returns:** one record, or several of a comparison.

    **Raises:** `NoRun` if there is none, or its `config.json` can't be read.
    """
    path = Path(folder)
    try:
        held = path.is_dir()
    except OSError as error:
        raise NoRun(f"{path} can't be read: {error.strerror}") from error
    if not held:
        raise NoRun(f"{path} is a file; give the folder of a run" if path.exists() else f"there is no folder {path}")
    config = _config(path)
    name = os.fsencode(name or path.resolve().name or str(path)).decode("utf-8", "replace")
    record = _record(path, name, config)
    inside = [path / rule for rule in _rules_of(config)] if record.command == "compare" else []
    return [record, *[each for rule in inside if _is_run(rule) for each in read(rule, f"{name}/{rule.name}")]]


def files_of(folder: str | os.PathLike[str]) -> list[Path]:
    """Return the files that a run is read from, where they are there or will be.

    **Arguments:**

    - `folder`: that of the run.

    **Returns:** their paths; of a comparison those of its rules, too.
    """
    path = Path(folder)
    try:
        rules = _rules_of(_config(path))
    except NoRun:
        rules = []
    return [place / name for place in (path, *[path / rule for rule in rules]) for name in _FILES]


def _is_run(path: Path) -> bool:
    return (path / "config.json").is_file()


def _config(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(_text(path / "config.json"))
    except FileNotFoundError as error:
        raise NoRun(f"{path} holds no run (no config.json)") from error
    except (OSError, ValueError, RecursionError) as error:
        raise NoRun(f"{path / 'config.json'} can't be read: {error}") from error
    if not isinstance(found, dict):
        raise NoRun(f"{path / 'config.json'} is no config of a run")
    return found


def _text(path: Path) -> str:
    """A file's text. A pipe, which to read would wait for whoever writes to it, is refused."""
    if path.exists() and not path.is_file():
        raise OSError(f"{path} is no file")
    if path.stat().st_size > _MOST:
        raise OSError(f"{path} has more than {_MOST >> 20} MiB")
    return path.read_bytes().decode("utf-8", "replace")


def _rules_of(config: Mapping[str, Any]) -> list[str]:
    rules = _dict(config.get("options")).get("rules") if config.get("command") == "compare" else None
    plain = re.compile(r"[\w-]+")
    return (
        [rule for rule in rules if isinstance(rule, str) and plain.fullmatch(rule)] if isinstance(rules, list) else []
    )


def _record(path: Path, name: str, config: dict[str, Any]) -> Record:
    notes: list[str] = []
    options, made_of = _dict(config.get("options")), _dict(config.get("made_of"))
    study = isinstance(config.get("rules"), list)
    command = str(config.get("command") or ("sweep" if "sweep" in config else "run zil" if study else "fit"))
    log, entries = _log(path, notes)
    last = entries[-1] if entries else ""
    tables: dict[str, Any] = {file: _object(path / file, notes) for file in ("summary.json", "progress.json")}
    tables["table.csv"] = _csv(path / "table.csv", notes)
    state, why = _ended(command, last, tables["summary.json"])
    rows = [] if command in ("compare", "sweep") else _rows(path / "metrics.jsonl", notes)
    rule, data = _of_fit(config)
    rules = config.get("rules") if study else options.get("rules")
    joined = ", ".join(map(str, rules)) if isinstance(rules, list) else ""
    epochs = config.get("epochs") or options.get("epochs")
    return Record(
        name=name,
        folder=os.fsencode(path).decode("utf-8", "replace"),
        command=command,
        rule=_word(options.get("rule")) or joined or rule,
        data=_word(options.get("data")) or data or ("two-moons" if study else ""),
        state=state,
        why=why,
        epochs=epochs if isinstance(epochs, int) and not isinstance(epochs, bool) else None,
        groups=_groups(name, rows, made_of),
        settings=_settings(config, options, study),
        versions=_flat(_object(path / "versions.json", notes)),
        log=log,
        notes=notes,
        tables={file: found for file, found in tables.items() if found},
    )


def _ended(command: str, last: str, summary: Mapping[str, Any]) -> tuple[str, str]:
    if command in ("compare", "sweep"):
        ended = _word(summary.get("ended")) or ("done" if summary else "")
        return (ended, "") if ended in _ENDS else ("unfinished", "")
    state, _, why = last.partition(":")
    return (state, why.strip()) if state in _ENDS else ("unfinished", "")


def _of_fit(config: Mapping[str, Any]) -> tuple[str, str]:
    data, named = _dict(_dict(config.get("made_of")).get("data")), _dict(config.get("named"))
    arrays = data.get("arrays")
    found = f"arrays {arrays[0]}" if isinstance(arrays, list) and arrays else _word(data.get("source"))
    return _word(config.get("rule")) or _word(named.get("rule")), _word(config.get("data")) or found


def _groups(name: str, rows: Sequence[Row], made_of: Mapping[str, Any]) -> list[Group]:
    """The networks of a run, by rule or settings."""
    known = made_of.get("networks")
    known = [_dict(each) for each in known] if isinstance(known, list) else []
    several = len({json.dumps(each.get("settings"), sort_keys=True, default=str) for each in known}) > 1
    networks: dict[tuple[str, str], list[Row]] = {}
    for row in rows:
        number = row.get("network")
        own = known[number] if isinstance(number, int) and 0 <= number < len(known) else {}
        settings = ", ".join(f"{k} {_short(v)}" for k, v in _dict(own.get("settings")).items()) if several else ""
        group = _word(row.get("rule")) or settings
        seed = row.get("seed", number)
        networks.setdefault((group, f"network {number}" if seed is None else f"seed {seed}"), []).append(row)
    by_group: dict[str, list[Network]] = {}
    for (group, network), own in networks.items():
        latest = {row["epoch"]: row for row in own}  # of an epoch that was done twice, the last
        by_group.setdefault(group, []).append(Network(network, [latest[epoch] for epoch in sorted(latest)]))
    return [Group(f"{name}: {group}" if group else name, found) for group, found in by_group.items()]


_RULES = ("pc", "ipc", "zil", "hil", "fpa", "nudged", "epc", "mcpc", "backprop")


def _settings(config: Mapping[str, Any], options: Mapping[str, Any], study: bool) -> dict[str, str]:
    """All options, but for those of rules that aren't used; of a run of `fit`, what was handed to it to be kept."""
    if options:
        first = ("data", "rule", "rules", "model", "hidden", "energy", "vary")
        options = {name: options[name] for name in first if name in options} | dict(options)
        used = [options.get("rule"), *(options["rules"] if isinstance(options.get("rules"), list) else [])]
        return _flat({k: v for k, v in options.items() if k not in _RULES or k in used})
    apart = ("made_of", "named", "layout", "argv", "command", "sweep")
    return _flat({k: v for k, v in config.items() if k not in apart}) | _flat(_dict(config.get("sweep")), "sweep.")


def _flat(values: Mapping[str, Any], before: str = "", depth: int = 4) -> dict[str, str]:
    """Values as text, those of dicts by names with points."""
    found: dict[str, str] = {}
    for name, value in values.items():
        if isinstance(value, dict) and depth and value:
            found |= _flat(value, f"{before}{name}.", depth - 1)
        elif isinstance(value, list) and not any(isinstance(each, dict | list) for each in value):
            found[f"{before}{name}"] = " ".join(map(str, value)) or NOTHING
        elif value is None or value == {}:
            found[f"{before}{name}"] = NOTHING
        else:
            found[f"{before}{name}"] = value if isinstance(value, str) else json.dumps(value, default=str)
    return found


def _object(path: Path, notes: list[str]) -> dict[str, Any]:
    try:
        found = json.loads(_text(path))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, RecursionError) as error:
        notes.append(f"{path.name} can't be read and is left out: {error}")
        return {}
    return _dict(found)


def _csv(path: Path, notes: list[str]) -> list[list[str]]:
    try:
        return [row for row in csv.reader(io.StringIO(_text(path))) if row]
    except FileNotFoundError:
        return []
    except (OSError, csv.Error) as error:
        notes.append(f"{path.name} can't be read and is left out: {error}")
        return []


def _rows(path: Path, notes: list[str]) -> list[Row]:
    try:
        *lines, rest = _text(path).split("\n")
    except FileNotFoundError:
        return []
    except OSError as error:
        notes.append(f"metrics.jsonl can't be read and is left out: {error}")
        return []
    found, broken = [], []
    # A last line without an end is being written, or belongs to a run that was killed.
    for number, line in enumerate(lines, 1):
        try:
            row = json.loads(line)
        except (ValueError, RecursionError):
            row = None
        epoch = row.get("epoch") if isinstance(row, dict) else None
        if isinstance(row, dict) and isinstance(epoch, int) and 0 <= epoch < 10**9 and not isinstance(epoch, bool):
            found.append(row)
        else:
            broken.append(str(number))
    if broken:
        more = ", ..." if len(broken) > 5 else ""
        notes.append(
            f"{len(broken)} of {len(lines)} lines of metrics.jsonl can't be read and are left out: "
            f"{', '.join(broken[:5])}{more}"
        )
    if rest:
        notes.append(
            "The last line of metrics.jsonl is not whole and is left out: it is being written, or the run was killed."
        )
    return found


def _log(path: Path, notes: list[str]) -> tuple[list[str], list[str]]:
    """The lines of the log, and its entries without their times."""
    try:
        lines = _text(path / "log.txt").splitlines()
    except FileNotFoundError:
        return [], []
    except OSError as error:
        notes.append(f"log.txt can't be read and is left out: {error}")
        return [], []
    return lines, [match[2] for line in lines if (match := _ENTRY.match(line))]


def _dict(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _short(value: object) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def _word(value: object) -> str:
    return value if isinstance(value, str) else ""
