"""The trials of a sweep as a database holds them: whoever runs one claims it first, and one whose process has died is
run again.

Every trial has a *place*: in a grid that of its settings, in a search its turn. The database may hold several trials of
one place: one that failed with its process and the one that is run in its stead, or two that two processes added at
once. Of those that haven't failed the first counts.
"""

from __future__ import annotations

import contextlib
import logging
import time
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from ._describe import differences, in_words
from ._domains import Scalar
from ._files import CheckpointError
from ._types import Json
from ._worker import GRACE, INTERVAL, is_dead, signs_of_life, this_worker

if TYPE_CHECKING:
    from optuna import Study
    from optuna.distributions import BaseDistribution
    from optuna.pruners import BasePruner
    from optuna.storages import BaseStorage
    from optuna.trial import FrozenTrial


class Trials:
    """The trials of one sweep.

    **Arguments:**

    - `url`: of the database; None keeps them in memory.
    - `name`: of the study in it.
    - `mode`: whether `"max"` or `"min"` of the value is best.
    - `pruner`: one of Optuna's, or None.
    """

    def __init__(self, url: str | None, name: str, mode: str, pruner: BasePruner | None) -> None:
        import optuna

        self.name, self.worker = name, this_worker()
        self._shared = url is not None
        with _quiet():
            self.storage: BaseStorage = optuna.storages.InMemoryStorage() if url is None else _connected(url)
            direction = "maximize" if mode == "max" else "minimize"
            self.study: Study = optuna.create_study(
                storage=self.storage,
                study_name=name,
                direction=direction,
                load_if_exists=True,
                pruner=optuna.pruners.NopPruner() if pruner is None else pruner,
            )
        self._id = self.storage.get_study_id_from_name(name)
        self._mine: set[int] = set()

    def begin(self, parts: Mapping[str, Json], where: str) -> None:
        """Keep what the sweep is of; or, where trials are kept already, see that it is the same.

        **Arguments:**

        - `where`: the storage, for the error.

        **Raises:** `CheckpointError` if it is another one, naming the differences.
        """
        found = self.study.user_attrs
        old = {k.removeprefix("of "): v for k, v in found.items() if k.startswith("of ")}
        if not old and self.study.get_trials(deepcopy=False):
            raise CheckpointError(
                f"sweep: the study {self.name!r} in {where} has trials of another program; choose another name= or "
                "storage"
            )
        # What is missing of a description that a killed process began is as that process would have written it.
        if wrong := differences({k: v for k, v in old.items() if k in parts}, {k: parts[k] for k in old if k in parts}):
            raise CheckpointError(
                f"sweep: {where} holds another sweep: {in_words(wrong)}. Go on with the arguments that it was begun "
                "with, or choose another folder, or another name= in the storage"
            )
        for name, part in parts.items():
            if name not in old:
                self.study.set_user_attr(f"of {name}", part)

    def add(self, places: Mapping[int, Mapping[str, Scalar]], distributions: Mapping[str, BaseDistribution]) -> None:
        """Add a trial for each place that has none."""
        import optuna

        there = self.by_place()
        for place, params in places.items():
            if place not in there:
                new = optuna.trial.create_trial(
                    state=optuna.trial.TrialState.WAITING,
                    params=dict(params),
                    distributions=dict(distributions),
                    user_attrs={"place": place},
                )
                self.study.add_trial(new)

    def by_place(self) -> dict[int, FrozenTrial]:
        """Return the trial that counts of each place."""
        found: dict[int, FrozenTrial] = {}
        for trial in self.study.get_trials(deepcopy=False):
            place = trial.user_attrs.get("place")
            if place is not None and trial.state.name != "FAIL":
                found.setdefault(place, trial)
        return dict(sorted(found.items()))

    def again(self) -> None:
        """Give back the trials of processes that have died, so that they are run again."""
        import optuna

        lost = {}
        for trial in self.study.get_trials(deepcopy=False):
            if trial.state.name == "RUNNING" and trial.number not in self._mine and _is_lost(trial):
                self._fail(trial.number)
        if self._shared:
            with _quiet():
                optuna.storages.fail_stale_trials(self.study)
        there = self.by_place()
        for trial in self.study.get_trials(deepcopy=False):
            place = trial.user_attrs.get("place")
            if place is not None and place not in there:
                lost[place] = trial
        for place, trial in lost.items():
            self.add({place: trial.params}, trial.distributions)

    def others_run(self) -> bool:
        """Return whether another process runs trials."""
        trials = self.study.get_trials(deepcopy=False)
        return any(trial.state.name == "RUNNING" and trial.number not in self._mine for trial in trials)

    def claim(self, places: Iterable[int]) -> dict[int, int]:
        """Take those of the places that nobody runs yet.

        **Returns:** the number of the trial of each that is this process's from now on.
        """
        import optuna

        waiting = {p: t.number for p, t in self.by_place().items() if t.state.name == "WAITING"}
        taken = {}
        for place in places:
            if place in waiting and self.storage.set_trial_state_values(
                self._trial(waiting[place]), optuna.trial.TrialState.RUNNING
            ):
                self._mine.add(waiting[place])
                self.storage.set_trial_user_attr(self._trial(waiting[place]), "worker", self.worker)
                taken[place] = waiting[place]
        # One that another process had added, too, counts once.
        counts = self.by_place()
        for place, number in list(taken.items()):
            if counts[place].number != number:
                self.release([taken.pop(place)])
        return taken

    @contextlib.contextmanager
    def running(self, numbers: Iterable[int]) -> Iterator[None]:
        """Say that this process lives while it runs trials. Those that it leaves unfinished are given back."""
        import optuna

        numbers = list(numbers)
        try:
            with signs_of_life(lambda: self._live(numbers)) if self._shared else contextlib.nullcontext():
                yield
        finally:
            # Where the database is away they are given back once this process has ended.
            with contextlib.suppress(optuna.exceptions.StorageInternalError):
                self.release([number for number in numbers if number in self._mine])

    def report(self, number: int, step: int, value: float) -> None:
        """Keep the value of a trial after a step."""

        with contextlib.suppress(RuntimeError):  # it has ended: see `finish`
            self.storage.set_trial_intermediate_value(self._trial(number), step, value)

    def should_prune(self, number: int) -> bool:
        """Return whether the pruner says that a trial isn't worth going on with."""
        return bool(self.study.pruner.prune(self.study, self.storage.get_trial(self._trial(number))))

    def finish(self, number: int, ended: str, value: float | None, result: Mapping[str, Json]) -> None:
        """Keep the end of a trial.

        **Arguments:**

        - `ended`: `"done"`; `"pruned"` or `"failed"`, which a search takes for worse than any that is done.
        """
        import optuna

        states = optuna.trial.TrialState
        state = states.COMPLETE if ended == "done" and value is not None else states.PRUNED
        try:
            self.storage.set_trial_user_attr(self._trial(number), "result", {"ended": ended, **result})
            values = [value] if state == states.COMPLETE and value is not None else None
            self.storage.set_trial_state_values(self._trial(number), state, values)
        except RuntimeError:
            pass  # this process was taken for dead; another has run it, or will
        self._mine.discard(number)

    def release(self, numbers: Sequence[int]) -> None:
        """Give trials of this process back."""
        for number in numbers:
            self._fail(number)
            self._mine.discard(number)

    def close(self) -> None:
        """Close the connection."""
        self.storage.remove_session()
        if (engine := getattr(self.storage, "engine", None)) is not None:
            engine.dispose()

    def _live(self, numbers: Sequence[int]) -> None:
        beat: Any = getattr(self.storage, "record_heartbeat")  # noqa: B009  # of databases
        for number in numbers:
            if number in self._mine:
                beat(self._trial(number))

    def _fail(self, number: int) -> None:
        import optuna

        with contextlib.suppress(RuntimeError):  # it has ended
            self.storage.set_trial_state_values(self._trial(number), optuna.trial.TrialState.FAIL)

    def _trial(self, number: int) -> int:
        return self.storage.get_trial_id_from_study_id_trial_number(self._id, number)


def _is_lost(trial: FrozenTrial) -> bool:
    """Return whether a running trial's process is known to have ended, or died before it said who it is."""
    worker = trial.user_attrs.get("worker")
    if worker is not None:
        return is_dead(worker)
    begun = trial.datetime_start
    return begun is not None and (datetime.now() - begun).total_seconds() > GRACE


def _connected(url: str) -> BaseStorage:
    """A connection; tables are made where there are none.

    **Raises:** `CheckpointError` if there is no such database.
    """
    import optuna

    # Several processes wait for each other's writing instead of failing.
    options = {"connect_args": {"timeout": 60}} if url.startswith("sqlite") else {}
    last: Exception | None = None
    for _ in range(5):
        try:
            return optuna.storages.RDBStorage(
                url, engine_kwargs=options, heartbeat_interval=INTERVAL, grace_period=GRACE
            )
        except Exception as e:  # of the database, or two processes make its tables at once
            last = e
            time.sleep(0.2)
    raise CheckpointError(f"sweep: the storage {url} can't be used: {first_line(last)}") from last


def first_line(error: Exception | None) -> str:
    """Return the first line of what an error says."""
    return (str(error).splitlines() or [""])[0]


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep Optuna from telling what nobody asked for: that it made a study, and that heartbeats are experimental."""
    logger = logging.getLogger("optuna")
    before = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", category=UserWarning, module="optuna")
            warnings.filterwarnings("ignore", message=".*experimental.*")
            yield
    finally:
        logger.setLevel(before)
