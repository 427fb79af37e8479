"""Options as JSON and back, and the folders that hold them. Imports nothing heavy."""

from __future__ import annotations

import dataclasses
import json
import types
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

from ._failures import CommandError
from ._settings import CompareOptions, TrainOptions

_NOT_KEPT = ("out", "config", "resume", "quiet", "download")  # of the call, not of the run
T = TypeVar("T")


def as_json(options: Any) -> dict[str, Any]:
    """Options as JSON: all that decides what is trained."""
    values = {k: v for k, v in dataclasses.asdict(options).items() if k not in _NOT_KEPT}
    return json.loads(json.dumps(values, default=str))


def from_json(cls: type[T], values: dict[str, Any], source: Path) -> T:
    """The inverse of `as_json`; what `values` doesn't have is at its default.

    **Raises:** `CommandError` for a name that there is no option of, or a value of another form.
    """
    hints = get_type_hints(cls)
    unknown = [name for name in values if name not in hints]
    if unknown:
        raise CommandError(f"{source} has options that pcx doesn't know: {', '.join(unknown)}")
    return cls(**{name: _value(hints[name], value, name, source) for name, value in values.items()})


def _value(hint: Any, value: Any, name: str, source: Path) -> Any:
    if dataclasses.is_dataclass(hint) and isinstance(hint, type):
        if isinstance(value, dict):
            return from_json(hint, value, source)
    elif get_origin(hint) is tuple:
        if isinstance(value, list):
            return tuple([_value(get_args(hint)[0], each, name, source) for each in value])
    elif get_origin(hint) in (Union, types.UnionType):
        kinds = [kind for kind in get_args(hint) if kind is not type(None)]
        return None if value is None else _value(kinds[0], value, name, source)
    elif get_args(hint):  # a Literal
        if value in get_args(hint):
            return value
    elif hint is Path and isinstance(value, str):
        return Path(value)
    elif hint is float and isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    elif hint is not Path and type(value) is hint:
        return value
    raise CommandError(f"{source}: option {name} can't be {json.dumps(value)}")


def read_config(path: Path, cls: type[T]) -> T:
    """The options of a run, from its folder or its `config.json`.

    **Raises:** `CommandError` if there is none, or it is of another command.
    """
    file = path / "config.json" if path.is_dir() else path
    config = read_run(path)
    if "command" not in config and "made_of" in config:
        raise CommandError(
            f"{file} was written by pcx.training.fit, which doesn't keep how model and rule are built: go on with it "
            "by fit(..., resume=True), or read its weights by pcx.training.load_weights, in Python"
        )
    if config.get("command") != {TrainOptions: "train", CompareOptions: "compare"}[cls]:
        made = {"train": "pcx train", "compare": "pcx compare"}.get(config.get("command", ""), "something else")
        hint = "; the folders of its rules are such runs" if made == "pcx compare" else ""
        raise CommandError(f"{file} was written by {made}; this needs one of pcx {_command(cls)}{hint}")
    return from_json(cls, config["options"], file)


def _command(cls: type) -> str:
    return "train" if cls is TrainOptions else "compare"


def read_run(path: Path) -> dict[str, Any]:
    """The `config.json` of a run, given itself or its folder.

    **Raises:** `CommandError` if there is none, or it can't be read.
    """
    file = path / "config.json" if path.is_dir() else path
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        hint = f"{path} holds no run (no config.json)" if path.is_dir() else f"there is no {path}"
        raise CommandError(f"{hint}; pcx runs lists the runs") from error
    except (OSError, ValueError) as error:
        raise CommandError(f"{file} can't be read: {error}") from error
    if not isinstance(found, dict):
        raise CommandError(f"{file} is no config of a run")
    return found


def new_folder(out: Path | None, command: str, resume: str) -> Path:
    """The folder for a new run: `out`, or one with the date in its name. It is not made yet.

    **Arguments:** `resume`, what to say of a run that is there already.

    **Raises:** `CommandError` if something is in it.
    """
    if out is not None:
        if out.exists() and not out.is_dir():
            raise CommandError(f"{out} is a file; choose a folder with --out")
        if (out / "config.json").exists():
            raise CommandError(f"{out} holds a run already: {resume}, or choose another folder with --out")
        if out.is_dir() and any(out.iterdir()):
            raise CommandError(f"{out} is not empty; choose a new folder with --out")
        return out
    stem = Path("runs") / f"{command}-{datetime.now():%Y%m%d-%H%M%S}"
    path, count = stem, 2
    while path.exists():
        path, count = stem.with_name(f"{stem.name}-{count}"), count + 1
    return path


def option_in(args: Sequence[str], name: str) -> Path | None:
    """The value of an option among words that are not parsed yet."""
    for i, word in enumerate(args):
        if word == name and i + 1 < len(args):
            return Path(args[i + 1])
        if word.startswith(f"{name}="):
            return Path(word.partition("=")[2])
    return None
