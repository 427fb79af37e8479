"""The folder of one run: all that is needed to know what was run, with what, and what came out."""

import json
import os
import platform
import sys
from collections.abc import Callable
from datetime import datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from ..core._version import __version__
from ._options import Refused


class RunFolder:
    """A folder that holds one run and nothing else.

    `config.json` the options; `versions.json` software and device; `metrics.jsonl` one line per measurement, written as
    it is made; `log.txt`; `summary.json` and `figure.png` at the end. A file that is written in one go is there in full
    or not at all.

    **Arguments:** `path`, a folder that does not exist or is empty; `name`, for `path=None`: the folder is then
    `runs/<name>-<date>-<time>`.

    **Raises:** `Refused` if the folder holds something already or cannot be made.
    """

    def __init__(self, path: Path | None, name: str) -> None:
        try:
            self.path = _dated(name) if path is None else _given(path)
        except OSError as error:
            message = f"cannot use the folder {error.filename}: {error.strerror}; choose another with --out"
            raise Refused(message) from error

    def write(self, name: str, save: Callable[[Path], object]) -> Path:
        """Calls `save` with a temporary path and gives the file its name once it is complete."""
        target = self.path / name
        # The ending is kept: some writers choose the format by it.
        partial = target.with_name(f".{target.stem}.partial{target.suffix}")
        try:
            save(partial)
            os.replace(partial, target)
        finally:
            partial.unlink(missing_ok=True)
        return target

    def write_json(self, name: str, value: Any) -> Path:
        """Writes a value as indented JSON."""
        text = json.dumps(value, indent=2, default=str) + "\n"
        return self.write(name, lambda path: path.write_text(text, encoding="utf-8"))

    def metric(self, **values: Any) -> None:
        """Adds one line to `metrics.jsonl`. A run that is cut off keeps the lines written so far."""
        self._append("metrics.jsonl", json.dumps(values))

    def log(self, text: str) -> None:
        """Adds to `log.txt`, with the time."""
        self._append("log.txt", f"{datetime.now().isoformat(timespec='seconds')} {text}")

    def _append(self, name: str, line: str) -> None:
        with (self.path / name).open("a", encoding="utf-8") as file:
            file.write(line + "\n")


def versions() -> dict[str, Any]:
    """What a result depends on besides the options: software, platform, device. Imports JAX."""
    import jax

    packages = {}
    for package in ("jax", "jaxlib", "equinox", "optax", "numpy", "scikit-learn"):
        try:
            packages[package] = version(package)
        except PackageNotFoundError:
            packages[package] = None
    devices = jax.devices()
    return {
        "pcx": __version__,
        "python": sys.version.split()[0],
        "platform": platform.platform(),
        "machine": platform.machine(),
        "cpus": os.cpu_count(),
        "packages": packages,
        "backend": jax.default_backend(),
        "device": devices[0].device_kind,
        "devices": len(devices),
    }


def _given(path: Path) -> Path:
    path.mkdir(parents=True, exist_ok=True)
    if any(path.iterdir()):
        raise Refused(f"the folder {path} is not empty; a run is not mixed into another: choose another with --out")
    return path


def _dated(name: str) -> Path:
    stem = Path("runs") / f"{name}-{datetime.now():%Y%m%d-%H%M%S}"
    stem.parent.mkdir(parents=True, exist_ok=True)
    count = 1
    while True:
        path = stem if count == 1 else stem.with_name(f"{stem.name}-{count}")
        try:
            path.mkdir()  # fails if another run took the name in the same second
        except FileExistsError:
            count += 1
        else:
            return path
