"""Checksums of all files of a folder."""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import dataclass, field
from pathlib import Path

from ...training import Folder

SUMS = "sums.json"


@dataclass(frozen=True)
class Sums:
    """The findings of comparing a folder with its checksums.

    **Arguments:**

    - `whole`: how many files are as they were.
    - `changed`, `missing`: names of files that are not.
    - `added`: names of files that were not there when the folder was sealed.
    """

    whole: int = 0
    changed: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    added: list[str] = field(default_factory=list)


def sums_of(folder: Path) -> dict[str, str]:
    """Return the SHA-256 of each file of a folder by its path in it, but for that of the checksums.

    **Arguments:**

    - `folder`: the folder; nothing is read through a link in it.

    **Returns:** 64 hexadecimal digits for each; for what is no plain file, such as a link, `"no plain file"`.
    """
    found = {}
    for inside, folders, files in os.walk(folder):
        folders.sort()
        for name in sorted([*files, *[each for each in folders if (Path(inside) / each).is_symlink()]]):
            path = Path(inside) / name
            relative = path.relative_to(folder).as_posix()
            if relative != SUMS:
                found[relative] = _sha256(path)
    return found


def seal(folder: Folder) -> None:
    """Write the checksums of all files of a folder: the last thing that happens in it.

    **Arguments:**

    - `folder`: the folder.
    """
    folder.write_json(SUMS, {"sha256": True, "files": sums_of(folder.path)})


def check_sums(folder: Path) -> Sums:
    """Compare the files of a folder with its checksums.

    **Arguments:**

    - `folder`: with a `sums.json`.

    **Returns:** what differs.

    **Raises:** `ValueError` if there are no checksums that can be read.
    """
    try:
        was = json.loads((folder / SUMS).read_text(encoding="utf-8"))["files"]
        assert isinstance(was, dict)
    except (AssertionError, KeyError, OSError, TypeError, ValueError) as e:
        raise ValueError(f"{folder / SUMS} can't be read: {e}") from e
    now = sums_of(folder)
    return Sums(
        sum(now.get(name) == digest for name, digest in was.items()),
        [name for name, digest in was.items() if name in now and now[name] != digest],
        [name for name in was if name not in now],
        [name for name in now if name not in was],
    )


def _sha256(path: Path) -> str:
    if path.is_symlink() or not path.is_file():
        return "no plain file"
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
