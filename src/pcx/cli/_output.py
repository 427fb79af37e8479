"""Output of a command where it can't be printed. Imports nothing heavy."""

from __future__ import annotations

import codecs
import contextlib
import io
import os
import sys
from collections.abc import Iterator
from typing import Any

from ._failures import ERROR, NO_READER, complain


class _Lenient:
    """A stream that goes on when it can't be written to, as on a full disk: what a command has to do is not undone by
    what it has to say. `failed` is the first error."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream
        self.failed: OSError | None = None

    def write(self, text: str) -> int:
        """Write, if it can be written to."""
        with self._noted():
            self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        """Write what is still held, if it can be written to."""
        with self._noted():
            self._stream.flush()

    @contextlib.contextmanager
    def _noted(self) -> Iterator[None]:
        try:
            yield
        except BrokenPipeError:
            raise
        except OSError as error:
            self.failed = self.failed or error

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def _as_it_was(error: UnicodeError) -> tuple[str | bytes, int]:
    """Names of files that are no text go out with the bytes that they came in with; what an encoding lacks is
    spelt."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    one = error.object[error.start]
    if "\udc80" <= one <= "\udcff":
        return one.encode("ascii", "surrogateescape"), error.start + 1
    return one.encode("ascii", "backslashreplace"), error.start + 1


codecs.register_error("pcx.as_it_was", _as_it_was)


@contextlib.contextmanager
def own_streams() -> Iterator[None]:
    """Let stdout and stderr, which must be the process's own, take any text, and let the exit status tell what becomes
    of them: a reader that has seen enough, such as `head`, ends the process without a word; a full disk lets it
    come to its end, and is said then."""
    closed = sys.stdout is None
    _fill_gaps()
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w")  # noqa: SIM115  # for as long as the process lives
    if closed or sys.stdout is None:
        complain("pcx: error: stdout is closed; send it to a file, or to /dev/null")
        sys.exit(ERROR)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="pcx.as_it_was")
    out: Any = _Lenient(sys.stdout)
    before, sys.stdout, sys.stderr = (sys.stdout, sys.stderr), out, _Lenient(sys.stderr)  # pyright: ignore
    try:
        try:
            yield
        except SystemExit as leaving:  # --help leaves so, and may have printed to a full disk
            out.flush()
            if leaving.code or out.failed is None:
                raise
        finally:
            out.flush()  # what is still held
    except BrokenPipeError:
        _drop(out)
        sys.exit(NO_READER)
    finally:
        if out.failed is None:
            sys.stdout, sys.stderr = before
    if out.failed is not None:
        _lost(out)


def _lost(out: _Lenient) -> None:
    assert out.failed is not None
    complain(f"pcx: error: stdout can't be written to: {out.failed.strerror or out.failed}")
    _drop(out)
    sys.exit(ERROR)


def _drop(out: _Lenient) -> None:
    """Python writes what it holds once more at its end: to nowhere."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), out.fileno())


def _fill_gaps() -> None:
    """Keep the numbers of closed streams: where stdin, stdout or stderr are closed, the next file that is opened would
    get their number, and what a library writes to stderr would land in a checkpoint."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # the lowest number that is free: this one
