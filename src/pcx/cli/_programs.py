"""Compiled programs that are kept, so that the same training starts sooner next time. Imports nothing heavy."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import os
import platform
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ._failures import complain

VARIABLE = "PCX_COMPILE_CACHE"
_OFF = "off"
_LOG = "TF_CPP_MIN_LOG_LEVEL"
_MOST = 2**30  # bytes in the user's cache


@dataclass(frozen=True)
class Programs:
    """The place where compiled programs are kept."""

    compile_cache: Path | None = None
    """Folder for compiled programs, made if need be: the same training starts sooner next time. off: keep none. If left
    out, the folder that PCX_COMPILE_CACHE names, or pcx/programs in the user's cache if there is a folder pcx in it."""


PROGRAMS = tuple(f.name for f in dataclasses.fields(Programs))
"""The names of these options: of the call, not of the run."""


@contextlib.contextmanager
def kept_programs(options: Programs) -> Iterator[None]:
    """Keep compiled programs while a command runs, by JAX's persistent compilation cache. A folder that can't be used
    is said on stderr, and the command runs without."""
    folder = _chosen(options.compile_cache)
    if folder is None:
        yield
        return
    if folder != Path(_OFF):
        # A program is made for the processor. JAX does not tell these apart, and homes are shared.
        folder = folder / _processor()
        why = _unusable(folder)
        if why is not None:
            complain(f"pcx: warning: compiled programs are not kept, nor used again: {why}")
            folder = Path(_OFF)
    with _settings(folder):
        yield


def _chosen(given: Path | None) -> Path | None:
    """Return the folder to keep programs in, `off` for none; None to leave all as JAX itself is told to."""
    if given is not None:
        return given
    named = os.environ.get(VARIABLE, "")
    if named:
        return Path(named)
    if os.environ.get("JAX_COMPILATION_CACHE_DIR"):
        return None
    from ..data import cache_folder

    ours = cache_folder().parent
    if not ours.is_dir():  # nothing was ever put there, so nothing is now
        return None
    folder = ours / "programs"
    with contextlib.suppress(OSError):
        _make_room(folder)
    return folder


def _unusable(folder: Path) -> str | None:
    """Return why nothing can be written into a folder; None if it can."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return None
    except OSError as error:
        return f"{folder}: {error.strerror or error}"


@contextlib.contextmanager
def _settings(folder: Path) -> Iterator[None]:
    """Have JAX keep programs in a folder, or none if it is `off`; afterwards all is as it was."""
    if "jax" not in sys.modules and folder != Path(_OFF) and os.environ.get(_LOG, "1") == "1":  # as JAX sets it
        # XLA complains in pages of text that its own settings for code are no features of the processor.
        os.environ[_LOG] = "3"
    import jax
    from jax.experimental.compilation_cache import compilation_cache

    wanted: dict[str, Any] = {"jax_enable_compilation_cache": folder != Path(_OFF)}
    if folder != Path(_OFF):
        # Small programs, too: a training has dozens of them.
        wanted |= {
            "jax_compilation_cache_dir": str(folder.absolute()),
            "jax_persistent_cache_min_compile_time_secs": 0.0,
            "jax_persistent_cache_min_entry_size_bytes": -1,
        }
    config: Any = jax.config
    before = {name: getattr(config, name) for name in wanted}
    try:
        for name, value in wanted.items():
            config.update(name, value)
        compilation_cache.reset_cache()  # JAX looks at its settings once
        yield
    finally:
        for name, value in before.items():
            config.update(name, value)
        compilation_cache.reset_cache()


def _processor() -> str:
    """Return a name for the kind of processor."""
    facts = [platform.machine(), platform.processor()]
    with contextlib.suppress(OSError):
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
        facts += sorted(
            {line for line in lines if line.partition(":")[0].strip() in ("flags", "Features", "model name")}
        )
    return hashlib.sha256("\n".join(facts).encode()).hexdigest()[:12]


def _make_room(folder: Path) -> None:
    """Remove the programs that were not used for longest, if there are too many."""
    files = [(path, path.stat()) for path in folder.rglob("*") if path.is_file()]
    total = sum(facts.st_size for _, facts in files)
    for path, facts in sorted(files, key=lambda file: max(file[1].st_atime, file[1].st_mtime)):
        if total <= _MOST:
            break
        path.unlink(missing_ok=True)
        total -= facts.st_size
