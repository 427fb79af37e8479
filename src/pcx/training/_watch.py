"""A thread that sees when another process of a run is gone, and ends this one if it can't end by itself."""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Callable

import jax

from ._coordinator import Coordinator

_BEAT = 1.0  # seconds between two looks
_SILENT = 20.0  # seconds without a sign of life, after which a process is taken for dead
_GRACE = 5.0  # seconds that this one then has to end by itself: its main thread may hang in a sum over all
AGAIN = "Start all again to go on from the last checkpoint"
_watches: list[Watch] = []  # of this process: a program that trains may have one, and each run in it
_ending = threading.Lock()  # one of them ends it
_NO_COORDINATOR = "process 0, which holds the coordinator, can't be reached: it has ended or was killed"


class Watch:
    """Looks every second at the other processes of a run, and lets them see that this one is alive.

    JAX sees it, too, when a process dies: `jax.distributed.initialize(heartbeat_timeout_seconds=...)`, 100 s by
    default. It then breaks the others off, by SIGABRT, with a trace of C++ calls; and a process that ends with an error
    and lives on is not noticed. When process 0 dies, the others lose their connections to it, and JAX would break them
    off in the same moment, if a relay didn't keep that from it (`_relay.py`).

    **Arguments:**

    - `coordinator`: of the job.
    - `run`: a name that no other run has.
    - `count`, `index`: the number of processes, and which this one is.

    **Attributes:**

    - `lost`: in words, why the run can't go on, if it can't.
    - `dead`: whether that is since a process is dead: it can't be waited for, as one that ends with an error can.
    - `again`: the sentence that tells a user how to go on; None where another watch of this process has one.
    - `noted`: a function of the reason, which keeps it.
    """

    def __init__(self, coordinator: Coordinator, run: str, count: int, index: int) -> None:
        self.lost: str | None = None
        self.dead = False
        self.again: str | None = None
        self.noted: Callable[[str], None] | None = None
        self._coordinator, self._run, self._count, self._index = coordinator, run, count, index
        self._ended = threading.Event()  # nobody need look any more
        self._left = threading.Event()  # nothing more is asked of the coordinator
        self._cut = False  # the coordinator can't be reached, and must not be asked: it would never answer
        self._seen: dict[str, tuple[str, float]] = {}
        self._thread = threading.Thread(target=self._look_all_the_time, name="pcx-watch", daemon=True)
        _watches.append(self)
        self._thread.start()
        coordinator.watch(_SILENT, self._cut_off)

    def fail(self, why: str) -> None:
        """Tell the others that this process ends with an error."""
        if self._cut:
            return
        self._coordinator.tell(f"{self._run}/failed/{self._index}", why)

    def leave(self) -> None:
        """Look no more, and let nobody wait for a sign of life. A process that others have left for dead gives up the
        job."""
        self._ended.set()
        if self.dead:
            self._coordinator.abandon()
        if not self._cut:  # else the coordinator would never answer; from here on that is for `_cut_off` to see
            self._thread.join(timeout=_SILENT)
            with contextlib.suppress(jax.errors.JaxRuntimeError):  # the coordinator is gone, and everybody knows
                self._coordinator.tell(f"{self._run}/alive/{self._index}", "left")
            self._coordinator.stop_watching(self._cut_off)
        self._left.set()
        _watches.remove(self)

    def note(self) -> None:
        """Keep why the run can't go on, if that is wanted and known."""
        if self.noted is not None and self.lost is not None:
            self.noted(self.lost)

    def wait(self) -> str | None:
        """Return why the run can't go on, as soon as that is known; None if there is no reason outside."""
        until = time.monotonic() + _SILENT + 3 * _BEAT
        while self.lost is None and time.monotonic() < until:
            time.sleep(0.1)
        return self.lost

    def _look_all_the_time(self) -> None:
        beat = 0
        while not self._ended.wait(_BEAT if beat else 0):
            beat += 1
            try:
                self._coordinator.tell(f"{self._run}/alive/{self._index}", str(beat))
                why = self._failed()
                dead = None if why is not None else self._silent()
            except jax.errors.JaxRuntimeError:
                why, dead = None, _NO_COORDINATOR
            if self._cut:
                return  # `_cut_off` has said so, and ends this process
            if why is not None or dead is not None:
                self.dead, self.lost = dead is not None, why or dead
                break
        if not self._ended.wait(_GRACE if self.lost is not None else 0):
            self._end()

    def _cut_off(self) -> None:
        self._cut, self.dead, self.lost = True, True, _NO_COORDINATOR
        threading.Thread(target=self._end_unless_left, name="pcx-watch", daemon=True).start()

    def _end_unless_left(self) -> None:
        if not self._left.wait(_GRACE):
            self._end()

    def _end(self) -> None:
        """End this process, whose main thread can't be reached."""
        _ending.acquire()  # for good
        # By the number: the main thread may hold the lock of sys.stderr.
        again = next((watch.again for watch in _watches if watch.again is not None), AGAIN)
        os.write(2, f"pcx: error: {self.lost}; this process ends, too. {again}\n".encode())
        for watch in list(_watches):  # a run may have noticed less than who trains it
            if watch.noted is not None and self.lost is not None:
                watch.noted(self.lost)
        if not self.dead:
            leaving = threading.Thread(target=self._coordinator.leave, daemon=True)
            leaving.start()
            leaving.join(_GRACE)
        os._exit(1)

    def _failed(self) -> str | None:
        found = self._coordinator.all(f"{self._run}/failed")
        for index, why in sorted(found.items(), key=lambda item: int(item[0])):
            if index != str(self._index):
                return f"process {index} of {self._count} has ended: {why}"
        return None

    def _silent(self) -> str | None:
        now = time.monotonic()
        # A process that has not come to this run yet is not waited for: it may still read its data.
        for index, text in self._coordinator.all(f"{self._run}/alive").items():
            if self._seen.get(index, ("", 0.0))[0] != text:
                self._seen[index] = (text, now)
            elif text != "left" and now - self._seen[index][1] > _SILENT:
                return f"process {index} of {self._count} gives no sign of life: it was killed, or its machine is away"
        return None
