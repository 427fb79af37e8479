"""Output that nobody reads to its end. Imports nothing heavy."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator

from ._failures import NO_READER


@contextlib.contextmanager
def closed_pipe_is_no_error() -> Iterator[None]:
    """Within it a reader of stdout that has seen enough, such as `head`, ends the process without a word."""
    try:
        try:
            yield
        finally:
            sys.stdout.flush()  # what is still held, also after --help, which leaves by SystemExit
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # Python flushes once more at its end
        sys.exit(NO_READER)
