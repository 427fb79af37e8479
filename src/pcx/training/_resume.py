"""Going on with a run: what it was begun with, and where it was."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ._best import Best
from ._files import CheckpointError
from ._prepare import Run
from ._progress import Progress
from ._rule import as_tree, with_tree
from ._warn import warn


def tree_of(run: Run) -> dict[str, Any]:
    """Return all arrays that a run needs to go on, as a checkpoint holds them."""
    return {"states": [as_tree(s) for s in run.ensemble.states], "totals": run.ensemble.totals}


def check_same(run: Run, config: Mapping[str, Any]) -> None:
    """Take over what a run was begun with and isn't part of what it is made of: its best epoch's metric, and the first
    batch of held-out data.

    **Arguments:**

    - `config`: the run's `config.json`.

    **Raises:** `CheckpointError` if another metric was asked for.
    """
    _same_best(run, config)
    _same_held_out(run, config)


def take_up(run: Run, tree: Mapping[str, Any], progress: Progress) -> None:
    """Bring a run to where it was when a checkpoint was written.

    **Arguments:**

    - `tree`: the checkpoint's arrays, of the form of `tree_of(run)`.
    - `progress`: as it was then.
    """
    run.progress = progress
    if not progress.trained and run.source.per_epoch is not None:  # of a run before this was counted
        progress.trained = progress.epoch * run.source.per_epoch + progress.batch
    run.ensemble.set([with_tree(s, held) for s, held in zip(run.ensemble.states, tree["states"], strict=True)])
    run.ensemble.begin(run.example, tree["totals"] if progress.batch else None)
    if run.best is not None:
        run.best.recall(progress.history)


def _same_best(run: Run, config: Mapping[str, Any]) -> None:
    """Refuse another metric of the best epoch than the run was begun with: its best so far is kept."""
    if run.best is None:
        return
    was, mode = config.get("best"), config.get("best_mode", run.best.mode)
    if was is None or (was, mode) == (run.best.metric, run.best.mode):
        return
    if run.best_is_said:
        raise CheckpointError(
            f"fit: the run was begun with best={was!r}, best_mode={mode!r}, and its best epoch so far is that; "
            f"best={run.best.metric!r}, best_mode={run.best.mode!r} would be another"
        )
    run.best = Best(was, mode, len(run.members))


def first_held_out(run: Run) -> dict[str, Any]:
    """Return what is kept of held-out batches that come one by one: a description of the first one."""
    first = None if run.held_out is None else run.held_out.first()
    return {} if first is None else {"first_held_out_batch": first}


def _same_held_out(run: Run, config: Mapping[str, Any]) -> None:
    """Warn if held-out batches that come one by one are others, as far as the first one tells. It is no error: a
    loader may shuffle them."""
    was, now = config.get("first_held_out_batch"), first_held_out(run).get("first_held_out_batch")
    if was is not None and now is not None and was != now:
        warn(
            "fit: the first held-out batch is another than when the run was begun. If its source doesn't shuffle, "
            "the held-out data has changed, and what was judged before can't be compared with what comes"
        )
