"""Files that are there in full or not at all, and are never written through a link."""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import stat
from collections.abc import Iterator
from pathlib import Path

_NO_LINK = getattr(os, "O_NOFOLLOW", 0)
_PARTIAL = re.compile(r"\.([0-9a-f]{16}|versions|config)\.partial(\..*)?")


class CheckpointError(RuntimeError):
    """A checkpoint that can't be written, read, or used."""


@contextlib.contextmanager
def replacing(target: Path) -> Iterator[Path]:
    """Make a new empty file beside `target`, which takes its name at the end: once it is complete and on the disk.

    Nobody can have put a link in its place: its name can't be guessed, and it is opened only where nothing is. A link
    under the name of `target` is replaced, not followed.
    """
    partial = target.with_name(f".{secrets.token_hex(8)}.partial{target.suffix}")
    os.close(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL | _NO_LINK, 0o666))
    try:
        yield partial
        with partial.open("rb") as file:
            os.fsync(file.fileno())
        os.replace(partial, target)
    finally:
        partial.unlink(missing_ok=True)


def is_partial(name: str) -> bool:
    """Return whether a file's name is one that `replacing` gives, or gave once: what a killed process left."""
    return _PARTIAL.fullmatch(name) is not None


def append(path: Path, text: str) -> None:
    """Add to a file, which is made if need be. Of one that has other names, too, a copy takes its place.

    **Raises:** `OSError` if it is a symbolic link, no plain file, or can't be written.
    """
    # Without waiting: to open a pipe that nobody reads would never end.
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | _NO_LINK | getattr(os, "O_NONBLOCK", 0)
    with os.fdopen(os.open(path, flags, 0o666), "a", encoding="utf-8") as file:
        found = os.fstat(file.fileno())
        if not stat.S_ISREG(found.st_mode):
            raise OSError(f"{path.name} is no plain file")
        if found.st_nlink == 1:
            file.write(text)
            return
    with replacing(path) as partial:
        partial.write_bytes(path.read_bytes() + text.encode())


def refuse_links(folder: Path) -> None:
    """Refuse a folder with anything in it, at any depth, but plain files and folders.

    **Raises:** `CheckpointError` naming the first.
    """
    for inside, folders, files in os.walk(folder):
        for name in sorted([*folders, *files]):
            path = Path(inside) / name
            mode = path.lstat().st_mode
            if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
                kind = "a link" if stat.S_ISLNK(mode) else "no plain file"
                raise CheckpointError(
                    f"{path.relative_to(folder)} in {folder} is {kind}, and nothing is written through one: put what "
                    "it stands for in its place, or remove it"
                )
