"""The third part of `fit`: the folder of a run, when it is written to and what with."""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import jax.tree_util as jtu
from jaxtyping import PyTree

from ._belongs import without_form
from ._checkpoint import Checkpoints, Damaged, require_orbax
from ._describe import differences, in_words
from ._figure import can_draw, draw
from ._files import CheckpointError
from ._folder import Folder, check_folder, versions
from ._options import FitOptions
from ._overwrite import check_overwrite, remove_run
from ._prepare import Run
from ._processes import Processes
from ._progress import Progress
from ._result import Fit
from ._resume import check_same, first_held_out, take_up, tree_of
from ._rule import as_tree, named_weights
from ._types import Json, Row
from ._warn import warn
from ._weights import file_name, require_safetensors, write_weights

_UNSEEN = 60.0  # seconds that a network file system may take to show a new file

_OWN = ("best", "best_mode", "first_held_out_batch", "layout", "made_of", "named")  # in config.json


class Store:
    """The store of a run without a folder: nothing is kept."""

    path: Path | None = None

    def begin(self, run: Run, options: FitOptions) -> None:
        """Take up the run that is there, if there is one, and bring the files in line with where it begins."""

    def at_most(self, passed: int) -> int | None:
        """Return how many batches may pass before the next checkpoint; None if any number.

        **Arguments:**

        - `passed`: the batches of this process so far.
        """
        return None

    def due(self, passed: int, epoch_ended: bool) -> bool:
        """Return whether it is time for a checkpoint."""
        return False

    def save(self, run: Run) -> None:
        """Write a checkpoint of now, unless the last one is of now."""

    def hold_best(self, run: Run) -> None:
        """Hold the best so far until the next checkpoint is due: a run that is killed before comes to it again."""

    def add(self, rows: Sequence[Row]) -> None:
        """Add an epoch to the metrics."""

    def rewrite(self, rows: Sequence[Row]) -> None:
        """Let the metrics be these."""

    def note(self, text: str) -> None:
        """Add a line to the log."""

    def end(self, fit: Fit, figure: bool) -> None:
        """Write the weights, how the run ended, and the figure, if it is wanted."""

    def lost(self, why: str) -> None:
        """Log why this process ends before the run does: another one is gone."""

    def close(self) -> None:
        """Let go of the folder."""


class RunStore(Store):
    """The store of a run with a folder.

    **Arguments:**

    - `folder`: of the run.
    - `run`, `options`: as `prepare` and `fit` have them.
    - `processes`: that train the run. All read; the first of them writes, but for checkpoints, which all do.

    **Raises:** `CheckpointError` if the run to be resumed was made of something else, or not all processes see the
    folder.
    """

    def __init__(self, folder: Folder, run: Run, options: FitOptions, processes: Processes) -> None:
        self.folder, self.path, self._writes = folder, folder.path, processes.writes
        self._form = ""  # what is said of equal layers that are computed otherwise than before
        self.every, self.seconds = options.checkpoint_every, options.checkpoint_seconds
        if processes.writes:  # others needn't read all data for a checksum
            self._compare_or_describe(run, options)
        processes.meet()
        if not _appears(folder.path / "config.json"):
            raise CheckpointError(
                f"process {processes.index} doesn't see the run that process 0 keeps in {folder.path}: several "
                "processes need a folder on a file system that all of them see"
            )
        self.checkpoints = Checkpoints(folder.path / "checkpoints", options.keep, together=processes.count > 1)
        self._belongs, self._index = run.belongs, processes.index
        self._best: tuple[int, PyTree, dict[str, Json]] | None = None
        self._saved = -1
        self._said: str | None = None  # of damaged checkpoints
        self._passed_at_save, self._time_of_save = 0, time.monotonic()

    def _compare_or_describe(self, run: Run, options: FitOptions) -> None:
        """Refuse to go on with what is another run, or write down what a new one is made of."""
        folder, made_of = self.folder, _with_data(run)
        if folder.resumed:
            was, now = folder.read_json("config.json")["made_of"], plain(made_of)
            old, new = [{**each, "rule": without_form(each.get("rule"))} for each in (was, now)]
            wrong = differences(old, new)
            if wrong:
                raise CheckpointError(
                    f"the run in {folder.path} is of another model, rule or data: {in_words(wrong)}. Resume it "
                    "with what it was begun with, or begin one in another folder"
                )
            forms = [each["rule"].get("equal_layers") for each in (was, now) if isinstance(each.get("rule"), dict)]
            if len(set(forms)) > 1:
                self._form = f"; equal_layers was {forms[0]!r} when it began, and is {forms[1]!r}"
            return
        by, mode = (None, "min") if run.best is None else (run.best.metric, run.best.mode)
        config = {"epochs": options.epochs, "best": by, "best_mode": mode, **first_held_out(run)}
        config |= {"layout": run.ensemble.layout.describe(), "named": {"rule": run.rule}}
        config |= plain(dict(options.config or {}))
        folder.write_json("versions.json", versions())
        # Last: it is what makes the folder a run.
        folder.write_json("config.json", {**config, "made_of": made_of})

    def begin(self, run: Run, options: FitOptions) -> None:
        networks, epochs = len(run.members), options.epochs
        text = f"began: {networks} network{'s' * (networks > 1)}, {epochs} epoch{'s' * (epochs > 1)}"
        if self.folder.resumed:
            self._go_on(run, options.epochs)
            text = f"resumed at epoch {run.progress.epoch}, batch {run.progress.batch}"
        if self._said is not None:
            self.folder.log(self._said)
        if self.folder.resumed:
            self.folder.metrics(run.progress.history, fresh=True)
            config = self.folder.read_json("config.json") if self._writes else {"epochs": epochs}
            if config.get("epochs") != epochs:
                self.folder.write_json("config.json", {**config, "epochs": epochs})
        layers = f"; {run.layers}" if run.layers else ""
        self.folder.log(f"{text}, {run.ensemble.layout.words()}{layers}{self._form}")

    def _go_on(self, run: Run, epochs: int) -> None:
        """Bring a run to where the one in the folder is. Without a checkpoint it stays at the start.

        **Arguments:**

        - `epochs`: in all, those before included.

        **Raises:** `ValueError` if it has more already; `CheckpointError` if it can't be read, or what is meant by its
        best epoch is something else now.
        """
        check_same(run, self.folder.read_json("config.json"))
        found = self._restore(tree_of(run))
        if found is None:
            return
        tree, progress = found[0], Progress(**found[1])
        if progress.epoch > epochs:
            raise ValueError(f"fit: the run in {self.path} has {progress.epoch} epochs; epochs={epochs} would be fewer")
        take_up(run, tree, progress)
        best = None if run.best is None else self._restore_best(tree_of(run))
        if run.best is not None and best is not None:
            run.best.take_up(best[0]["states"], best[1], run.progress.epoch)

    def _restore(self, like: PyTree) -> tuple[PyTree, dict[str, Any]] | None:
        """Read the newest whole checkpoint. Damaged ones that are newer are moved out of its way, with a warning.

        **Arguments:**

        - `like`: a tree of the form that it must have.

        **Returns:** its arrays and its JSON value; None if there is none.

        **Raises:** `CheckpointError` if all are damaged, or of another form.
        """
        damaged: list[tuple[int, Damaged]] = []
        for step in self.checkpoints.steps():
            try:
                tree, meta = self.checkpoints.load(like, step=step)
            except Damaged as e:
                damaged.append((step, e))
                continue
            for number, _ in damaged:
                place = self.checkpoints.set_aside(number)
                self._said = f"checkpoint {number} is damaged and was moved to {place}; checkpoint {step} is whole"
                warn(f"fit: {self._said}: the run goes on from there")
            return jtu.tree_map(jnp.asarray, tree), meta
        if damaged:
            raise damaged[0][1]
        return None

    def _restore_best(self, like: PyTree) -> tuple[PyTree, list[int]] | None:
        """Read the best checkpoint.

        **Returns:** its arrays, and of which epoch each network is; None if there is none.
        """
        if self.checkpoints.latest(best=True) is None:
            return None
        try:
            tree, meta = self.checkpoints.load(like, best=True)
        except CheckpointError as e:
            warn(f"fit: the best epoch so far is lost: {e}")
            return None
        return tree, meta.get("best_epochs", [meta["epoch"]] * len(tree["states"]))

    def at_most(self, passed: int) -> int | None:
        return None if self.every is None else max(self._passed_at_save + self.every - passed, 1)

    def due(self, passed: int, epoch_ended: bool) -> bool:
        if self.every is not None:
            return passed - self._passed_at_save >= self.every
        return epoch_ended and time.monotonic() - self._time_of_save > self.seconds

    def hold_best(self, run: Run) -> None:
        assert run.best is not None
        tree = {"states": run.best.trees(run.ensemble.states), "totals": run.ensemble.totals}
        meta = {**run.progress.copy(), "best_epochs": list(run.best.epochs)}
        self._best = (run.number, jax.device_get(tree), meta)

    def save(self, run: Run) -> None:
        number = run.number
        if number == self._saved:
            return
        if self._best is not None:
            if not self.checkpoints.has(self._best[0], best=True):
                self.checkpoints.save(*self._best, best=True)
            self._write_weights("best", self._best[1]["states"])
            self._best = None
        if not self.checkpoints.has(number):  # the one that the run goes on from, where no batch has passed since
            self.checkpoints.save(number, tree_of(run), run.progress.copy())
        self._saved, self._passed_at_save, self._time_of_save = number, run.passed, time.monotonic()

    def add(self, rows: Sequence[Row]) -> None:
        self.folder.metrics(rows)

    def rewrite(self, rows: Sequence[Row]) -> None:
        self.folder.metrics(rows, fresh=True)

    def note(self, text: str) -> None:
        self.folder.log(text)

    def end(self, fit: Fit, figure: bool) -> None:
        self._write_weights("weights", [as_tree(state) for state in fit.states])
        self.folder.log(fit.ended if fit.why is None else f"{fit.ended}: {fit.why}")
        # Last: whoever ends a job may not wait for it.
        if figure and can_draw(fit):
            self.folder.write("figure.png", lambda path: draw(fit, path))

    def _write_weights(self, kind: str, trees: Sequence[PyTree]) -> None:
        for i, tree in enumerate(trees):
            held = named_weights(tree)
            if held is not None:
                belongs = {**self._belongs[i], "run": {"weights": kind, "network": i}}
                name = file_name(kind, i if len(trees) > 1 else None)
                self.folder.write(name, lambda path, h=held, b=belongs: write_weights(path, h, b))

    def lost(self, why: str) -> None:
        if self._index == 0 or why.startswith("process 0"):  # else that one says so, for all
            with contextlib.suppress(CheckpointError):  # this process ends with an error already
                self.folder.log(f"process {self._index} ends: {why}", by_any=True)

    def close(self) -> None:
        self.checkpoints.close()


def check_store(options: FitOptions) -> None:
    """Refuse a folder that the run can't be kept in, and one without the packages that it needs.

    **Raises:** as `check_folder`; `ImportError` if a package is missing; `ValueError` or `TypeError` for a config that
    can't be kept.
    """
    if options.folder is None:
        return
    if options.overwrite:
        check_overwrite(options.folder)
    elif not check_folder(options.folder, options.resume) and options.resume is True:
        warn(f"fit: there is no run in {os.fspath(options.folder)} yet: it begins")
    require_orbax()
    require_safetensors()
    config = dict(options.config or {})
    if taken := [name for name in config if name in _OWN]:
        raise ValueError(f"fit: config has the name {taken[0]!r}, under which a run keeps its own; choose another")
    try:
        plain(config)
    except (TypeError, ValueError) as e:
        raise TypeError(f"fit: config can't be written as JSON: {e}") from e


def store_for(run: Run, options: FitOptions, processes: Processes) -> Store:
    """Return the store of a run, whose folder is made if need be."""
    if options.folder is None:
        return Store()
    if options.overwrite:
        if processes.writes:
            remove_run(options.folder)
        processes.meet()
    return RunStore(Folder(options.folder, options.resume, processes), run, options, processes)


def _appears(path: Path) -> bool:
    """Return whether there is a file. What another machine has written may take a while to be seen."""
    until = time.monotonic() + _UNSEEN
    while not path.is_file():
        if time.monotonic() > until:
            return False
        time.sleep(0.5)
    return True


def _with_data(run: Run) -> dict[str, Any]:
    """Describe all that a run is made of, its data to the last bit."""
    held_out = None if run.held_out is None else run.held_out.describe()
    return {**run.made_of, "data": {**run.made_of["data"], **run.source.fingerprint()}, "validation": held_out}


def plain(x: dict[str, Any]) -> dict[str, Any]:
    """Return a dict as JSON gives it back."""
    return json.loads(json.dumps(x, default=str))
