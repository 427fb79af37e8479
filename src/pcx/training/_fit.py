"""Training: epochs, held-out data, checkpoints, and how a run ends."""

from __future__ import annotations

import dataclasses
import itertools
import math
import os
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from types import SimpleNamespace
from typing import Any, Literal

import jax
import jax.numpy as jnp
import jax.tree_util as jtu
import numpy as np

from ..core._random import RKG
from ..learning import Rule, explain
from ..predictive_coding import EnergyModule
from ._checkpoint import CheckpointError, Checkpoints
from ._crew import Crew
from ._describe import describe, differences
from ._folder import Folder, versions
from ._loop import Loop, accuracy, held_out_rows, is_class
from ._progress import Pace, interruptible, progress
from ._result import Fit, Member, Report
from ._source import InMemory, Streamed, as_arrays, as_source
from ._stopping import EarlyStopping, cost
from ._weights import save_weights

_JUDGED = 512  # held-out samples looked at together


def fit(
    model: EnergyModule | Callable[[], EnergyModule],
    rule: Rule | Callable[..., Rule],
    train: Any,
    validation: Any = None,
    *,
    epochs: int,
    batch_size: int = 128,
    seeds: int | Sequence[int] = 0,
    settings: Sequence[Mapping[str, float]] | None = None,
    augment: Callable[[Any, Any], Any] | None = None,
    metrics: Mapping[str, Callable[[Any, Any], Any]] | None = None,
    early_stopping: EarlyStopping | None = None,
    callbacks: Iterable[Callable[[Report], Any]] = (),
    folder: str | os.PathLike[str] | None = None,
    resume: bool = False,
    checkpoint_every: int | None = None,
    checkpoint_seconds: float = 60.0,
    keep: int = 2,
    best: str | None = None,
    config: Mapping[str, Any] | None = None,
    show: bool = True,
    parallel: Literal["auto", "vmap", "loop"] = "auto",
) -> Fit:
    """Train a model by a rule. At its end the model that was given holds the learned weights.

    As many batches as pass in about a second go into one dispatch, gathered on the device. Whatever is done in one dispatch, and
    wherever a run is cut off and resumed, the bits are the same.

    **Arguments:**

    - `model`: an energy module; or a function that makes one, called once for each seed with `pcx.RKG` seeded.
    - `rule`: a learning rule; or a function of the settings that makes one.
    - `train`: a `pcx.data.Split` or a pair of arrays `(x [N, ...], y [N, ...])`, shuffled by each network's seed;
        `pcx.data.ArrayBatches`; or any iterable of batches `(x, y)`, Grain's loaders included.
    - `validation`: a split or a pair of arrays, judged after every epoch in evaluation mode.
    - `epochs`: in all, those before a resume included.
    - `batch_size`: of arrays that come without batches; what is left over of an epoch is dropped.
    - `seeds`: one or several; with several, `model` must be a function. Each gives a network of its own, with first weights, order
        of the data and random keys from the seed.
    - `settings`: what a function `rule` is called with, one network for each seed and each of them; numbers, passed into
        the one compiled program.
    - `augment`: `augment(key, x) -> x` inside the compiled step, as from `pcx.data.flip`.
    - `metrics`: `{name: f(output, y) -> [batch]}`; by default accuracy where y holds class numbers.
    - `early_stopping`: see `EarlyStopping`.
    - `callbacks`: functions of a `Report`, called after every epoch.
    - `folder`: where config, versions, log, metrics, checkpoints and weights are kept; `resume` goes on with the run in it.
    - `checkpoint_every`: batches between checkpoints; else one at the first epoch's end after `checkpoint_seconds`. One is
        always written at the end and on Ctrl-C.
    - `keep`: how many of the last checkpoints are kept. `best`: the metric by which one more, the best, is; by default
        `"validation_loss"` if there is validation, the mean over the networks.
    - `config`: anything to be kept in the folder's `config.json`, as JSON.
    - `show`: whether to show progress.
    - `parallel`: several networks at once by `"vmap"`, or in turn by `"loop"`; `"auto"` is vmap except on CPUs.

    **Raises:** `ValueError` or `TypeError` for arguments that don't fit; `RunExists` if the folder holds something;
    `CheckpointError` if a checkpoint can't be written, or is of another model or rule, naming the differences.
    """
    if isinstance(epochs, bool) or not isinstance(epochs, int) or epochs < 1:
        raise ValueError(f"fit: epochs must be a whole number of at least 1, got {epochs!r}")
    members = _members(model, rule, seeds, settings)
    source = as_source(train, batch_size, [m.seed for m in members])
    if resume and folder is None:
        raise ValueError("fit: resume=True needs the folder of the run")
    # Arguments are judged before a folder is made, so that a refused call leaves nothing behind.
    run = _Run(model, rule, members, source, validation, epochs, augment, metrics, early_stopping, best, parallel)
    run.callbacks, run.show = list(callbacks), show
    run.every, run.seconds_between = checkpoint_every, checkpoint_seconds
    if checkpoint_every is not None and checkpoint_every < 1:
        raise ValueError(f"fit: checkpoint_every must be at least 1, got {checkpoint_every}")
    if folder is not None:
        run.open(folder, resume, keep, dict(config or {}))
    try:
        return run.go()
    finally:
        run.close()


def _members(model: Any, rule: Any, seeds: Any, settings: Any) -> list[Member]:
    seeds = [seeds] if isinstance(seeds, (int, np.integer)) else list(seeds)
    if not seeds or len(set(seeds)) != len(seeds):
        raise ValueError(f"fit: seeds must be one or several different numbers, got {seeds}")
    if isinstance(model, EnergyModule):
        if len(seeds) > 1:
            raise ValueError("fit: several seeds need a function that makes the model, called once for each")
    elif not callable(model):
        raise TypeError(f"fit: model must be an EnergyModule or a function that makes one, got {type(model).__name__}")
    if isinstance(rule, Rule):
        if settings is not None:
            raise ValueError("fit: settings need a function `rule(**settings)`; a rule was given")
    elif not callable(rule):
        raise TypeError(
            f"fit: rule must be a pcx.learning.Rule or a function that makes one, got {type(rule).__name__}"
        )
    elif not settings:
        raise ValueError("fit: rule is a function: give the settings to call it with, such as settings=[{'lr': 1e-3}]")
    return [Member(int(s), dict(c)) for s, c in itertools.product(seeds, settings or [{}])]


class _Run:
    """One call of `fit`."""

    def __init__(
        self,
        model: Any,
        rule: Any,
        members: list[Member],
        source: InMemory | Streamed,
        validation: Any,
        epochs: int,
        augment: Any,
        metrics: Any,
        early: EarlyStopping | None,
        best: str | None,
        parallel: str,
    ) -> None:
        if parallel not in ("auto", "vmap", "loop"):
            raise ValueError(f"fit: parallel must be 'auto', 'vmap' or 'loop', got {parallel!r}")
        self.model, self.members, self.source, self.epochs, self.early = model, members, source, epochs, early
        self.make = (lambda: rule) if isinstance(rule, Rule) else rule
        self.held_out = None if validation is None else as_arrays(validation)
        if validation is not None and self.held_out is None:
            raise TypeError("fit: validation must be a split or a pair of arrays (x, y)")
        self.best = best if best is not None else "validation_loss" if validation is not None else None
        example = source.example()
        if not isinstance(example, (tuple, list)) or len(example) != 2:
            raise TypeError("fit: a batch must be a pair (x, y)")
        example = tuple(example)
        self.first: Any = None
        states = [self._begin(member, example) for member in members]
        rule_ = self.make(**members[0].settings)
        output = jax.eval_shape(lambda s: rule_.step(s, example)[1].output, states[0])
        if metrics is None:
            metrics = {"accuracy": accuracy} if is_class(output, example[1]) else {}
        self.example = jax.tree.map(lambda a: jax.ShapeDtypeStruct(a.shape, a.dtype), example)
        many = len(members) > 1 and (parallel == "vmap" or (parallel == "auto" and jax.default_backend() != "cpu"))
        convolves = rule_.convolves(states[0])
        self.loop = Loop(self.make, augment, metrics, many, convolves)
        self.crew = Crew(self.loop, states, [m.settings for m in members], many)
        self.keys = [jax.random.fold_in(jax.random.PRNGKey(m.seed), 0xDA7A) for m in members]
        self.made_of = {
            "rule": describe(rule_) if not members[0].settings else describe(rule),
            "model": describe(self.first),
            "data": source.describe(),
            "augment": describe(augment),
            "networks": [dataclasses.asdict(m) for m in members],
        }
        self.history: list[dict[str, Any]] = []
        self.epoch = self.batch = 0
        self.active = [True] * len(members)
        self.seconds = 0.0
        self.restored: list[Any] | None = None
        self.why: list[str] = []
        self.folder: Folder | None = None
        self.checkpoints: Checkpoints | None = None
        self.callbacks: list[Any] = []
        self.show = True
        self.every: int | None = None
        self.seconds_between = 60.0
        self.saved_at = (-1, time.monotonic())
        self.best_held: Any = None

    def _begin(self, member: Member, example: Any) -> Any:
        if isinstance(self.model, EnergyModule):
            made = self.model
        else:
            before = RKG.key.get()
            RKG.seed(member.seed)
            try:
                made = self.model()
            finally:
                RKG.key.set(before)
            if not isinstance(made, EnergyModule):
                raise TypeError(f"fit: the function must make an EnergyModule, but it gave {type(made).__name__}")
        if self.first is None:
            self.first = made
        return self.make(**member.settings).init(made, example, member.seed)

    # -- the folder -----------------------------------------------------------------------------------
    def open(self, path: Any, resume: bool, keep: int, config: dict[str, Any]) -> None:
        """Begin or take up the run in a folder."""
        self.folder = folder = Folder(path, resume)
        if resume:
            old = folder.read_json("config.json")["made_of"]
            wrong = differences(old, _plain(self.made_of))
            if wrong:
                raise CheckpointError(
                    f"the run in {folder.path} is of another model, rule or data: {'; '.join(wrong[:5])}"
                    f"{f' and {len(wrong) - 5} more' if len(wrong) > 5 else ''}"
                )
        self.checkpoints = Checkpoints(folder.path / "checkpoints", keep)
        if resume:
            if self.checkpoints.latest() is not None:
                self._restore()
            folder.metrics(self.history, fresh=True)
            folder.log(f"resumed at epoch {self.epoch}, batch {self.batch}")
        else:
            folder.write_json("versions.json", versions())
            folder.write_json(
                "config.json", {"epochs": self.epochs, "best": self.best, **config, "made_of": self.made_of}
            )
            folder.log(f"began: {len(self.members)} network(s), {self.epochs} epochs")

    def _tree(self) -> dict[str, Any]:
        states = [
            {"weights": s.weights, "rest": s.rest, "optim": s.optim, "key": s.key, "memory": s.memory}
            for s in self.crew.states
        ]
        return {"states": states, "totals": self.crew.totals}

    def _restore(self) -> None:
        assert self.checkpoints is not None
        self.crew.begin(self.example)
        tree, meta = self.checkpoints.load(self._tree())
        states = [
            dataclasses.replace(s, **jtu.tree_map(jnp.asarray, held))
            for s, held in zip(self.crew.states, tree["states"], strict=True)
        ]
        self.crew = Crew(self.loop, states, [m.settings for m in self.members], self.crew.many)
        self.epoch, self.batch = meta["epoch"], meta["batch"]
        self.history, self.active, self.seconds = meta["history"], meta["active"], meta["seconds"]
        self.why = meta["why"]
        self.restored = tree["totals"] if self.batch else None

    def save(self) -> None:
        """Write a checkpoint of now, unless the last one is of now."""
        if self.checkpoints is None:
            return
        done = self.done
        if self.saved_at[0] == done:
            return
        if self.best_held is not None:
            self.checkpoints.save(*self.best_held, best=True)
            self.best_held = None
        self.checkpoints.save(done, self._tree(), self._meta())
        self.saved_at = (done, time.monotonic())

    def _meta(self) -> dict[str, Any]:
        return {
            "epoch": self.epoch,
            "batch": self.batch,
            "history": list(self.history),
            "active": list(self.active),
            "seconds": self.seconds,
            "why": list(self.why),
        }

    @property
    def done(self) -> int:
        """Batches done in all, which numbers the checkpoints."""
        per_epoch = self.source.per_epoch or 1_000_000
        return self.epoch * per_epoch + self.batch

    def _is_best(self) -> bool:
        if self.best is None or not self.history:
            return False
        by_epoch: dict[int, list[float]] = {}
        for row in self.history:
            by_epoch.setdefault(row["epoch"], []).append(cost(row, self.best))
        means = {epoch: sum(costs) / len(costs) for epoch, costs in by_epoch.items()}
        return means[max(means)] <= min(means.values())

    def close(self) -> None:
        """Let go of the folder."""
        if self.checkpoints is not None:
            self.checkpoints.close()

    # -- the loop -------------------------------------------------------------------------------------
    def go(self) -> Fit:
        """Train to the end."""
        ended = "done"
        total = self.epochs * (self.source.per_epoch or 0)
        if self.epoch < self.epochs and self.crew._totals is None:
            self.crew.begin(self.example, self.restored)
        with interruptible() as asked, progress(total, self.done, self.show) as (advance, say):
            while self.epoch < self.epochs and any(self.active):
                whole = self._epoch(asked, advance)
                if not whole:
                    ended = "interrupted"
                    break
                rows = self._finish_epoch()
                stopped = self._after(rows, say)
                if stopped or not any(self.active):
                    ended = "stopped early"
                    break
                if asked():
                    ended = "interrupted" if self.epoch < self.epochs else ended
                    break
                if self.every is None and time.monotonic() - self.saved_at[1] > self.seconds_between:
                    self.save()
        self.save()
        if self.why:
            ended = "failed"
        return self._end(ended)

    def _epoch(self, asked: Callable[[], bool], advance: Any) -> bool:
        """Go through the rest of an epoch; whether it came to its end."""
        keys = [jax.random.fold_in(key, self.epoch) for key in self.keys]
        begun = time.perf_counter()
        pace = Pace(self.source.per_epoch or 1)
        for span in self.source.epoch(self.epoch, self.batch):
            while self.batch < span.first + span.count:
                start = self.batch - span.first
                stop = min(start + pace.next(), span.count)
                if self.every is not None:
                    stop = min(stop, start + self.every - self.batch % self.every)
                # A streamed batch is the first of its span, and still has a key of its own.
                of_span = [jax.random.fold_in(key, span.first) if span.first else key for key in keys]
                with pace.timed(stop - start):
                    self.crew.run(span.arrays, span.rows, start, stop, self.active, of_span)
                self.batch += stop - start
                self._notice_failures()
                self.seconds += time.perf_counter() - begun
                begun = time.perf_counter()
                advance(stop - start, f"epoch {self.epoch + 1}/{self.epochs}")
                at_end = self.batch == self.source.per_epoch
                if asked() and not at_end:
                    return False
                if self.every is not None and self.batch % self.every == 0 and not at_end:
                    self.save()
                if not any(self.active):
                    return True
        return True

    def _notice_failures(self) -> None:
        results = jax.device_get([t["result"] for t in self.crew.totals])
        for i, result in enumerate(results):
            if result and self.active[i]:
                self.active[i] = False
                totals = self.crew.totals[i]
                info: Any = SimpleNamespace(result=result, first_bad=totals["bad"])
                reason = explain(info, self.crew.states[i])
                batch = int(totals["batches"])
                self.why.append(f"{self.members[i].name}, epoch {self.epoch + 1}, after batch {batch}: {reason}")

    def _finish_epoch(self) -> list[dict[str, Any]]:
        judged: list[dict[str, float]] = [{} for _ in self.members]
        if self.held_out is not None:
            n = len(jtu.tree_leaves(self.held_out)[0])
            self.held_out = jtu.tree_map(jnp.asarray, self.held_out)
            sums = self.crew.judge(self.held_out, *held_out_rows(n, min(_JUDGED, n)))
            judged = [{f"validation_{k}": v / n for k, v in each.items()} for each in sums]
        rows = []
        was_active = {row["network"] for row in self.history if row["epoch"] == self.epoch}
        for i, totals in enumerate(jax.device_get(self.crew.totals)):
            count = int(totals["batches"])
            if not count or (not self.active[i] and self.epoch and i not in was_active):
                continue
            sums = dict(totals["sums"])
            energies = {k: _number(v / count) for k, v in sums.pop("energies").items()}
            member = self.members[i]
            rows.append(
                {
                    "epoch": self.epoch + 1,
                    "network": i,
                    "seed": member.seed,
                    **member.settings,
                    **{k: _number(v / count) for k, v in sums.items()},
                    **{k: _number(v) for k, v in judged[i].items()},
                    "seconds": round(self.seconds, 4),
                    "energies": energies,
                }
            )
        self.history += rows
        self.epoch, self.batch, self.seconds = self.epoch + 1, 0, 0.0
        if self.epoch < self.epochs:
            self.crew.begin(self.example)
        if self.folder is not None:
            self.folder.metrics(rows)
            if self._is_best():
                # Held until the next checkpoint is due: a run that is killed before comes to this epoch again.
                self.best_held = (self.done, jax.device_get(self._tree()), self._meta())
        return rows

    def _after(self, rows: list[dict[str, Any]], say: Any) -> bool:
        say(_line(self.epoch, self.epochs, rows))
        if self.early is not None:
            for i in range(len(self.members)):
                own = [row for row in self.history if row["network"] == i]
                if self.active[i] and own and self.early.out_of_patience(own):
                    self.active[i] = False
        report = Report(self.epoch, rows, self.crew.states)
        for callback in self.callbacks:
            callback(report)
        return report.stopped

    def _end(self, ended: str) -> Fit:
        states = self.crew.states
        if isinstance(self.model, EnergyModule):
            states[0].write_to(self.model)
        if self.folder is not None:
            for i, state in enumerate(states):
                name = "weights.safetensors" if len(states) == 1 else f"weights-{i}.safetensors"
                self.folder.write(name, lambda path, state=state: save_weights(path, state))
            self.folder.log(ended + "".join(f"\n{line}" for line in self.why))
        return Fit(
            states,
            self.members,
            self.history,
            ended,
            "; ".join(self.why) or None,
            None if self.folder is None else self.folder.path,
        )


def _number(x: Any) -> float | None:
    x = float(x)
    return x if math.isfinite(x) else None


def _line(epoch: int, epochs: int, rows: list[dict[str, Any]]) -> str:
    parts = []
    for name in ("energy", "loss", "accuracy", "validation_loss", "validation_accuracy"):
        values = [row[name] for row in rows if row.get(name) is not None]
        if values:
            mean = sum(values) / len(values)
            text = f"{mean:.2%}" if "accuracy" in name else f"{mean:.4g}"
            parts.append(f"{name.replace('_', ' ')} {text}")
    seconds = max((row["seconds"] for row in rows), default=0.0)
    return f"epoch {epoch}/{epochs}: {', '.join(parts)} ({seconds:.1f} s)"


def _plain(x: Any) -> Any:
    """As JSON gives it back."""
    import json

    return json.loads(json.dumps(x, default=str))
