"""The end of a command that can't do what was asked."""

from __future__ import annotations

import contextlib
import os
import re
import sys
from collections.abc import Iterator

from ..core import see

DONE, ERROR, USAGE, NOT_FINITE, INTERRUPTED, NO_READER = 0, 1, 2, 3, 130, 141  # exit statuses
TRACEBACK = "PCX_TRACEBACK"  # an environment variable: errors that pcx has no words for show where they came from
_MOST = 600  # characters of a message


class CommandError(Exception):
    """A command can't do what was asked; the message, one line, says what to do. `status` is the exit status."""

    status = ERROR

    def __init__(self, message: str) -> None:
        super().__init__(one_line(message))


class Refused(CommandError):
    """Options that can't be used; the message says which, and what to do."""

    status = USAGE


def nowhere(error: FileNotFoundError) -> CommandError:
    """Return the error for data that are nowhere, with the options that help."""
    first = str(error).splitlines()[0]
    return CommandError(
        f"{first}. Give their folder with --data-folder, or --download; `pcx info` lists where they are looked for"
        f"{see('data')}"
    )


def one_line(text: str) -> str:
    """Return a text on one line, cut where it is endless."""
    text = re.sub(
        r"(?<=[^\s.,:;!?])\s*\n\s*(?=[A-Z][a-z]+ [a-z])", ". ", text
    )  # a line that begins a sentence ends the one before
    text = " ".join(text.split())
    return text if len(text) <= _MOST else f"{text[: _MOST - 4]} ..."


def complain(text: str) -> None:
    """Write a line on stderr. Where nothing can be written to it, nobody is there to be told."""
    with contextlib.suppress(OSError, ValueError):  # ValueError: it is closed
        if sys.stderr is None:  # print would take stdout instead
            return
        try:
            print(text, file=sys.stderr, flush=True)
        except UnicodeError:  # the name of a file that is no text
            print(text.encode("ascii", "backslashreplace").decode(), file=sys.stderr, flush=True)


def words_for(error: Exception) -> str:
    """Return the words for an error that nothing was prepared for."""
    text = str(error)
    if isinstance(error, MemoryError) or "RESOURCE_EXHAUSTED" in text or "bad_alloc" in text:
        return f"out of memory; take a smaller network, a smaller --batch-size, or fewer --seeds{see('memory')}"
    if isinstance(error, OSError) and error.strerror:
        return one_line(f"{error.strerror}{f': {error.filename}' if error.filename else ''}")
    return one_line(f"{type(error).__name__}: {text}"[:_MOST]) + f" ({TRACEBACK}=1 shows where)"


def wants_traceback() -> bool:
    """Return whether tracebacks were asked for."""
    return bool(os.environ.get(TRACEBACK))


@contextlib.contextmanager
def told() -> Iterator[None]:
    """Make what the library refuses an error of the command: the message without the traceback."""
    from ..training import CheckpointError

    try:
        yield
    except BrokenPipeError:  # of stdout; see _output.py
        raise
    except (CheckpointError, ImportError, OSError, TypeError, ValueError) as error:
        raise CommandError(str(error) or type(error).__name__) from error
