"""The state of the code that makes a result: version, commit, and a hash of its source files."""

from __future__ import annotations

import contextlib
import hashlib
import os
import platform
import subprocess
from pathlib import Path
from typing import Any

from ...core import __version__
from ...training import versions

_SOURCE = Path(__file__).parents[2]  # the package's own folder
_SECONDS = 20


def code_state() -> dict[str, Any]:
    """Return version, commit and whether anything was changed since it, and the SHA-256 of the package's source files.

    The commit is that of the checkout that the package's source lies in (`src/pcx` beside a `pyproject.toml`); of an
    installed package there is none. Git is asked in that checkout alone, whose code is running already.

    **Returns:** `pcx`, `commit`, `dirty` (None where that isn't known) and `source`.
    """
    root = _SOURCE.parent.parent
    commit = dirty = None
    if _SOURCE.parent.name == "src" and (root / ".git").exists() and (root / "pyproject.toml").is_file():
        commit = _git(root, "rev-parse", "HEAD")
        changed = _git(root, "status", "--porcelain", "--untracked-files=no")
        dirty = None if changed is None else bool(changed)
    return {"pcx": __version__, "commit": commit, "dirty": dirty, "source": source_sha256()}


def source_sha256() -> str:
    """Return the SHA-256 of the names and contents of the package's source files.

    **Returns:** 64 hexadecimal digits.
    """
    digest = hashlib.sha256()
    for path in sorted(_SOURCE.rglob("*.py")):
        digest.update(path.relative_to(_SOURCE).as_posix().encode() + b"\0")
        digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()


def software() -> dict[str, Any]:
    """Return all that the bits of a result depend on beside its settings: code, packages, device, processor.

    **Returns:** plain data; where two are equal, equal settings give equal bits.
    """
    found = versions()
    names = ("python", "platform", "cpus", "backend", "device", "device_count", "packages")
    return {
        **{name: found[name] for name in names},
        "processor": _processor(),
        "xla_flags": os.environ.get("XLA_FLAGS", ""),
        **code_state(),
    }


def _git(root: Path, *words: str) -> str | None:
    """Return what git prints; None if it can't be asked."""
    command = ["git", "-c", "core.fsmonitor=false", "--no-optional-locks", "-C", os.fspath(root), *words]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_SECONDS, check=False)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def _processor() -> str:
    """Return the name of the processor, as far as the system says it."""
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines():
            if line.partition(":")[0].strip() == "model name":
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
