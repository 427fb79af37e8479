"""Progress: a bar in a terminal or a notebook, plain lines elsewhere."""

from __future__ import annotations

import contextlib
import errno
import sys
from collections.abc import Callable, Iterator
from typing import Any

Advance = Callable[[int, str], None]
Say = Callable[[str], None]


@contextlib.contextmanager
def display(total: int | None, done: int, show: bool) -> Iterator[tuple[Advance, Say]]:
    """Show the progress of a run, and give two functions: `advance(batches, text)`, and `say(line)` for what stays.

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
    """Make a function that shows things silent once the terminal has hung up: the run is then to end in order, with a
    checkpoint."""

    def shown(*args: object) -> None:
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
