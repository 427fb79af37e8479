"""The process that runs a trial: its name, and whether it still lives."""

from __future__ import annotations

import contextlib
import os
import platform
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from ._types import Json

INTERVAL = 10  # seconds between two signs of life of a process
GRACE = 90  # seconds without one, after which its trials are run by another


def this_worker() -> dict[str, Json]:
    """Return this process as plain data, to be kept with the trials that it runs."""
    return {"host": _host(), "pid": os.getpid(), "started": _started(os.getpid())}


def is_dead(worker: Json) -> bool:
    """Return whether a process is known to have ended; of other machines' nothing is known."""
    if not isinstance(worker, Mapping) or worker.get("host") != _host():
        return False
    pid = worker.get("pid")
    if not isinstance(pid, int):
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    except OSError:
        return False
    # The number may be another process's by now.
    return worker.get("started") != _started(pid)


@contextlib.contextmanager
def signs_of_life(give: Callable[[], object]) -> Iterator[None]:
    """Call a function now and every few seconds, in a thread of its own."""
    over = threading.Event()

    def go_on() -> None:
        while not over.wait(INTERVAL):
            with contextlib.suppress(Exception):  # the database is away for a moment: the next one may be heard
                give()

    give()
    thread = threading.Thread(target=go_on, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def _host() -> str:
    """The machine; inside of a container the container, whose processes have numbers of their own."""
    with contextlib.suppress(OSError):
        return f"{platform.node()} {os.readlink('/proc/self/ns/pid')}"
    return platform.node()


def _started(pid: int) -> str | None:
    """The time at which a process began, where the system says it; None for one that ended and still has a number."""
    with contextlib.suppress(OSError, IndexError):
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return None if fields[0] == "Z" else fields[19]
    return None
