"""Options as JSON and back, and the folders that hold them. Imports nothing heavy."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import shlex
import types
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

from ._failures import CommandError, Refused
from ._job import JOB
from ._programs import PROGRAMS
from ._settings import Experiment, is_own

_NOT_KEPT = ("out", "config", "resume", "quiet", "download", *JOB, *PROGRAMS)  # of the call, not of the run
T = TypeVar("T")


def as_json(options: Any) -> dict[str, Any]:
    """Options as JSON: all that decides what is trained."""
    values = {k: v for k, v in dataclasses.asdict(options).items() if k not in _NOT_KEPT}
    return json.loads(json.dumps(values, default=str))


def from_json(cls: type[T], values: dict[str, Any], source: Path) -> T:
    """Return options from JSON, the inverse of `as_json`; what `values` doesn't have is at its default.

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
        if str in kinds and isinstance(value, str) and is_own(value):
            return value
        if value is None:
            return None
        kinds = [kind for kind in kinds if kind is not str] or kinds  # beside others it stands for one's own
        for kind in kinds[:-1]:
            with contextlib.suppress(CommandError):
                return _value(kind, value, name, source)
        return _value(kinds[-1], value, name, source)
    elif get_args(hint):  # a Literal
        if value in get_args(hint):
            return value
    elif hint is Path and isinstance(value, str):
        return Path(value)
    elif hint is float and isinstance(value, int | float) and not isinstance(value, bool):
        with contextlib.suppress(OverflowError):
            return float(value)
    elif hint is not Path and type(value) is hint:
        return value
    raise CommandError(f"{source}: option {name} can't be {_short(value)}")


def _short(value: object) -> str:
    text = json.dumps(value)
    return text if len(text) <= 60 else f"{text[:56]} ..."


def read_config(path: Path, cls: type[T], checked: bool = True, resumes: bool = False) -> T:
    """Read the options of a run, from its folder or its `config.json`.

    **Arguments:**

    - `checked`: whether values that can't be used are refused.
    - `resumes`: whether the run is to go on; then what another command began is told its own way to do so.

    **Raises:** `CommandError` if there is none, or it is of another command, or can't be used.
    """
    config = read_run(path)
    file = path / "config.json" if path.is_dir() else path
    command, options = config.get("command"), config.get("options")
    if command is None and "made_of" in config:
        raise CommandError(
            f"{file} was written by pcx.training.fit, which doesn't keep how model and rule are built: in Python, go "
            "on with it by fit(..., resume=True), or have its network by pcx.training.load_run(folder, model, rule)"
        )
    if command != _command(cls):
        made = f"pcx {command}" if command in ("train", "compare", "sweep", "run") else "something else"
        hint = "; the folders of its rules are such runs" if command == "compare" else ""
        if command == "sweep" and _command(cls) == "train":
            hint = f"; {file.with_name('best.json')} is one, of its best setting"
        if resumes and command in ("compare", "sweep", "run"):
            name = f" {config.get('experiment', 'NAME')}" if command == "run" else ""
            hint = f"; go on with it by: pcx {command}{name} --out {shlex.quote(str(file.parent))} --resume"
        raise CommandError(f"{file} was written by {made}; this needs one of pcx {_command(cls)}{hint}")
    if not isinstance(options, dict):
        raise CommandError(f"{file} has no options; it can't be gone on with, or begun with")
    made = from_json(cls, options, file)
    if checked and isinstance(made, Experiment):
        try:
            made.check()
        except Refused as error:
            raise CommandError(f"{file}: {error}") from error
        from ._own import check_sources

        check_sources(config.get("own"), file)
    return made


def _command(cls: type) -> str:
    return cls.__name__.removesuffix("Options").lower()


def command_of(path: Path) -> object:
    """Return which command a `config.json` is of, given itself or its folder.

    **Raises:** `CommandError` if there is none, or it can't be read.
    """
    return read_run(path).get("command")


def read_run(path: Path) -> dict[str, Any]:
    """Read the `config.json` of a run, given itself or its folder.

    **Raises:** `CommandError` if there is none, or it can't be read.
    """
    try:
        file = path / "config.json" if path.is_dir() else path
    except OSError as error:
        raise CommandError(f"{path} can't be read: {error.strerror}") from error
    try:
        if file.exists() and not file.is_file():  # to read a pipe would wait for whoever writes to it
            raise CommandError(f"{file} is no file")
        found = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        hint = f"{path} holds no run (no config.json)" if path.is_dir() else f"there is no {path}"
        raise CommandError(f"{hint}; pcx runs lists the runs") from error
    except (OSError, ValueError, RecursionError) as error:
        raise CommandError(f"{file} can't be read: {error}") from error
    if not isinstance(found, dict):
        raise CommandError(f"{file} is no config of a run")
    return found


def new_folder(out: Path | None, command: str, resume: str) -> Path:
    """Return the folder for a new run: `out`, or one with the date in its name. It is not made yet.

    **Arguments:**

    - `resume`: what to say of a run that is there already.

    **Raises:** `CommandError` if something is in it.
    """
    if out is not None:
        try:
            os.fsencode(out.absolute()).decode()
            out.exists()
            if "\0" in str(out):
                raise CommandError("--out: no name holds a zero byte; choose another")
        except UnicodeError:
            raise CommandError(
                f"{out}: the path is no UTF-8, which checkpoints need; choose another with --out"
            ) from None
        except OSError as error:
            raise CommandError(f"{out} can't be used: {error.strerror}; choose another folder with --out") from error
        if out.exists() and not out.is_dir():
            raise CommandError(f"{out} is a file; choose a folder with --out")
        if (out / "config.json").exists():
            raise CommandError(f"{out} holds a run already: {resume}, or choose another folder with --out")
        from ..training import foreign  # imports JAX

        if foreign(out):
            raise CommandError(f"{out} is not empty; choose a new folder with --out")
        return out
    stem = Path("runs") / f"{command}-{datetime.now():%Y%m%d-%H%M%S}"
    path, count = stem, 2
    while path.exists():
        path, count = stem.with_name(f"{stem.name}-{count}"), count + 1
    return path


def option_in(args: Sequence[str], name: str) -> Path | None:
    """Return the value of an option among words that are not parsed yet."""
    for i, word in enumerate(args):
        if word == name and i + 1 < len(args):
            return Path(args[i + 1])
        if word.startswith(f"{name}="):
            return Path(word.partition("=")[2])
    return None
