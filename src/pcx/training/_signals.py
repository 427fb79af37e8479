"""Signals that ask a run to end: it ends in order, with a checkpoint."""

from __future__ import annotations

import contextlib
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any

_ENDS = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]


@contextlib.contextmanager
def interruptible() -> Iterator[Callable[[], bool]]:
    """Let Ctrl-C, SIGTERM and SIGHUP only set a flag, which the function given reads; a second Ctrl-C interrupts at
    once.

    After it, SIGTERM and SIGHUP do what they would have done: a handler that was there is called (with None for a
    frame, as nothing was broken off), and without one the process ends by `SystemExit(128 + number)`. A signal that
    is ignored, as is Ctrl-C in the background of a script, stays ignored; handlers that are not Python's stay, too.
    """
    asked: int | None = None
    before: dict[int, Any] = {}

    def ask(number: int, frame: FrameType | None) -> None:
        nonlocal asked
        if asked is None or (asked == signal.SIGINT != number):
            asked = number
            with contextlib.suppress(RuntimeError, OSError, ValueError):  # within another print; the terminal is gone
                again = "; again: at once" if number == signal.SIGINT else ""
                print(f"stopping after the batches under way{again}", file=sys.stderr, flush=True)
        elif number != signal.SIGINT:
            pass  # these come twice: to the process, and to its group
        elif frame is not None and frame.f_code.co_name == "_xla_gc_callback":
            # What is raised within JAX's callback of the garbage collector is lost: once more, a moment later.
            threading.Timer(0.01, signal.raise_signal, [signal.SIGINT]).start()
        elif callable(before[number]):
            before[number](number, frame)
        else:
            _set(number, before[number])
            signal.raise_signal(number)

    try:
        for number in _ENDS:
            if (handler := _replaced(number, ask)) is not None:
                before[number] = handler
        yield lambda: asked is not None
    finally:
        for number, handler in before.items():
            _set(number, handler)
    if asked is not None and asked != signal.SIGINT:
        if callable(before[asked]):
            before[asked](asked, None)
        else:
            raise SystemExit(128 + asked)


def _replaced(number: int, handler: Callable[[int, Any], None]) -> Any:
    """Handle a signal by `handler`, and return what handled it before; None if that is left as it was."""
    if threading.current_thread() is not threading.main_thread():
        return None
    before = signal.getsignal(number)
    # None: a handler that Python has not set, and could not set again.
    if before is None or before == signal.SIG_IGN:
        return None
    return before if _set(number, handler) else None


def _set(number: int, handler: Any) -> bool:
    try:
        signal.signal(number, handler)
    except (ValueError, OSError, RuntimeError):  # an interpreter inside another program may have no say in it
        return False
    return True
