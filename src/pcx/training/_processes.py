"""The processes that train one run together, and what they agree on."""

from __future__ import annotations

import contextlib
import itertools
import json
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any, TypeVar

import jax

from ._coordinator import Coordinator
from ._describe import differences, in_words
from ._watch import AGAIN, Watch

T = TypeVar("T", bool, int, float, str, None)

_LOOK = 0.5  # seconds between two looks at whether it is worth waiting
_runs = itertools.count()  # of this job: every process counts the same


class ProcessLost(RuntimeError):
    """Another process of the run has ended or can't be reached, so that this one can't go on either."""


class Processes:
    """One process that trains a run by itself. It agrees with itself at once.

    All of a run's processes go through the same program: each method is called by all of them, in the same order.

    **Attributes:**

    - `count`, `index`: how many there are, and the number of this one, from 0.
    - `again`: the sentence that tells a user how to go on when one is gone.
    """

    count: int = 1
    index: int = 0
    again: str = AGAIN

    @staticmethod
    def of(spans_processes: bool) -> Processes:
        """Return those of a run.

        **Arguments:**

        - `spans_processes`: whether its devices belong to several processes.
        """
        return Processes.of_this_job() if spans_processes else Processes()

    @staticmethod
    def of_this_job() -> Processes:
        """Return all processes that have joined, see `join`."""
        coordinator = Coordinator.of_this_job()
        return Processes() if coordinator is None else Several(coordinator)

    @property
    def writes(self) -> bool:
        """The duty of process 0: it writes and says what all have to write and say."""
        return self.index == 0

    def each(self, text: str) -> list[str]:
        """Return what each process has to say; so all have come here."""
        return [text]

    def meet(self) -> None:
        """Wait until all have come here."""
        self.each("")

    def first(self, value: T) -> T:
        """Return what process 0 gives, where the values may differ, as of a clock."""
        return json.loads(self.each(json.dumps(value) if self.writes else "")[0])

    def any(self, flag: bool) -> bool:
        """Return whether it is so in any process."""
        return "1" in self.each("1" if flag else "0")

    def check_same(self, what: Callable[[], Mapping[str, Any]]) -> None:
        """Refuse processes that were given other things to do than process 0.

        **Arguments:**

        - `what`: gives all that is to be the same.

        **Raises:** `ValueError`, with the differences.
        """
        if self.count == 1:
            return
        told = self.each(json.dumps(what(), default=str))
        for index, text in enumerate(told):
            wrong = differences(json.loads(told[0]), json.loads(text)) if text != told[0] else []
            if wrong:
                raise ValueError(
                    f"fit: process {index} was given something else to train than process 0: {in_words(wrong)}. All "
                    "processes of a run are started with the same arguments"
                )

    def if_lost(self, again: str | None = None, note: Callable[[str], None] | None = None) -> None:
        """Say what is to be done if another process is gone, so that this one ends, too.

        **Arguments:**

        - `again`: the sentence that tells a user how to go on.
        - `note`: a function of the reason, which keeps it. A thread may call it.
        """

    def __enter__(self) -> Processes:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        return None


def _of_the_runtime(error: BaseException | None) -> bool:
    """Return whether an error is, or came of, one of JAX's runtime. It is what a sum over all processes, or Orbax's
    waiting for all, raises when one of them is gone."""
    while error is not None and not isinstance(error, jax.errors.JaxRuntimeError):
        error = error.__cause__
    return error is not None


class Several(Processes):
    """Several processes of one job, of which each runs the same program on devices of its own.

    **Arguments:**

    - `coordinator`: of the job.
    """

    def __init__(self, coordinator: Coordinator) -> None:
        self.count, self.index = jax.process_count(), jax.process_index()
        self._coordinator, self._run = coordinator, f"pcx/run/{next(_runs)}"
        self._said = 0
        self._watch: Watch | None = None

    def if_lost(self, again: str | None = None, note: Callable[[str], None] | None = None) -> None:
        assert self._watch is not None
        self._watch.again, self._watch.noted, self.again = again, note, again or self.again

    def each(self, text: str) -> list[str]:
        folder = f"{self._run}/said/{self._said}"
        self._coordinator.tell(f"{folder}/{self.index}", text)
        found = [text if i == self.index else self._asked(f"{folder}/{i}") for i in range(self.count)]
        if self._said:  # all have come here, and so have read what was said before
            self._coordinator.forget(f"{self._run}/said/{self._said - 1}/{self.index}")
        self._said += 1
        return found

    def _asked(self, name: str) -> str:
        while True:
            if self._watch is not None and self._watch.lost is not None:
                raise ProcessLost(f"fit: {self._watch.lost}")
            found = self._coordinator.ask(name, _LOOK)
            if found is not None:
                return found

    def __enter__(self) -> Processes:
        self._watch = Watch(self._coordinator, self._run, self.count, self.index)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        watch = self._watch
        assert watch is not None
        try:
            if isinstance(error, ProcessLost):
                watch.note()
            if error is None or isinstance(error, (ProcessLost, SystemExit)):  # a signal's, after an end in order
                return
            if _of_the_runtime(error) and (lost := watch.wait()) is not None:
                watch.note()
                raise ProcessLost(f"fit: {lost}") from error
            with contextlib.suppress(jax.errors.JaxRuntimeError):  # the coordinator is gone: there is nobody to tell
                watch.fail(f"{type(error).__name__}: {str(error).strip()[:500]}")
        finally:
            watch.leave()
