"""The parts of the loop between dispatches: after each of them, at the end of an epoch, and at the end of a run."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Mapping, Sequence

import jax
import jax.numpy as jnp
import jax.tree_util as jtu

from ..predictive_coding import EnergyModule
from ._history import lines, not_finite, row, uphill, went_uphill, without_network
from ._options import FitOptions
from ._prepare import Run
from ._result import Fit, Report
from ._rule import failure
from ._source import Chunk
from ._store import Store
from ._types import Row
from ._warn import warn


def advance(run: Run, chunk: Chunk) -> None:
    """Take note of a chunk that is done, and of the networks that failed in it."""
    progress = run.progress
    progress.batch += chunk.batches
    progress.trained += chunk.batches
    run.passed += chunk.batches
    for i, result in enumerate(run.ensemble.results()):
        if result and progress.active[i]:
            progress.active[i] = False
            totals = jax.device_get(run.ensemble.totals[i])
            reason = failure(result, totals["bad"], run.ensemble.states[i])
            progress.why.append(
                f"{run.members[i].name}, epoch {progress.epoch + 1}, after batch {totals['batches']}: {reason}"
            )


def begin_looking(run: Run, store: Store) -> str:
    """Warn of what keeps the networks from learning, and look at them before their first batch, if that is asked
    for.

    **Returns:** what there is to say where nothing was warned of.
    """
    if run.looking is None:
        return ""
    found, well = run.looking.begin(run.ensemble.states, run.progress.trained)
    for said in found:
        warn(f"fit: before the first batch: {said}")
        store.note(f"before the first batch: {said}")
    if well:
        store.note(well)
    if not run.progress.trained and not run.progress.seen:
        look(run)
    return well


def look(run: Run) -> None:
    """Look at the networks that learn, if it is time to."""
    progress = run.progress
    if run.looking is not None and run.looking.due(progress.trained):
        found = run.looking.look(run.ensemble.states, progress.trained)
        progress.seen = [*progress.seen, *[row for row in found if progress.active[row["network"]]]]


def _look_at_the_end(run: Run, ends: Mapping[int, int]) -> list[Row]:
    """Look at networks that have learned for the last time.

    **Arguments:**

    - `ends`: by their numbers, the batches that they have learned from.

    **Returns:** what was seen of them.
    """
    if run.looking is None or run.looking.probe.every is None or not ends:
        return []
    found = run.looking.look(run.ensemble.states, run.progress.trained, last=True)
    return [seen | {"batch": ends[seen["network"]]} for seen in found if seen["network"] in ends]


def _ends(run: Run, row: Row, epochs: int) -> bool:
    """Return whether an epoch is the last one of the network whose row it is."""
    if run.progress.epoch + 1 >= epochs or not run.progress.active[row["network"]]:
        return True
    own = [each for each in run.progress.history if each["network"] == row["network"]]
    return run.early is not None and run.early.out_of_patience([*own, row])


def finish_epoch(run: Run, store: Store, epochs: int, say: Callable[[str], None]) -> list[Row]:
    """Judge the networks on held-out data, and add the epoch to the history.

    **Arguments:**

    - `epochs`: of the run, in all.
    - `say`: shows a line.

    **Returns:** the epoch's rows, one for each network that learned in it.
    """
    progress = run.progress
    judged: list[dict[str, float]] = [{} for _ in run.members]
    if run.held_out is not None:
        means = run.held_out.judge(run.ensemble, progress.epoch)
        judged = [{f"validation_{k}": v for k, v in each.items()} for each in means]
    totals = jax.device_get(run.ensemble.totals)
    # A network that stopped before has no batches.
    learned = [i for i in range(len(run.members)) if totals[i]["batches"]]
    rows = [row(progress.epoch + 1, i, run.members[i], totals[i], judged[i], progress.seconds) for i in learned]
    if run.looking is not None and run.looking.probe.every is not None:
        # One that failed did so in the middle of the batches that it was given.
        begun = progress.trained - progress.batch
        ends = {i: begun + int(totals[i]["batches"]) for i in [r["network"] for r in rows if _ends(run, r, epochs)]}
        found = _look_at_the_end(run, ends)
        # What was seen there already was not known to be the last.
        before = [seen for seen in progress.seen if ends.get(seen["network"]) != seen["batch"]]
        progress.seen = [*before, *found]
        for each in rows:
            each["regime"] = [without_network(seen) for seen in progress.seen if seen["network"] == each["network"]]
    progress.history += rows
    progress.epoch, progress.batch, progress.seconds, progress.seen = progress.epoch + 1, 0, 0.0, []
    run.ensemble.begin(run.example)
    store.add(rows)
    _warn(run, rows)
    if rows:
        for text in lines(progress.epoch, epochs, rows, run.members, *run.judged_by):
            say(text)
    return rows


def _warn(run: Run, rows: Sequence[Row]) -> None:
    """Say, each once in a run, that settling went uphill in an epoch, and that a number of it is not finite."""
    for each in rows:
        said = {"uphill": uphill(each) if each["uphill"] else None}
        if run.progress.active[each["network"]]:  # of one that failed in the epoch the reason says more
            said["not finite"] = not_finite(each)
        for kind, text in said.items():
            if text is not None and kind not in run.warned:
                run.warned.add(kind)
                warn(f"fit: {run.members[each['network']].name}, {text}")


def judge_epoch(run: Run, store: Store, rows: Sequence[Row], callbacks: Iterable[Callable[[Report], object]]) -> bool:
    """Look at an epoch that is done: stop networks that are out of patience, hold the best, call the callbacks,
    which may stop networks, too.

    **Returns:** whether a callback asked to stop the run.
    """
    progress = run.progress
    if run.early is not None:
        for i in range(len(run.members)):
            own = [each for each in progress.history if each["network"] == i]
            if progress.active[i] and own and run.early.out_of_patience(own):
                progress.active[i] = False
    if run.best is not None and rows and run.best.look(rows, lambda: run.ensemble.states):
        store.hold_best(run)
    if not callbacks:
        return False
    # Copies, for each callback its own: the loop will use up its states, and a callback may keep or change what it is
    # given.
    copied = jtu.tree_map(jnp.array, run.ensemble.states)
    reports = [Report(progress.epoch, copy.deepcopy(list(rows)), jtu.tree_map(lambda a: a, copied)) for _ in callbacks]
    learned = list(progress.active)
    for callback, report in zip(callbacks, reports, strict=True):
        callback(report)
        for i in report.left:
            progress.active[i] = False
    stopped = any(report.stopped for report in reports)
    _look_at_stopped(run, store, rows, [on and (stopped or not progress.active[i]) for i, on in enumerate(learned)])
    return stopped


def _look_at_stopped(run: Run, store: Store, rows: Sequence[Row], stopped: Sequence[bool]) -> None:
    """Look at the networks that callbacks have stopped, now that the epoch's rows are written."""
    trained = run.progress.trained
    own = {row["network"]: row["regime"] for row in rows if "regime" in row and stopped[row["network"]]}
    if found := _look_at_the_end(run, dict.fromkeys(own, trained)):
        for look in found:
            seen = own[look["network"]]
            seen[:] = [*[each for each in seen if each["batch"] != trained], without_network(look)]
        store.rewrite(run.progress.history)


def finish(run: Run, store: Store, ended: str, options: FitOptions) -> Fit:
    """Write what was learned into the model and the folder, and return the result of the run.

    **Arguments:**

    - `ended`: as `Fit.ended` says it; a run with a network that failed has failed.
    """
    states, progress, best = run.ensemble.states, run.progress, run.best
    best_states = [] if best is None else best.states(states)
    if options.restore_best:
        states = best_states
    if isinstance(run.model, EnergyModule):
        _write(states[0], run.model)
    reasons = list(progress.why)
    for i, member in enumerate(run.members):
        said = went_uphill([each for each in progress.history if each["network"] == i])
        if said and ended != "interrupted" and not any(r.startswith(f"{member.name}, epoch ") for r in reasons):
            reasons.append(f"{member.name}, {said}")
    ended = "failed" if reasons else ended
    why = "; ".join(reasons) or None
    if progress.why:
        warn(f"fit: training failed: {why}")
    epochs = [] if best is None else list(best.epochs)
    by, mode = (None, "min") if best is None else (best.metric, best.mode)
    fit = Fit(
        states, run.members, progress.history, ended, why, store.path, best_states, epochs, by, mode, progress.compiled
    )
    store.end(fit, options.figure)
    return fit


def _write(state: object, model: EnergyModule) -> None:
    if hasattr(state, "write_to"):
        state.write_to(model)  # type: ignore[attr-defined]
    else:
        warn(
            f"fit: the model is as it was: a state of this rule, {type(state).__name__}, has no write_to(model). What "
            "was learned is in the states that fit returns"
        )
