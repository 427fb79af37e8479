"""Going on with a run: what was begun before, and what the folder says of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ._best import Best
from ._files import CheckpointError
from ._prepare import Run
from ._progress import Progress
from ._rule import as_tree, with_tree
from ._warn import warn

if TYPE_CHECKING:
    from ._store import RunStore


def tree_of(run: Run) -> dict[str, Any]:
    """Return all arrays that a run needs to go on, as a checkpoint holds them."""
    return {"states": [as_tree(s) for s in run.ensemble.states], "totals": run.ensemble.totals}


def resume(run: Run, store: RunStore, epochs: int) -> None:
    """Bring a run to where the one in the folder is. Without a checkpoint it stays at the start.

    **Arguments:** `epochs`, in all, those before included.

    **Raises:** `ValueError` if it has more epochs already; `CheckpointError` if it can't be read, or what is meant by
    its best epoch is something else now.
    """
    config = store.folder.read_json("config.json")
    _same_best(run, config)
    _same_held_out(run, config)
    found = store.restore(tree_of(run))
    if found is None:
        return
    tree, meta = found
    progress = Progress(**meta)
    if progress.epoch > epochs:
        raise ValueError(f"fit: the run in {store.path} has {progress.epoch} epochs; epochs={epochs} would be fewer")
    run.progress = progress
    run.ensemble.set([with_tree(s, held) for s, held in zip(run.ensemble.states, tree["states"], strict=True)])
    run.ensemble.begin(run.example, tree["totals"] if progress.batch else None)
    if run.best is not None:
        run.best.recall(progress.history)
        best = store.restore_best(tree_of(run))
        if best is not None:
            run.best.take_up(best[0]["states"], best[1], progress.epoch)


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
