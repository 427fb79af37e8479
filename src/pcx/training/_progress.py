"""Progress: a bar in a terminal or a notebook, plain lines elsewhere."""

from __future__ import annotations

import contextlib
import errno
import sys
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
        yield lambda n, text: None, _as_long_as_there_is_a_terminal(lambda line: print(line, flush=True))
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
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    bar = Progress(*columns, console=console, transient=True)
    bar.start()
    try:
        task = bar.add_task("compiling", total=total, completed=done)
        yield (
            _as_long_as_there_is_a_terminal(lambda n, text: bar.update(task, advance=n, description=text)),
            # As it is: a console in a notebook is narrower than the line, and names may hold brackets.
            _as_long_as_there_is_a_terminal(
                lambda line: bar.console.print(line, highlight=False, markup=False, soft_wrap=True)
            ),
        )
    finally:
        _as_long_as_there_is_a_terminal(bar.stop)()


def _as_long_as_there_is_a_terminal(show: Callable[..., Any]) -> Callable[..., None]:
    """`show`, but silent once the terminal has hung up: the run is then to end in order, with a checkpoint."""

    def shown(*args: Any) -> None:
        try:
            show(*args)
        except OSError as e:
            if e.errno != errno.EIO:
                raise

    return shown


def _console() -> Any:
    try:
        from rich.console import Console
    except ImportError:
        return None
    return Console(file=sys.stdout, markup=False, emoji=False)  # names may hold square brackets


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
