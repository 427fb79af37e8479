"""A run from its first batch to its last."""

from __future__ import annotations

import copy
import dataclasses
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from types import SimpleNamespace
from typing import Any

import jax
import jax.numpy as jnp
import jax.tree_util as jtu

from ..learning import Rule, explain
from ..predictive_coding import EnergyModule
from ._best import Best, as_tree
from ._checkpoint import CheckpointError
from ._crew import Crew
from ._describe import describe
from ._held_out import HeldArrays, HeldStream
from ._history import OWN, lines, not_finite, row, uphill, went_uphill
from ._keep import Keep, Standing
from ._loop import Loop, accuracy, as_function, is_class
from ._model import model_of
from ._progress import Pace, progress
from ._result import Fit, Member, Report
from ._signals import interruptible
from ._source import InMemory, Streamed
from ._stopping import EarlyStopping, Mode, direction, direction_or_more


class Run:
    """One call of `fit`, whose arguments these are. To make it changes nothing outside, the model included.

    **Attributes:**

    - `keep`: its folder, if it has one.
    - `made_of`: what it is made of, as plain data.
    - `judged_on`: the held-out data, if there is some.

    **Raises:** `TypeError` or `ValueError` for arguments that don't fit together.
    """

    def __init__(
        self,
        model: Any,
        rule: Any,
        members: Sequence[Member],
        source: InMemory | Streamed,
        held_out: HeldArrays | HeldStream | None,
        *,
        epochs: int,
        augment: Callable[[Any, Any], Any] | None,
        metrics: Mapping[str, Callable[[Any, Any], Any]] | None,
        early: EarlyStopping | None,
        best: str | None,
        best_mode: Mode | None,
        restore_best: bool,
        callbacks: Sequence[Callable[[Report], Any]],
        show: bool,
        parallel: str,
    ) -> None:
        self.model, self.members, self.source, self.epochs = model, list(members), source, epochs
        self.early, self.callbacks, self.show = early, list(callbacks), show
        make = as_function(rule)
        example = source.example()
        states = []
        for member in members:
            made = model_of("fit", model, member.seed)
            rule_ = _rule(make, member)
            states.append(rule_.init(made, example, member.seed))
            if len(states) == 1:
                self.made_of = {
                    "rule": describe(rule if member.settings else rule_),
                    "model": describe(made),
                    "data": source.describe(),
                    "augment": describe(augment),
                    "networks": [dataclasses.asdict(m) for m in members],
                }
        rule_ = _rule(make, members[0])
        if metrics is None:
            output = jax.eval_shape(lambda s: rule_.evaluate(s, example)[0], states[0])
            metrics = {"accuracy": accuracy} if is_class(output, example[1]) else {}
        self.best = best if best is not None else "validation_loss" if held_out is not None else None
        _check_names(members[0].settings, metrics, held_out is not None, self.best, early)
        if best_mode is not None and self.best is None:
            raise ValueError("fit: best_mode says how `best` is meant, and there is neither that nor validation")
        scores = [name for name, metric in metrics.items() if metric is accuracy or name == "accuracy"]
        if restore_best and self.best is None:
            raise ValueError("fit: restore_best needs validation, or `best`: the metric by which an epoch is the best")
        self.mode: Mode = "min" if self.best is None else best_mode or direction_or_more(self.best, scores)
        self.said_best, self.restore = best is not None or best_mode is not None, restore_best
        if early is not None and early.mode is None:
            way = direction(early.metric, "fit: the mode of early_stopping", scores)
            self.early = dataclasses.replace(early, mode=way)
        self.example = jax.tree.map(lambda a: jax.ShapeDtypeStruct(a.shape, a.dtype), example)
        many = len(members) > 1 and (parallel == "vmap" or (parallel == "auto" and jax.default_backend() != "cpu"))
        self.loop = Loop.of(rule, augment, metrics, many)
        self.crew = Crew(self.loop, states, [m.settings for m in members], many)
        self.crew.begin(self.example)  # traces a step: what is wrong with it is said now
        self.judged_on = held_out
        if held_out is not None:
            held_out.check(self.crew, lambda y: rule_.check_labels(states[0], example, y))
        self.keys = [jax.random.fold_in(jax.random.PRNGKey(m.seed), 0xDA7A) for m in members]
        self.at = Standing(0, 0, 0.0, [], [True] * len(members), [])
        self.held = None if self.best is None else Best(self.best, self.mode, len(members))
        self.passed = 0  # batches in this process
        self.warned: set[str] = set()  # of what has been said
        self.keep: Keep | None = None

    # -- what is kept ---------------------------------------------------------------------------------
    def keep_in(self, keep: Keep) -> None:
        """Keep the run in a folder, and take up the one that is there, if there is one."""
        self.keep = keep
        if keep.folder.resumed:
            config = keep.folder.read_json("config.json")
            self._same_best(config)
            self._same_held_out(config)
        found = keep.restore(self._tree()) if keep.folder.resumed else None
        if found is not None:
            tree, at = found
            if at.epoch > self.epochs:
                raise ValueError(
                    f"fit: the run in {keep.folder.path} has {at.epoch} epochs; epochs={self.epochs} would be fewer"
                )
            self.at = at
            states = [dataclasses.replace(s, **held) for s, held in zip(self.crew.states, tree["states"], strict=True)]
            self.crew = Crew(self.loop, states, [m.settings for m in self.members], self.crew.many)
            self.crew.begin(self.example, tree["totals"] if self.at.batch else None)
            if self.held is not None:
                self.held.recall(at.history)
                best = keep.restore_best(self._tree())
                if best is not None:
                    self.held.take_up(best[0]["states"], best[1], at.epoch)
        keep.begin(self.at, f"began: {len(self.members)} network(s), {self.epochs} epochs")

    def _same_best(self, config: Mapping[str, Any]) -> None:
        """What is meant by best must be what it was: of a run that is resumed the best so far is kept."""
        was, mode = config.get("best"), config.get("best_mode", self.mode)
        if was is None or self.best is None or (was, mode) == (self.best, self.mode):
            return
        if self.said_best:
            raise CheckpointError(
                f"fit: the run was begun with best={was!r}, best_mode={mode!r}, and its best epoch so far is that; "
                f"best={self.best!r}, best_mode={self.mode!r} would be another"
            )
        self.best, self.mode = was, mode
        self.held = Best(was, mode, len(self.members))

    def first_held_out(self) -> dict[str, Any]:
        """What is kept of held-out batches that come one by one: what the first one is."""
        first = None if self.judged_on is None else self.judged_on.first()
        return {} if first is None else {"first_held_out_batch": first}

    def _same_held_out(self, config: Mapping[str, Any]) -> None:
        """Say that held-out batches which come one by one are others, as far as the first one tells: a loader may
        shuffle them, so that it is no error."""
        was, now = config.get("first_held_out_batch"), self.first_held_out().get("first_held_out_batch")
        if was is not None and now is not None and was != now:
            warnings.warn(
                "fit: the first held-out batch is another than when the run was begun. If its source doesn't shuffle, "
                "the held-out data has changed, and what was judged before can't be compared with what comes",
                RuntimeWarning,
                stacklevel=4,
            )

    def _tree(self) -> dict[str, Any]:
        return {"states": [as_tree(s) for s in self.crew.states], "totals": self.crew.totals}

    @property
    def _number(self) -> int:
        """The number of a checkpoint of now: batches done in all."""
        return self.at.epoch * (self.source.per_epoch or 1_000_000) + self.at.batch

    def _save(self) -> None:
        if self.keep is not None:
            self.keep.save(self._number, self._tree(), self.at, self.passed)

    # -- the loop -------------------------------------------------------------------------------------
    def go(self) -> Fit:
        """Train to the end."""
        # A run that had run out of patience stays ended, whatever the number of epochs is now.
        ended = "done" if any(self.at.active) or self.at.epoch >= self.epochs else "stopped early"
        per_epoch = self.source.per_epoch
        total = None if per_epoch is None else self.epochs * per_epoch
        with interruptible() as asked:
            with progress(total, self._number, self.show) as (advance, say):
                while self.at.epoch < self.epochs and any(self.at.active):
                    if not self._epoch(asked, advance):
                        ended = "interrupted"
                        break
                    rows = self._finish_epoch()
                    self._warn(rows)
                    if rows:
                        by = ("loss", "min") if self.best is None else (self.best, self.mode)
                        for text in lines(self.at.epoch, self.epochs, rows, self.members, *by):
                            say(text)
                    stopped = self._judge_progress(rows)
                    if stopped or not any(self.at.active):
                        ended = "stopped early"
                        break
                    if asked():
                        ended = "interrupted" if self.at.epoch < self.epochs else ended
                        break
                    if self.keep is not None and self.keep.due(self.passed, epoch_ended=True):
                        self._save()
            self._save()
            return self._end(ended)

    def _epoch(self, asked: Callable[[], bool], advance: Callable[[int, str], None]) -> bool:
        """Go through the rest of an epoch; whether it came to its end."""
        at, text = self.at, f"epoch {self.at.epoch + 1}/{self.epochs}"
        keys = [jax.random.fold_in(key, at.epoch) for key in self.keys]
        begun = time.perf_counter()
        pace = Pace(self.source.per_epoch or 1)
        for span in self.source.epoch(at.epoch, at.batch):
            # A streamed batch is the first of its span, and still has a key of its own.
            of_span = [jax.random.fold_in(key, span.first) if span.first else key for key in keys]
            while at.batch < span.first + span.count:
                start = at.batch - span.first
                stop = min(start + pace.next(), span.count)
                most = None if self.keep is None else self.keep.at_most(self.passed)
                stop = stop if most is None else min(stop, start + most)
                with pace.timed(stop - start):
                    self.crew.run(span.arrays, span.rows, start, stop, at.active, of_span)
                at.batch += stop - start
                self.passed += stop - start
                self._notice_failures()
                now = time.perf_counter()
                at.seconds, begun = at.seconds + now - begun, now
                advance(stop - start, text)
                if not any(at.active):
                    return True
                if at.batch == self.source.per_epoch:
                    continue  # what comes next waits for the epoch's end
                if asked():
                    return False
                if self.keep is not None and self.keep.due(self.passed, epoch_ended=False):
                    self._save()
        return True

    def _notice_failures(self) -> None:
        for i, result in enumerate(self.crew.results()):
            if result and self.at.active[i]:
                self.at.active[i] = False
                totals = jax.device_get(self.crew.totals[i])
                info: Any = SimpleNamespace(result=result, first_bad=totals["bad"])
                reason = explain(info, self.crew.states[i])
                self.at.why.append(
                    f"{self.members[i].name}, epoch {self.at.epoch + 1}, after batch {totals['batches']}: {reason}"
                )

    def _finish_epoch(self) -> list[dict[str, Any]]:
        at = self.at
        judged: list[dict[str, float]] = [{} for _ in self.members]
        if self.judged_on is not None:
            means = self.judged_on.judge(self.crew, at.epoch)
            judged = [{f"validation_{k}": v for k, v in each.items()} for each in means]
        totals = jax.device_get(self.crew.totals)
        # A network that stopped before has no batches.
        learned = [i for i in range(len(self.members)) if totals[i]["batches"]]
        rows = [row(at.epoch + 1, i, self.members[i], totals[i], judged[i], at.seconds) for i in learned]
        at.history += rows
        at.epoch, at.batch, at.seconds = at.epoch + 1, 0, 0.0
        self.crew.begin(self.example)
        if self.keep is not None:
            self.keep.folder.metrics(rows)
        return rows

    def _warn(self, rows: list[dict[str, Any]]) -> None:
        """Say, each once in a run, that settling went uphill in an epoch, and that a number of it is not finite."""
        for each in rows:
            said = {"uphill": uphill(each) if each["uphill"] else None, "not finite": not_finite(each)}
            for kind, text in said.items():
                if text is not None and kind not in self.warned:
                    self.warned.add(kind)
                    name = self.members[each["network"]].name
                    warnings.warn(f"fit: {name}, {text}", RuntimeWarning, stacklevel=4)

    def _judge_progress(self, rows: list[dict[str, Any]]) -> bool:
        """After an epoch: whether to stop."""
        at = self.at
        if self.early is not None:
            for i in range(len(self.members)):
                own = [each for each in at.history if each["network"] == i]
                if at.active[i] and own and self.early.out_of_patience(own):
                    at.active[i] = False
        if self.held is not None and rows:
            better = self.held.look(rows, lambda: self.crew.states)
            if better and self.keep is not None:
                tree = {"states": self.held.trees(self.crew.states), "totals": self.crew.totals}
                self.keep.hold_best(self._number, tree, at, self.held.epochs)
        if not self.callbacks:
            return False
        # Copies, for each callback its own: the loop will use up its states, and a callback may keep or change what it
        # is given.
        copied = jtu.tree_map(jnp.array, self.crew.states)
        reports = [Report(at.epoch, copy.deepcopy(rows), jtu.tree_map(lambda a: a, copied)) for _ in self.callbacks]
        for callback, report in zip(self.callbacks, reports, strict=True):
            callback(report)
        return any(report.stopped for report in reports)

    def _end(self, ended: str) -> Fit:
        states = self.crew.states
        best = [] if self.held is None else self.held.states(states)
        states = best if self.restore else states
        if isinstance(self.model, EnergyModule):
            states[0].write_to(self.model)
        reasons = list(self.at.why)
        for i, member in enumerate(self.members):
            said = went_uphill([each for each in self.at.history if each["network"] == i])
            if said and ended != "interrupted" and not any(r.startswith(f"{member.name}, epoch ") for r in reasons):
                reasons.append(f"{member.name}, {said}")
        ended = "failed" if reasons else ended
        why = "; ".join(reasons) or None
        if self.at.why and not self.show:
            warnings.warn(f"fit: training failed: {why}", RuntimeWarning, stacklevel=4)
        folder = None if self.keep is None else self.keep.folder.path
        epochs = [] if self.held is None else list(self.held.epochs)
        fit = Fit(states, self.members, self.at.history, ended, why, folder, best, epochs, self.best, self.mode)
        if self.keep is not None:
            self.keep.end(fit)
        return fit


def _rule(make: Callable[..., Any], member: Member) -> Rule:
    made = make(**member.settings)
    if not isinstance(made, Rule):
        raise TypeError(f"fit: the function of the settings must make a pcx.learning.Rule, not {type(made).__name__}")
    return made


def _check_names(
    settings: Mapping[str, Any],
    metrics: Mapping[str, Any],
    validation: bool,
    best: str | None,
    early: EarlyStopping | None,
) -> None:
    for name in [*settings, *[m for m in metrics if m != "accuracy"]]:
        if name in OWN or name.startswith("validation_"):
            raise ValueError(f"fit: {name!r} is a name that the history uses itself; choose another")
        if name in settings and name in metrics:
            raise ValueError(f"fit: {name!r} is a setting and a metric; choose another name for one")
    names = ["energy", "loss", "steps", *metrics]
    names += [f"validation_{name}" for name in ("loss", *metrics)] if validation else []
    for call, name in {"best": best, "early_stopping": None if early is None else early.metric}.items():
        if name is not None and name not in names:
            missing = "" if validation or not name.startswith("validation_") else " without validation"
            raise ValueError(f"fit: {call} asks for {name!r}{missing}; the history will have {', '.join(names)}")
