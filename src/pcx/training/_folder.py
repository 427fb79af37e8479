"""The folder of one run: all that is needed to know what was run, with what, and what came out."""

from __future__ import annotations

import contextlib
import json
import os
import platform
import sys
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Literal

from ..core import __version__
from ..data import given_path
from ._commit import commit
from ._files import CheckpointError, append, is_partial, refuse_links, replacing
from ._processes import Processes
from ._types import Row


class RunExists(FileExistsError):
    """The folder holds a run already."""


class Folder:
    """A folder that holds one run and nothing else.

    `config.json`, `versions.json`, `metrics.jsonl` (one line for each epoch and network), `log.txt`, `checkpoints/`,
    `weights*.safetensors`. A file that is written in one go is there in full or not at all.

    Nothing is written through a link: one in a folder that someone else handed over could lead anywhere.

    **Arguments:**

    - `path`: the folder.
    - `resume`: whether a run in it is to go on, see `check_folder`; `resumed` says whether there is one.
    - `processes`: that train the run. The first of them writes, for all.

    **Raises:** as `check_folder`.
    """

    def __init__(
        self, path: str | os.PathLike[str], resume: bool | Literal["auto"], processes: Processes | None = None
    ) -> None:
        processes = processes or Processes()
        self.resumed, self._writes = check_folder(path, resume), processes.writes
        processes.meet()  # all have looked into it, before anything changes there
        self.path = given_path("Folder: path", path).absolute()
        if not self._writes:
            return
        self.path.mkdir(parents=True, exist_ok=True)
        if not self.resumed:
            for left in filter(is_partial, os.listdir(self.path)):
                (self.path / left).unlink()

    def write(self, name: str, save: Callable[[Path], object]) -> Path:
        """Call `save` with a temporary path, and give the file its name once it is complete and on the disk.

        **Raises:** `CheckpointError` if that fails; a file that was there under this name stays as it is.
        """
        target = self.path / name
        if self._writes:
            with self._told(name), replacing(target) as partial:
                save(partial)
        return target

    def write_json(self, name: str, value: object) -> Path:
        """Write a value as indented JSON."""
        text = json.dumps(value, indent=2, default=str) + "\n"
        return self.write(name, lambda path: path.write_text(text, encoding="utf-8"))

    def read_json(self, name: str) -> Any:
        """Read a JSON file of the folder.

        **Raises:** `CheckpointError` if it can't be read.
        """
        return read_json(self.path / name)

    def metrics(self, rows: Iterable[Row], fresh: bool = False) -> None:
        """Add rows to `metrics.jsonl`; with `fresh` they are all it holds from now on."""
        text = "".join(json.dumps(row) + "\n" for row in rows)
        if fresh:
            self.write("metrics.jsonl", lambda path: path.write_text(text, encoding="utf-8"))
        else:
            self._append("metrics.jsonl", text)

    def log(self, text: str, by_any: bool = False) -> None:
        """Add to `log.txt`, with the time; with `by_any` whichever process this is."""
        text = text.encode("utf-8", "backslashreplace").decode()  # a path may be no text
        self._append("log.txt", f"{datetime.now().isoformat(timespec='seconds')} {text}\n", by_any)

    def _append(self, name: str, text: str, by_any: bool = False) -> None:
        if self._writes or by_any:
            with self._told(name):
                append(self.path / name, text)

    @contextlib.contextmanager
    def _told(self, name: str) -> Iterator[None]:
        try:
            yield
        except Exception as e:  # the file system's, or that of whoever writes the file
            raise CheckpointError(
                f"{name} can't be written to {self.path}: {e}. What is there already is whole; make room and resume"
            ) from e


def read_json(path: Path) -> Any:
    """Read a JSON file's value.

    **Raises:** `CheckpointError` if it can't be read.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as e:
        raise CheckpointError(f"{path.name} in {path.parent} can't be read: {e}") from e


def check_folder(path: str | os.PathLike[str], resume: bool | Literal["auto"]) -> bool:
    """Return whether there is a run in the folder that is to go on; otherwise one can begin there.

    **Arguments:**

    - `resume`: False: there must be no run. True or `"auto"`: one that is there goes on, and in a new or empty folder
        one begins.

    **Raises:** `RunExists` if it holds a run that isn't to go on, or anything that is no run; `FileNotFoundError` if
    it holds something else and `resume` is True; `CheckpointError` if it holds links.
    """
    if resume not in (True, False, "auto"):
        raise ValueError(f"resume must be True, False or 'auto', got {resume!r}")
    path = Path(path).absolute()
    if path.exists() and not path.is_dir():
        raise RunExists(f"{path} is a file; choose a folder")
    if (path / "config.json").is_file():
        if not resume:
            raise RunExists(
                f"{path} holds a run already: give resume=True to go on with it (resume='auto': go on if there is a "
                "run, else begin), overwrite=True to remove it and begin anew, or another folder"
            )
        refuse_links(path)
        return True
    # Where a run is asked to go on or begin, runs may lie in folders beside its files.
    held = [name for name in foreign(path) if not (resume and (path / name / "config.json").is_file())]
    if held and resume is True:
        raise FileNotFoundError(f"{path} holds no run to resume (no config.json)")
    if held:
        raise RunExists(f"{path} is not empty ({', '.join(held[:3])}); choose a new or empty folder")
    return False


def foreign(path: Path) -> list[str]:
    """Return what a folder holds, but for what a run leaves that was killed, or had no room, before it had its
    config."""
    held = sorted(p.name for p in path.iterdir()) if path.is_dir() else []
    return [name for name in held if name != "versions.json" and not is_partial(name)]


_PACKAGES = ("jax", "jaxlib", "equinox", "optax", "orbax-checkpoint", "numpy", "scikit-learn")


def versions() -> dict[str, Any]:
    """Return what a result depends on besides its options: software, platform, device, and the commit of the git
    repository that the program was started in, if there is one. No other program is run to find that out."""
    import jax

    packages = {}
    for package in _PACKAGES:
        try:
            packages[package] = version(package)
        except PackageNotFoundError:
            packages[package] = None
    device, found = jax.devices()[0], commit()
    return {
        "pcx": __version__,
        "python": sys.version.split()[0],
        "platform": platform.platform(),
        "cpus": os.cpu_count(),
        "backend": device.platform,
        "device": device.device_kind,
        "device_count": jax.device_count(),
        "process_count": jax.process_count(),
        "packages": packages,
        "git": None if found is None else {"commit": found},
    }
