"""The commit of the git repository that a program was started in, read from its files.

Git itself is not asked: it executes whatever program the configuration of the repository names (`core.fsmonitor`,
hooks, filters), and a run must not do so because of the folder that it is started in.
"""

from __future__ import annotations

import contextlib
import os
import re
import stat
from collections.abc import Iterator
from pathlib import Path

_HASH = re.compile(rb"[0-9a-f]{40}(?:[0-9a-f]{24})?")  # SHA-1 or SHA-256
_SHORT = 64 * 1024  # bytes: more than any file has that holds one line
_LINKS = 5  # symbolic references one after the other, as many as git follows


def commit(start: Path | None = None) -> str | None:
    """Return the hash of the commit that is checked out; None where there is no repository or no commit,
    or it can't be read.

    **Arguments:**

    - `start`: a folder in the repository; that of the process by default.
    """
    # ValueError: a path with a zero byte in it.
    with contextlib.suppress(OSError, ValueError):
        start = Path.cwd() if start is None else start.absolute()
        for folder in (start, *start.parents):
            own = _own(folder / ".git")
            if own is not None:
                return _resolved(own, b"HEAD")
    return None


def _own(path: Path) -> Path | None:
    """Return the folder of git's files: `.git` itself, or the one that a file of this name points to, as in worktrees
    and submodules."""
    if path.is_file():
        line = _line(path)
        path = path.parent / os.fsdecode(line.removeprefix(b"gitdir:").strip()) if line.startswith(b"gitdir:") else path
    return path if (path / "HEAD").exists() else None


def _resolved(own: Path, name: bytes) -> str | None:
    """Return the hash that a reference stands for."""
    for _ in range(_LINKS):
        found = next((line for place in _places(own) if (line := _line(place / os.fsdecode(name)))), b"")
        found = found or _packed(_places(own)[-1], name)
        if _HASH.fullmatch(found):
            return found.decode("ascii")
        name = found.removeprefix(b"ref:").strip()
        # Nothing but references is read, whatever HEAD says.
        if not found.startswith(b"ref:") or not name.startswith(b"refs/") or b".." in name.split(b"/"):
            return None
    return None


def _places(own: Path) -> list[Path]:
    """Return the folders of references: a worktree's own, and that which all worktrees share."""
    shared = _line(own / "commondir")
    return [own, own / os.fsdecode(shared)] if shared else [own]


def _packed(shared: Path, name: bytes) -> bytes:
    for line in _lines(shared / "packed-refs"):
        value, _, of = line.strip().partition(b" ")
        if of == name:
            return value
    return b""


def _line(path: Path) -> bytes:
    """Return the first line of a file; nothing if there is none."""
    return next(_lines(path, _SHORT), b"").strip()


def _lines(path: Path, most: int = -1) -> Iterator[bytes]:
    try:
        if not stat.S_ISREG(path.stat().st_mode):  # to open a pipe would wait for whoever writes to it
            return
        with path.open("rb") as file:
            if most >= 0:
                yield file.readline(most)
            else:
                yield from file
    except OSError:
        return
