"""Progress: a bar in a terminal or a notebook, plain lines elsewhere."""

from __future__ import annotations

import contextlib
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

Advance = Callable[[int, str], None]
Say = Callable[[str], None]


@contextlib.contextmanager
def progress(total: int | None, done: int, show: bool) -> Iterator[tuple[Advance, Say]]:
    """Two functions: `advance(batches, text)`, and `say(line)` for what stays.

    **Arguments:**

    - `total`, `done`: batches in all (None if unknown) and at the start.
    - `show`: False for silence.
    """
    if not show:
        yield lambda n, text: None, lambda line: None
        return
    console = _console()
    if console is None or not (console.is_terminal or console.is_jupyter):
        yield lambda n, text: None, lambda line: print(line, flush=True)
        return
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task("compiling", total=total, completed=done)
        yield (
            lambda n, text: bar.update(task, advance=n, description=text),
            # As it is: a console in a notebook is narrower than the line, and names may hold brackets.
            lambda line: bar.console.print(line, highlight=False, markup=False, soft_wrap=True),
        )


def _console() -> Any:
    try:
        from rich.console import Console
    except ImportError:
        return None
    return Console(file=sys.stdout)


class Pace:
    """How many batches to give away at once, so that one looks about once a second, whatever a batch takes."""

    def __init__(self, at_most: int, seconds: float = 1.0) -> None:
        self.at_most, self.seconds = max(at_most, 1), seconds
        self._per_batch: float | None = None

    def next(self) -> int:
        """The number of batches of the next dispatch."""
        if self._per_batch is None:
            return 1  # to be compiled, and seen to work, before more are asked for
        return int(min(max(self.seconds / self._per_batch, 1), self.at_most))

    @contextlib.contextmanager
    def timed(self, batches: int) -> Iterator[None]:
        """Around a dispatch that is waited for."""
        start = time.perf_counter()
        yield
        per_batch = (time.perf_counter() - start) / max(batches, 1)
        # The first one holds the compilation: never above what a later one says.
        self._per_batch = per_batch if self._per_batch is None else min(self._per_batch, per_batch)


@contextlib.contextmanager
def interruptible() -> Iterator[Callable[[], bool]]:
    """Within it, the first Ctrl-C only sets a flag, which the function given reads; a second one interrupts at once."""
    if threading.current_thread() is not threading.main_thread():
        yield lambda: False
        return
    asked = False
    before = signal.getsignal(signal.SIGINT)

    def ask(number: int, frame: Any) -> None:
        nonlocal asked
        if not asked:
            asked = True
            with contextlib.suppress(RuntimeError):  # if it comes in the middle of another print
                print("stopping after the batches under way; again: at once", file=sys.stderr, flush=True)
        elif frame is not None and frame.f_code.co_name == "_xla_gc_callback":
            # What is raised within JAX's callback of the garbage collector is lost: once more, a moment later.
            threading.Timer(0.01, signal.raise_signal, [signal.SIGINT]).start()
        elif callable(before):
            before(number, frame)

    signal.signal(signal.SIGINT, ask)
    try:
        yield lambda: asked
    finally:
        signal.signal(signal.SIGINT, before)
