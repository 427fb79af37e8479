"""Beginning anew in the folder of a run."""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path

from ._files import is_partial
from ._folder import RunExists, check_folder

_WRITTEN = (
    "checkpoints",
    "versions.json",
    "metrics.jsonl",
    "log.txt",
    "figure.png",
    "report.html",  # `pcx report` writes it where the run is
    "summary.json",
    "config.json",
)
_WEIGHTS = re.compile(r"(weights|best)[-\w]*\.safetensors")


def check_overwrite(path: str | os.PathLike[str]) -> None:
    """Refuse a folder that holds anything beside what a run writes: only that is removed.

    **Raises:** as `check_folder`.
    """
    if not check_folder(path, "auto"):
        return
    place = Path(path)
    other = sorted(name for name in os.listdir(place) if name not in _written(place))
    if other:
        raise RunExists(
            f"{place.absolute()} holds more than a run ({', '.join(other[:3])}), and overwrite=True removes only what "
            "a run wrote: move that away, or choose another folder"
        )


def remove_run(path: str | os.PathLike[str]) -> None:
    """Remove what a run wrote, its config last, so that what is left by a kill is still a run to be overwritten."""
    place = Path(path)
    for name in _written(place):
        each = place / name
        if each.is_dir() and not each.is_symlink():
            shutil.rmtree(each)
        else:
            each.unlink(missing_ok=True)


def _written(place: Path) -> list[str]:
    held = os.listdir(place) if place.is_dir() else []
    loose = [name for name in held if _WEIGHTS.fullmatch(name) or is_partial(name)]
    return [*loose, *[name for name in _WRITTEN if name in held]]
