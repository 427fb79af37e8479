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
from typing import Any

from ..core._version import __version__
from ._checkpoint import CheckpointError
from ._commit import commit


class RunExists(FileExistsError):
    """The folder holds a run already."""


class Folder:
    """A folder that holds one run and nothing else.

    `config.json`, `versions.json`, `metrics.jsonl` (one line for each epoch and network), `log.txt`, `checkpoints/`,
    `weights*.safetensors`. A file that is written in one go is there in full or not at all.

    **Arguments:**

    - `path`: the folder.
    - `resume`: whether a run in it is to go on.

    **Raises:** `RunExists` if it holds a run and `resume` is False, or anything that is no run; `FileNotFoundError` if
    it holds none and `resume` is True.
    """

    def __init__(self, path: str | os.PathLike[str], resume: bool) -> None:
        check_folder(path, resume)
        self.path, self.resumed = Path(path).absolute(), resume
        self.path.mkdir(parents=True, exist_ok=True)

    def write(self, name: str, save: Callable[[Path], object]) -> Path:
        """Call `save` with a temporary path, and give the file its name once it is complete and on the disk.

        **Raises:** `CheckpointError` if that fails; a file that was there under this name stays as it is.
        """
        target = self.path / name
        partial = target.with_name(f".{target.stem}.partial{target.suffix}")
        with self._told(name):
            try:
                save(partial)
                with partial.open("rb") as file:
                    os.fsync(file.fileno())
                os.replace(partial, target)
            finally:
                partial.unlink(missing_ok=True)
        return target

    def write_json(self, name: str, value: Any) -> Path:
        """Write a value as indented JSON."""
        text = json.dumps(value, indent=2, default=str) + "\n"
        return self.write(name, lambda path: path.write_text(text, encoding="utf-8"))

    def read_json(self, name: str) -> Any:
        """Read a JSON file of the folder."""
        return json.loads((self.path / name).read_text(encoding="utf-8"))

    def metrics(self, rows: Iterable[dict[str, Any]], fresh: bool = False) -> None:
        """Add rows to `metrics.jsonl`; with `fresh` they are all it holds from now on."""
        text = "".join(json.dumps(row) + "\n" for row in rows)
        if fresh:
            self.write("metrics.jsonl", lambda path: path.write_text(text, encoding="utf-8"))
        else:
            self._append("metrics.jsonl", text)

    def log(self, text: str) -> None:
        """Add to `log.txt`, with the time."""
        self._append("log.txt", f"{datetime.now().isoformat(timespec='seconds')} {text}\n")

    def _append(self, name: str, text: str) -> None:
        with self._told(name), (self.path / name).open("a", encoding="utf-8") as file:
            file.write(text)

    @contextlib.contextmanager
    def _told(self, name: str) -> Iterator[None]:
        try:
            yield
        except Exception as e:  # the file system's, or that of whoever writes the file
            raise CheckpointError(
                f"{name} can't be written to {self.path}: {e}. What is there already is whole; make room and resume"
            ) from e


def check_folder(path: str | os.PathLike[str], resume: bool) -> None:
    """Refuse a folder that a run can't begin in, or be resumed in.

    **Raises:** as `Folder`.
    """
    path = Path(path).absolute()
    if path.exists() and not path.is_dir():
        raise RunExists(f"{path} is a file; choose a folder")
    held = sorted(p.name for p in path.iterdir()) if path.is_dir() else []
    is_run = "config.json" in held
    if resume and not is_run:
        raise FileNotFoundError(f"{path} holds no run to resume (no config.json)")
    if resume:
        return
    if is_run:
        raise RunExists(f"{path} holds a run already: give resume=True to go on with it, or another folder")
    # A run that was killed before it had its config leaves these.
    held = [name for name in held if name not in ("versions.json", ".versions.partial.json", ".config.partial.json")]
    if held:
        raise RunExists(f"{path} is not empty ({', '.join(held[:3])}); choose a new or empty folder")


_PACKAGES = ("jax", "jaxlib", "equinox", "optax", "orbax-checkpoint", "numpy", "scikit-learn")


def versions() -> dict[str, Any]:
    """What a result depends on besides its options: software, platform, device, and the commit of the git repository
    that the program was started in, if there is one. No other program is run to find that out."""
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
        "packages": packages,
        "git": None if found is None else {"commit": found},
    }
