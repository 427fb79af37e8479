"""The folder of a sweep, which several processes may share."""

from __future__ import annotations

import importlib.util
import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from ..data import given_path
from ._files import CheckpointError, is_partial, refuse_links, replacing
from ._folder import RunExists, read_json, versions
from ._sweep_result import Sweep
from ._types import Json

TRIALS = "trials.sqlite3"
PROGRESS = "progress.json"
_OWN = (
    PROGRESS,
    "config.json",
    "versions.json",
    "table.csv",
    "trials.jsonl",
    "summary.json",
    "best.json",
    "figure.png",
    TRIALS,
)


def check_sweep_folder(path: str | os.PathLike[str]) -> Path:
    """Return a folder that is new, empty, or holds a sweep.

    **Raises:** `RunExists` if it holds anything else; `CheckpointError` if it holds links.
    """
    place = given_path("sweep: folder", path).absolute()
    if place.exists() and not place.is_dir():
        raise RunExists(f"sweep: {place} is a file; choose a folder")
    held = sorted(os.listdir(place)) if place.is_dir() else []
    if "config.json" in held:
        config = read_json(place / "config.json")
        if not isinstance(config, dict) or "sweep" not in config:
            raise RunExists(f"sweep: {place} holds a run, and no sweep; choose a new or empty folder")
    else:
        foreign = [name for name in held if name not in _OWN and not name.startswith(TRIALS) and not is_partial(name)]
        if foreign:
            raise RunExists(f"sweep: {place} is not empty ({', '.join(foreign[:3])}); choose a new or empty folder")
    refuse_links(place)
    return place


def url_of(place: Path) -> str:
    """Return the URL of the database in a folder.

    **Raises:** `CheckpointError` for a name that can't be in one.
    """
    from sqlalchemy.engine import URL, make_url

    path = str(place / TRIALS)
    text = URL.create("sqlite", database=path).render_as_string()
    if make_url(text).database != path:
        raise CheckpointError(f"sweep: {place} can't be part of a URL, which a database needs; choose another folder")
    return text.replace("{", "{{").replace("}", "}}")  # Optuna fills in what stands in braces


def begin(place: Path, described: Mapping[str, Json], config: Mapping[str, Any]) -> None:
    """Write what the sweep is, once it is seen to be the one in the folder."""
    _write_json(place, "config.json", {**config, "sweep": described})
    if not (place / "versions.json").exists():
        _write_json(place, "versions.json", versions())


def keep(place: Path, sweep: Sweep, figure: bool) -> None:
    """Write table, trials, summary and figure."""
    lines = "".join(json.dumps(row) + "\n" for row in sweep.rows)
    _write(place, "trials.jsonl", lambda path: path.write_text(lines, encoding="utf-8"))
    _write(place, "table.csv", lambda path: path.write_text(sweep._csv(), encoding="utf-8"))
    has_trees = importlib.util.find_spec("sklearn") is not None
    found = sweep.importances() if has_trees else {}
    _write_json(place, "summary.json", {**_summary(sweep), "importances": found})
    (place / PROGRESS).unlink(missing_ok=True)
    if figure and found and importlib.util.find_spec("matplotlib") is not None:
        _write(place, "figure.png", sweep.figure)


def keep_progress(place: Path, sweep: Sweep) -> None:
    """Write how far a sweep is: what `summary.json` says of one that has ended."""
    _write_json(place, PROGRESS, _summary(sweep))


def _summary(sweep: Sweep) -> dict[str, Any]:
    ended = [row["ended"] for row in sweep.rows]
    done = "done" in ended
    return {
        "ended": sweep.ended,
        "settings": {kind: ended.count(kind) for kind in ("done", "pruned", "failed", "not run")},
        "metric": sweep.metric,
        "mode": sweep.mode,
        "best": sweep.best if done else None,
        "best_value": sweep.best_value if done else None,
    }


def _write_json(place: Path, name: str, value: object) -> None:
    text = json.dumps(value, indent=2, default=str) + "\n"
    _write(place, name, lambda path: path.write_text(text, encoding="utf-8"))


def _write(place: Path, name: str, save: Callable[[Path], object]) -> None:
    try:
        with replacing(place / name) as partial:
            save(partial)
    except OSError as e:
        raise CheckpointError(
            f"sweep: {name} can't be written to {place}: {e}. What is there already is whole; make room and call again"
        ) from e
