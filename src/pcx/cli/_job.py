"""The options that make several processes one job. Imports nothing heavy."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from . import _checks
from ._failures import CommandError, Refused, complain

if TYPE_CHECKING:
    from ..training import Processes

_PATIENCE = 3.0  # seconds until a command says what it waits for


@dataclass(frozen=True)
class Job:
    """Processes that train together."""

    coordinator: str | None = None
    """Where several processes train together, on one machine or on several: host:port of process 0, as the others
    reach it, any free port; each is started with the same options. srun says this and the next two by itself, mpirun
    the next two."""
    processes: int | None = None
    """How many processes train together; 1: this one by itself, even under srun or mpirun."""
    process: int | None = None
    """The number of this process, from 0. Process 0 writes and prints for all."""
    join_seconds: float = 120.0
    """Seconds to wait until all processes are there."""

    def check_job(self) -> None:
        """Raises `Refused` for values that can't be used."""
        _checks.at_least("processes", self.processes, 1)
        _checks.at_least("process", self.process, 0)
        if not (self.join_seconds > 0 and self.join_seconds < _checks.MOST):
            raise Refused(f"--join-seconds must be above 0, got {self.join_seconds}")
        if self.processes == 1 and self.coordinator is None and not self.process:
            return
        given = {name: getattr(self, name) is not None for name in ("coordinator", "processes", "process")}
        missing = [f"--{name}" for name, there in given.items() if not there]
        if 0 < len(missing) < 3 and missing != ["--processes", "--process"]:  # which the launcher may say
            raise Refused(f"{' and '.join(missing)} must be given, too: processes that train together need all three")


JOB = tuple(f.name for f in dataclasses.fields(Job))
"""The names of these options: of the call, not of the run."""


def check_alone(command: str) -> None:
    """Refuse to run a command as one of several processes that a launcher started: each would do the whole work, in the
    same folder.

    **Raises:** `CommandError`.
    """
    from ..training import launched

    launcher = launched(os.environ)
    if launcher is not None:
        raise CommandError(
            f"pcx {command} is one process, and {launcher.name} started {launcher.processes}; start it once, or train "
            "by pcx train, which several processes share"
        )


@contextlib.contextmanager
def joined(job: Job) -> Iterator[Processes]:
    """Join the processes of a job, if there are several, and end together with them.

    **Raises:** `CommandError` if they can't be joined, or another one has ended.
    """
    from ..training import Processes, ProcessLost, join

    try:
        if job.processes != 1:
            with _waiting(job):
                join(job.coordinator, job.processes, job.process, seconds=job.join_seconds)
        processes = Processes.of_this_job()
    except (OSError, RuntimeError, ValueError) as error:  # TimeoutError is an OSError
        raise CommandError(str(error)) from error
    try:
        with processes:
            yield processes
    except ProcessLost as error:
        raise CommandError(f"{str(error).removeprefix('fit: ')}. {processes.again}") from error


@contextlib.contextmanager
def _waiting(job: Job) -> Iterator[None]:
    """Say, after some seconds, what is waited for."""
    who = "the other processes"
    if job.process is not None and job.processes is not None:
        others = [str(i) for i in range(job.processes) if i != job.process]
        many = len(others) > 3
        who = f"process {others[0]}" if len(others) == 1 else who if many else f"processes {', '.join(others)}"
    at = "" if job.coordinator is None else f" at {job.coordinator}"
    text = f"pcx: waiting for {who} to come to the coordinator{at}, for {job.join_seconds:g} s at most"
    saying = threading.Timer(_PATIENCE, complain, [text])
    saying.daemon = True
    saying.start()
    try:
        yield
    finally:
        saying.cancel()
