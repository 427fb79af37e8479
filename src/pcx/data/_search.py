"""The folders in which the files of a data set may be, and the error when they are nowhere."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ._paths import given_path

VARIABLE = "PCX_DATA"
_SYSTEM = ("/usr/share/datasets", "/usr/local/share/datasets", "/data", "/datasets")


@dataclass(frozen=True)
class Wanted:
    """The files of a data set.

    **Arguments:**

    - `call`, `name`: for messages: the public function, the data set.
    - `forms`: the ways in which the data set may be there. Each is a tuple of files, each file a tuple of names that
      it may have.
    - `folders`: usual names of its folder, below the folders that are searched; the first is the one in the cache.
    - `unread`: names, of files or folders, of a form that exists but isn't read.
    """

    call: str
    name: str
    forms: tuple[tuple[tuple[str, ...], ...], ...]
    folders: tuple[str, ...]
    unread: tuple[str, ...] = ()


def cache_folder() -> Path:
    """Return the folder for downloads, in the user's cache: `$XDG_CACHE_HOME/pcx/data`, else the cache of the platform.

    **Returns:** a path, whether there is such a folder or not.
    """
    given = os.environ.get("XDG_CACHE_HOME", "")
    if os.path.isabs(given):  # the XDG specification has relative ones ignored
        base = Path(given)
    elif sys.platform == "win32":
        base = Path(os.environ.get("LOCALAPPDATA") or _path("~/AppData/Local"))
    elif sys.platform == "darwin":
        base = _path("~/Library/Caches")
    else:
        base = _path("~/.cache")
    return base / "pcx" / "data"


def search_path(folder: str | os.PathLike[str] | None = None) -> list[Path]:
    """Return the folders that are searched, in this order: `folder`; those in the environment variable `PCX_DATA`,
    separated as in PATH; the user's cache; the system's folders for data sets; `data` in the working directory.

    **Arguments:**

    - `folder`: the one to search first, if any.

    **Returns:** paths, whether there are such folders or not.

    **Raises:** `ValueError` for an empty `folder`.
    """
    named = [_path(part) for part in os.environ.get(VARIABLE, "").split(os.pathsep) if part]
    first = [] if folder is None else [_path(folder)]
    found = [*first, *named, cache_folder(), *map(Path, _SYSTEM), Path("data")]
    return list(dict.fromkeys(found))


def find(wanted: Wanted, folder: str | os.PathLike[str] | None = None) -> list[Path] | None:
    """Find the files of a data set: those of the first place that has all of a form.

    In each folder of the search path the data set's usual subfolders come first, then the folder itself.

    **Arguments:**

    - `wanted`: the data set.
    - `folder`: the one to search first, if any.

    **Returns:** the files in the order of the form; None if there is no such place.

    **Raises:** `FileNotFoundError` if `folder` is given and isn't there: most likely a slip, and going on would read
    other files than were meant.
    """
    if folder is not None and not os.path.isdir(_path(folder)):
        raise FileNotFoundError(f"{wanted.call}: folder={os.fspath(folder)!r} is not a folder")
    for place in _places(wanted, folder):
        for form in wanted.forms:
            paths = [_one_of(place, names) for names in form]
            if all(paths):
                return [path for path in paths if path]
    return None


def not_found(wanted: Wanted, folder: str | os.PathLike[str] | None, sources: Sequence[str], tail: str) -> str:
    """Return the message for a data set that is nowhere: which files, where they were looked for, where they come from.

    **Arguments:**

    - `wanted`, `folder`: as in `find`.
    - `sources`: the folders on the net.
    - `tail`: what to do, added to "Put them into ... or".

    **Returns:** several lines.
    """
    forms = [", ".join(names[0] for names in form) for form in wanted.forms]
    lines = [
        f"{wanted.call}: the files of {wanted.name} were not found. Needed in one folder: {'; or '.join(forms)}",
        f"Searched, each with the subfolders {', '.join(wanted.folders)}:",
    ]
    lines += [f"  {base}{'' if os.path.isdir(base) else ' (no such folder)'}" for base in search_path(folder)]
    for place in _places(wanted, folder):
        lines += [f"  {place} has only {', '.join(part)}" for part in _parts_there(wanted, place)]
        there = [name for name in wanted.unread if os.path.exists(place / name)]
        lines += [f"  {place / name} is pickles, which are not read: they can run code" for name in there]
    lines += [
        f"Put them into one of these folders, give theirs as folder= or in {VARIABLE}, or {tail}",
        f"They come from {' or '.join(sources)}",
        "More: docs/troubleshooting.md#data-are-not-found-or-damaged",
    ]
    return "\n".join(lines)


def _path(name: str | os.PathLike[str]) -> Path:
    return Path(os.path.expanduser(given_path("folder", name)))  # unlike Path.expanduser, it does without a home


def _places(wanted: Wanted, folder: str | os.PathLike[str] | None) -> list[Path]:
    return [base / part for base in search_path(folder) for part in (*wanted.folders, ".")]


def _one_of(place: Path, names: tuple[str, ...]) -> Path | None:
    # os.path.isfile takes what may not be looked at for absent, as the rest of the search needs it.
    return next((place / name for name in names if os.path.isfile(place / name)), None)


def _parts_there(wanted: Wanted, place: Path) -> list[list[str]]:
    found = [[path.name for names in form if (path := _one_of(place, names))] for form in wanted.forms]
    return [names for names in found if names]
