"""The folder in which matplotlib keeps what it found out about fonts."""

from __future__ import annotations

import contextlib
import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def own_config() -> Iterator[None]:
    """Matplotlib looks through all fonts when it is first used, which takes a second or two, and keeps what it found in
    the user's home. Here it is kept inside the virtual environment; where there is none to write to, not at all: a run
    leaves nothing outside its folder."""
    if "MPLCONFIGDIR" in os.environ:
        yield
        return
    with _folder() as folder:
        os.environ["MPLCONFIGDIR"] = folder
        try:
            yield
        finally:
            del os.environ["MPLCONFIGDIR"]


@contextlib.contextmanager
def _folder() -> Iterator[str]:
    kept = Path(sys.prefix) / "var" / "cache" / "matplotlib"
    if sys.prefix != sys.base_prefix:
        with contextlib.suppress(OSError):
            kept.mkdir(parents=True, exist_ok=True)
            if os.access(kept, os.W_OK):
                yield str(kept)
                return
    with tempfile.TemporaryDirectory() as folder:
        yield folder
