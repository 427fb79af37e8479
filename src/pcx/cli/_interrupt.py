"""Ctrl-C, SIGTERM and SIGHUP. Imports nothing heavy."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import Any

_ENDS = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]
_run: tuple[Path, str] | None = None
_came: int | None = None


def resumable(folder: Path | None, how: str = "") -> None:
    """From now on an interruption says how the run in the folder goes on, if it has been begun by then."""
    global _run
    _run = None if folder is None else (folder, how)


def interrupted() -> str:
    """Return the words for an interruption."""
    if _run is None or not (_run[0] / "config.json").exists():
        return "pcx: interrupted"
    return f"pcx: interrupted; go on from the last checkpoint with: {_run[1]}"


def ended_by_signal() -> bool:
    """Return whether SIGTERM or SIGHUP has come to a run, which has ended in order: nothing more is to be begun."""
    return _came is not None


@contextlib.contextmanager
def at_once() -> Iterator[None]:
    """Let Ctrl-C, SIGTERM and SIGHUP end the process, which must be the command's own, with status 128 + number.
    What is ignored when it starts, as Ctrl-C is in the background of a script, stays ignored.

    Not by an exception: JAX calls Python from C++, while it is imported and whenever garbage is collected, and what is
    raised there is swallowed, so that the command runs on, or brings the process down. Nothing is lost this way: a run
    may be killed at any time. While `fit` trains, it listens itself, and a second Ctrl-C comes here.
    """
    global _came
    _came = None
    before: dict[int, Any] = {}
    if threading.current_thread() is threading.main_thread():
        for number in _ENDS:
            handler = signal.getsignal(number)
            if handler in (signal.default_int_handler, signal.SIG_DFL):  # a shell may have it ignored
                before[number] = handler
                signal.signal(number, _end)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    if _came is not None:
        raise SystemExit(128 + _came)


@contextlib.contextmanager
def by_exception() -> Iterator[None]:
    """Let them raise `KeyboardInterrupt`, for what has something to clear away."""
    numbers = [number for number in _ENDS if signal.getsignal(number) is _end]
    for number in numbers:
        signal.signal(number, signal.default_int_handler if number == signal.SIGINT else _raise)
    try:
        yield
    finally:
        for number in numbers:
            signal.signal(number, _end)


def _raise(number: int, frame: FrameType | None) -> None:
    global _came
    _came = number
    raise KeyboardInterrupt


def _end(number: int, frame: FrameType | None) -> None:
    global _came
    if frame is None:  # from `fit`, which has ended in order; what is left is to say so
        _came = number
        if number != signal.SIGTERM and sys.stdout.isatty():  # the terminal is gone, and to write to it is an error
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, 1)
            os.dup2(nowhere, 2)
        return
    with contextlib.suppress(OSError, ValueError):
        if sys.stdout.isatty():
            os.write(1, b"\r\x1b[2K\x1b[?25h")  # over a progress bar, and the cursor that it hides is back
        os.write(2, f"{interrupted()}\n".encode())  # print might have been interrupted itself
    os._exit(128 + number)
