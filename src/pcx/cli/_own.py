"""Networks, learning rules and energies of one's own: `file.py:name` or `module:name`. Imports nothing heavy."""

from __future__ import annotations

import dataclasses
import hashlib
import importlib
import importlib.util
import inspect
import sys
import types
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from ._failures import CommandError, Refused
from ._settings import Experiment, is_own

T = TypeVar("T", bound=Experiment)


def settled(options: T) -> T:
    """Return the options with the files that they name by absolute path, so that a run goes on wherever one is."""
    changed: dict[str, Any] = {"model": _absolute(options.model), "energy": _absolute(options.energy)}
    if hasattr(options, "rule"):
        changed["rule"] = _absolute(getattr(options, "rule"))  # noqa: B009  # not of every experiment
    else:
        changed["rules"] = tuple(map(_absolute, options.used_rules))
    return dataclasses.replace(options, **changed)


def sources(options: Experiment) -> dict[str, str]:
    """Return the files that networks, energies and rules of one's own come from, with the SHA-256 of each, for
    `config.json`."""
    found = {}
    for name in (options.model, options.energy, *options.used_rules):
        if is_own(name):
            path = _file(name)
            found[str(path)] = hashlib.sha256(_content(name, path)).hexdigest()
    return found


def check_sources(recorded: object, config: Path) -> None:
    """Raises `CommandError` if a file is not what it was when the run was begun."""
    for name, digest in recorded.items() if isinstance(recorded, Mapping) else ():
        if hashlib.sha256(_content(name, Path(name))).hexdigest() != digest:
            raise CommandError(f"{name} has changed since the run of {config} was begun; begin another run")


def load(name: str, option: str) -> Any:
    """Return the object that `file.py:name` or `module:name` stands for.

    **Raises:** `Refused` if there is none.
    """
    place, _, attribute = name.rpartition(":")
    try:
        module = _executed(name) if place.endswith(".py") else importlib.import_module(place)
    except CommandError:
        raise
    except (Exception, SystemExit) as error:  # whatever the user's own code does
        raise Refused(f"{option} {name}: {type(error).__name__}: {error}{_beside(place, error)}") from error
    found = module
    for part in attribute.split("."):
        if not hasattr(found, part):
            raise Refused(f"{option} {name}: there is no {attribute} in {place}")
        found = getattr(found, part)
    return found


def _beside(place: str, error: BaseException) -> str:
    """Return what to do if a file imports another one that lies beside it, in words; nothing otherwise."""
    if not isinstance(error, ModuleNotFoundError) or not error.name or not place.endswith(".py"):
        return ""
    folder = Path(place).absolute().parent
    part = error.name.partition(".")[0]
    if not (folder / f"{part}.py").is_file() and not (folder / part).is_dir():
        return ""
    return f"; it lies beside that file, where Python does not look: set PYTHONPATH={folder}"


def call(made: Callable[..., Any], name: str, option: str, known: Mapping[str, Any]) -> Any:
    """Return what a function or class gives, called with those of the known arguments that it asks for by name.

    **Raises:** `Refused` if it can't be called so.
    """
    found = parameters(made, name, option).values()
    given = {p.name: known[p.name] for p in found if p.name in known and p.kind is not p.POSITIONAL_ONLY}
    kinds = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    missing = [p.name for p in found if p.name not in given and p.default is p.empty and p.kind not in kinds]
    if missing:
        there = f"those of {', '.join(known)} that it asks for" if known else "nothing"
        raise Refused(f"{option} {name} needs {', '.join(missing)}; it is called with {there}")
    try:
        return made(**given)
    except Exception as error:  # whatever the user's own code does
        raise Refused(f"{option} {name}: {type(error).__name__}: {error}") from error


def parameters(made: Callable[..., Any], name: str, option: str) -> Mapping[str, inspect.Parameter]:
    """Return the parameters of a function or class, by name.

    **Raises:** `Refused` if it is none.
    """
    try:
        return inspect.signature(made).parameters
    except (TypeError, ValueError) as error:
        raise Refused(f"{option} {name} can't be called: {error}") from error


def _absolute(name: str) -> str:
    place, _, attribute = name.rpartition(":")
    return f"{Path(place).absolute()}:{attribute}" if is_own(name) and place.endswith(".py") else name


def _file(name: str) -> Path:
    place = name.rpartition(":")[0]
    if place.endswith(".py"):
        return Path(place)
    try:
        found = importlib.util.find_spec(place)
    except (ImportError, ValueError) as error:
        raise Refused(f"{name}: {error}") from error
    if found is None or not found.origin:
        raise Refused(f"{name}: there is no module {place}; for a file, give its path: {place}.py:...")
    return Path(found.origin)


def _content(name: str, path: Path) -> bytes:
    try:
        if not path.is_file():
            raise Refused(f"{name}: there is no file {path}")
        return path.read_bytes()
    except OSError as error:
        raise Refused(f"{name}: {path} can't be read: {error.strerror}") from error


def _executed(name: str) -> types.ModuleType:
    """The module of a file, executed once for each content. Where Python looks for modules stays as it is."""
    path = _file(name).absolute()
    code = _content(name, path)
    key = f"_pcx_own_{hashlib.sha256(str(path).encode(errors='surrogateescape') + code).hexdigest()[:16]}"
    if key not in sys.modules:
        module = types.ModuleType(path.stem)  # its name is part of what a run is made of, and no path
        module.__file__ = str(path)
        sys.modules[key] = module
        hidden = sys.modules.get(path.stem)
        sys.modules[path.stem] = module  # dataclasses look for their module there
        try:
            exec(compile(code, str(path), "exec"), module.__dict__)
        except BaseException:
            del sys.modules[key]
            raise
        finally:
            if hidden is None:
                sys.modules.pop(path.stem, None)
            else:
                sys.modules[path.stem] = hidden
    return sys.modules[key]
