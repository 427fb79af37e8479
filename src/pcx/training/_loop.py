"""The second part of `fit`: the loop."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import jax

from ._display import display
from ._epoch import advance, begin_looking, finish, finish_epoch, judge_epoch, look
from ._options import FitOptions
from ._prepare import Run
from ._processes import Processes
from ._result import Dispatch, Fit
from ._signals import interruptible
from ._source import Chunk
from ._store import Store

_SECONDS = 1.0  # between two looks at a run, whatever a batch takes


def loop(run: Run, store: Store, options: FitOptions, processes: Processes) -> Fit:
    """Train from where the run is to its end.

    **Arguments:**

    - `processes`: that train it. They agree on all that depends on a clock, or on what happens to one of them.
    """
    progress = run.progress
    # A run that ended by early stopping is not resumed, even with more epochs.
    ended = "done" if any(progress.active) or progress.epoch >= options.epochs else "stopped early"
    per_epoch = run.source.per_epoch
    total = None if per_epoch is None else options.epochs * per_epoch
    if progress.epoch < options.epochs and progress.epoch + 1 not in progress.compiled:
        progress.compiled = [*progress.compiled, progress.epoch + 1]
    well = begin_looking(run, store)
    with interruptible() as asked:
        with display(total, run.number, options.show and processes.writes) as (shown, say):
            if well:
                say(well)
            if progress.epoch >= options.epochs:
                say(f"nothing to train: epochs={options.epochs} counts the {progress.epoch} that the run has already")
            while progress.epoch < options.epochs and any(progress.active):
                if not _epoch(run, store, options, processes, asked, shown):
                    ended = "interrupted"
                    break
                rows = finish_epoch(run, store, options.epochs, say)
                stopped = processes.any(judge_epoch(run, store, rows, options.callbacks))
                if stopped or not any(progress.active):
                    ended = "stopped early"
                    break
                if processes.any(asked()):
                    ended = "interrupted" if progress.epoch < options.epochs else ended
                    break
                if processes.first(store.due(run.passed, epoch_ended=True)):
                    store.save(run)
        store.save(run)
        found = finish(run, store, ended, options)
        processes.meet()
        return found  # a signal that asked the run to end waits until all is written


def _epoch(
    run: Run,
    store: Store,
    options: FitOptions,
    processes: Processes,
    asked: Callable[[], bool],
    shown: Callable[[int, str], None],
) -> bool:
    """Go through the rest of an epoch.

    **Returns:** whether it came to its end; False if the run was asked to stop before.
    """
    progress, text = run.progress, f"epoch {run.progress.epoch + 1}/{options.epochs}"
    keys = [jax.random.fold_in(key, progress.epoch) for key in run.keys]
    begun = time.perf_counter()
    for chunk in _chunks(run, store, options.batches_per_dispatch, processes):
        if options.on_dispatch is not None:
            options.on_dispatch(Dispatch(progress.epoch + 1, chunk.number, chunk.batches))
        # A streamed batch is the first of its chunk, and still has a key of its own.
        own = [jax.random.fold_in(key, chunk.first) if chunk.first else key for key in keys]
        run.ensemble.run(chunk, progress.active, own)
        advance(run, chunk)
        look(run)
        now = time.perf_counter()
        progress.seconds, begun = progress.seconds + now - begun, now
        shown(chunk.batches, text)
        if not any(progress.active):
            return True
        if progress.batch == run.source.per_epoch:
            continue  # what comes next waits for the epoch's end
        if processes.any(asked()):
            return False
        if processes.first(store.due(run.passed, epoch_ended=False)):
            store.save(run)
    return True


def _chunks(run: Run, store: Store, fixed: int | None, processes: Processes) -> Iterator[Chunk]:
    """Go through the rest of an epoch in chunks that take about a second each, and end where a checkpoint or a look is
    due.

    **Arguments:**

    - `fixed`: the number of batches in a chunk, if it is not to be chosen.
    """
    most = max(run.source.per_epoch or 1, 1)
    per_batch: float | None = None
    for rest in run.source.epoch(run.progress.epoch, run.progress.batch):
        while rest.batches:
            # The first one is to be compiled, and seen to work, before more are asked for.
            chosen = 1 if per_batch is None else int(min(max(_SECONDS / per_batch, 1), most))
            size = fixed or processes.first(chosen)
            ends = [size, store.at_most(run.passed), run.looking and run.looking.until(run.progress.trained)]
            chunk, rest = rest.split(min(end for end in ends if end is not None))
            start = time.perf_counter()
            yield chunk
            took = (time.perf_counter() - start) / chunk.batches
            # The first one holds the compilation: never above what a later one says.
            per_batch = took if per_batch is None else min(per_batch, took)
