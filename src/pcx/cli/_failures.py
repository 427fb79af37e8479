"""How a command ends when it can't do what was asked."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

DONE, ERROR, USAGE, NOT_FINITE, INTERRUPTED, NO_READER = 0, 1, 2, 3, 130, 141  # exit statuses


class CommandError(Exception):
    """What was asked can't be done; the message, one line, says what to do.

    **Arguments:** `status`, the exit status.
    """

    def __init__(self, message: str, status: int = ERROR) -> None:
        super().__init__(" ".join(message.split()))
        self.status = status


@contextlib.contextmanager
def told() -> Iterator[None]:
    """Within it, what the library refuses is an error of the command: the message without the traceback."""
    from ..training import CheckpointError

    try:
        yield
    except BrokenPipeError:  # of stdout; see _output.py
        raise
    except (CheckpointError, ImportError, OSError, TypeError, ValueError) as error:
        raise CommandError(str(error)) from error
