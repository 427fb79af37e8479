"""Files from the net: checked, and there as a whole or not at all."""

from __future__ import annotations

import hashlib
import os
import urllib.request
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path
from typing import TYPE_CHECKING

from ._dataset import DataError

if TYPE_CHECKING:
    from hashlib import _Hash
    from http.client import HTTPResponse

_STEP = 1 << 20
_SECONDS = 30  # without a byte


@dataclass(frozen=True)
class Remote:
    """A file on the net.

    **Arguments:**

    - `name`: its name there and here.
    - `bases`: addresses of folders that have it, tried in turn.
    - `checksum`: hexadecimal: SHA-256, or the MD5 that the source publishes where it publishes no other.
    """

    name: str
    bases: tuple[str, ...]
    checksum: str


def download(remote: Remote, folder: Path) -> Path:
    """Fetch a file into a folder, which is made if needed. The checksum is compared before the file gets its name,
    so that neither a broken connection nor a changed file leaves anything behind.

    **Arguments:**

    - `remote`: the file.
    - `folder`: where it goes.

    **Returns:** the path of the file.

    **Raises:** `DataError` if what came has another checksum; `OSError` if no address could be reached, or the file
    can't be written.
    """
    target = folder / remote.name
    partial = folder / f".{remote.name}.{uuid.uuid4().hex}.part"
    failures: list[str] = []
    try:
        for base in remote.bases:
            try:
                _fetch(base + remote.name, partial, remote)
            except (OSError, HTTPException, DataError) as error:
                failures.append(f"{base}{remote.name}: {error}")
                if isinstance(error, DataError) and base == remote.bases[-1]:
                    raise DataError("; ".join(failures)) from error
            else:
                os.replace(partial, target)
                return target
    finally:
        partial.unlink(missing_ok=True)
    raise OSError("; ".join(failures))


def _fetch(url: str, partial: Path, remote: Remote) -> None:
    # MD5 is no defence against someone who made the file; against damage and against a swapped file it is.
    short = len(remote.checksum) == 32
    digest = hashlib.md5(usedforsecurity=False) if short else hashlib.sha256()
    with urllib.request.urlopen(url, timeout=_SECONDS) as answer:
        partial.parent.mkdir(parents=True, exist_ok=True)  # not before there is something to put there
        _copy(answer, partial, remote.name, digest)
    if digest.hexdigest() != remote.checksum:
        kind = "MD5" if short else "SHA-256"
        raise DataError(f"what came has the {kind} {digest.hexdigest()}, not {remote.checksum}; it was thrown away")


def _copy(answer: HTTPResponse, partial: Path, name: str, digest: _Hash) -> None:
    length = answer.headers.get("Content-Length", "")
    total = int(length) if length.isdigit() else None
    with open(partial, "wb") as file, _progress(name, total) as advance:
        while part := answer.read(_STEP):
            digest.update(part)
            file.write(part)
            advance(len(part))
        file.flush()
        os.fsync(file.fileno())


@contextmanager
def _progress(name: str, total: int | None) -> Iterator[Callable[[int], object]]:
    """Show a bar on the terminal if rich is installed, else nothing."""
    try:
        from rich.console import Console
        from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn
    except ImportError:
        yield lambda count: None
        return
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeRemainingColumn())
    console = Console(stderr=True)
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task(name, total=total)
        yield lambda count: bar.advance(task, count)


def download_all(remotes: Sequence[Remote], folder: Path) -> list[Path]:
    """Fetch those files that a folder doesn't have.

    **Arguments:**

    - `remotes`: the files.
    - `folder`: where they go.

    **Returns:** their paths, in the same order.
    """
    return [path if os.path.isfile(path := folder / one.name) else download(one, folder) for one in remotes]
