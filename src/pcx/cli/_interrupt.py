"""Ctrl-C. Imports nothing heavy."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ._failures import INTERRUPTED

_run: tuple[Path, str] | None = None


def resumable(folder: Path | None, how: str = "") -> None:
    """From now on an interruption says how the run in the folder goes on, if it has been begun by then."""
    global _run
    _run = None if folder is None else (folder, how)


def interrupted() -> str:
    """What is said of an interruption."""
    if _run is None or not (_run[0] / "config.json").exists():
        return "pcx: interrupted"
    return f"pcx: interrupted; go on from the last checkpoint with: {_run[1]}"


@contextlib.contextmanager
def at_once() -> Iterator[None]:
    """Within it Ctrl-C ends the process, which must be the command's own.

    Not by an exception: JAX calls Python from C++, while it is imported and whenever garbage is collected, and what is
    raised there is swallowed, so that the command runs on, or brings the process down. Nothing is lost this way: a run
    may be killed at any time. While `fit` trains, it listens itself, and a second Ctrl-C comes here.
    """
    main = threading.current_thread() is threading.main_thread()
    if not main or signal.getsignal(signal.SIGINT) is not signal.default_int_handler:  # a shell may have it ignored
        yield
        return
    signal.signal(signal.SIGINT, _end)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@contextlib.contextmanager
def by_exception() -> Iterator[None]:
    """Within it Ctrl-C raises `KeyboardInterrupt` again: for what has something to clear away."""
    if signal.getsignal(signal.SIGINT) is not _end:
        yield
        return
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, _end)


def _end(number: int, frame: Any) -> None:
    if sys.stdout.isatty():
        os.write(1, b"\r\x1b[2K\x1b[?25h")  # over a progress bar, and the cursor that it hides is back
    os.write(2, f"{interrupted()}\n".encode())  # print might have been interrupted itself
    os._exit(INTERRUPTED)
