"""Training: the front door. `fit` prepares a run, goes through the loop, and stores what comes out."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Literal

from jax.sharding import Mesh

from ..predictive_coding import EnergyModule
from ._alone import alone
from ._held_out import as_held_out
from ._layout import Layout
from ._loop import loop
from ._member import members_of
from ._mesh import of_this_job
from ._options import FitOptions
from ._prepare import all_of, prepare
from ._probe import Regime
from ._processes import Processes
from ._result import Dispatch, Fit, Report
from ._rule import LearningRule, RuleMaker
from ._source import Data, as_source
from ._stopping import EarlyStopping, Mode
from ._store import check_store, store_for
from ._types import Augment, Metric, Settings


def fit(
    model: EnergyModule | Callable[[], EnergyModule],
    rule: LearningRule | RuleMaker,
    train: Data,
    validation: Data | None = None,
    *,
    epochs: int,
    batch_size: int | None = None,
    seeds: int | Sequence[int] = 0,
    settings: Sequence[Settings] | None = None,
    augment: Augment | None = None,
    metrics: Mapping[str, Metric] | None = None,
    early_stopping: EarlyStopping | None = None,
    callbacks: Iterable[Callable[[Report], object]] = (),
    on_dispatch: Callable[[Dispatch], object] | None = None,
    batches_per_dispatch: int | None = None,
    folder: str | os.PathLike[str] | None = None,
    resume: bool | Literal["auto"] = False,
    overwrite: bool = False,
    checkpoint_every: int | None = None,
    checkpoint_seconds: int | float = 60.0,
    keep: int = 2,
    best: str | None = None,
    best_mode: Mode | None = None,
    restore_best: bool = False,
    config: Mapping[str, Any] | None = None,
    figure: bool = True,
    show: bool = True,
    parallel: Literal["auto", "vmap", "loop"] = "auto",
    mesh: Mesh | int | None = None,
    regime: Regime | None = None,
) -> Fit:
    """Train a model by a rule. At its end the model that was given holds the learned weights.

    As many batches as pass in about a second go into one dispatch, gathered on the device. Whatever is done in one
    dispatch, and wherever a run is cut off and resumed, the bits are the same.

    **Arguments:**

    - `model`: an energy module; or a function that makes one, called once for each seed with `pcx.RKG` seeded.
    - `rule`: a learning rule, which is anything with `init`, `step`, `predict` and `evaluate` (see `LearningRule`); or
        a function of the settings that makes one.
    - `train`: a `pcx.data.Split` or a pair of arrays `(x [N, ...], y [N, ...])`, shuffled by each network's seed;
        `pcx.data.ArrayBatches`; or any iterable of batches `(x, y)`, Grain's loaders included.
    - `validation`: a split or a pair of arrays, judged after every epoch in evaluation mode; or batches `(x, y)` that
        come anew after every epoch, as for `train`.
    - `epochs`: in all, those before a resume included.
    - `batch_size`: of arrays that come without batches, 128 by default; what is left over of an epoch is dropped.
    - `seeds`: one seed (a number: `seeds=2` is one network, of seed 2) or several (`range(2)`, `[3, 7]`); with
        several, `model` must be a function. Each gives a network of its own, with first weights, order of the data and
        random keys from the seed.
    - `settings`: what a function `rule` is called with, one network for each seed and each of them; numbers, passed
        into the one compiled program.
    - `augment`: `augment(key, x) -> x`, of x `[batch, ...]`, inside the compiled step, as from `pcx.data.flip`;
        the model is made for what it returns.
    - `metrics`: `{name: f(output, y) -> [batch]}`, of output `[batch, ...]` and y `[batch, ...]`; by default accuracy
        where y holds class numbers or is one-hot.
    - `early_stopping`: see `EarlyStopping`.
    - `callbacks`: functions of a `Report`, called after every epoch.
    - `on_dispatch`: a function of a `Dispatch`, called before batches are given to the device. What it raises ends the
        run, which can be resumed from its last checkpoint.
    - `batches_per_dispatch`: by default as many as pass in about a second, and no more than there are in an epoch.
    - `folder`: where config, versions, log, metrics, checkpoints and weights are kept.
    - `resume`: `"auto"`: go on with the run in the folder if there is one, else begin it: one call for a job that may
        be restarted. True: the same, with a warning where it begins. False: a folder that holds a run is refused.
    - `overwrite`: whether a run that is in the folder is removed first, once all arguments are seen to fit.
    - `checkpoint_every`: batches between checkpoints. One is always written at the end and on Ctrl-C.
    - `checkpoint_seconds`: without `checkpoint_every`, a checkpoint is written at the first epoch's end after so many
        seconds.
    - `keep`: how many of the last checkpoints are kept.
    - `best`: the metric by which one more checkpoint, the best, is kept; by default `"validation_loss"` if there is
        validation. Each network has a best epoch of its own.
    - `best_mode`: whether more (`"max"`) or less (`"min"`) of it is better; known of losses, energies and accuracies;
        of any other, more, with a warning, unless it is said.
    - `restore_best`: whether the weights at the end, in the model, in `states` and in the folder's weights files, are
        those of the best epoch, not of the last. Either way they are in the `Fit`: see `Fit.restore_best`.
    - `config`: anything to be kept in the folder's `config.json`, as JSON.
    - `figure`: whether a figure of the run is drawn in the folder, if matplotlib is installed.
    - `show`: whether to show progress.
    - `parallel`: several networks of one device at once by `"vmap"`, or in turn by `"loop"`; `"auto"` is vmap except on
        CPUs, and where batches are shared out.
    - `mesh`: several devices: how many, or a `jax.sharding.Mesh` with axes out of `"batch"`, over which the samples of
        each batch are shared out evenly, `"layers"`, over which equal layers are (of rules whose layers all work at
        once), and `"ensemble"`, over which the networks are. A number is shared out among
        the networks as far as it goes evenly, and the rest of it to the batch. The weights are those of one device but
        for rounding, and a run goes on on any other number of devices.
    - `regime`: how many batches pass between two looks at what regime each network is trained in, from before the first
        batch on, and once more after the last one; on as many held-out samples as a batch has, the first of
        `validation` (without, on the first batch): verdict, cosine and norm ratio to backpropagation's gradient by
        layer, shares of energies by node (see `pcx.analysis.regime`), as a list under `"regime"` in each row of the
        history. A network that begins in bad health is warned of, see `pcx.analysis.health`; else it is shown that
        every layer learns. `"auto"` is 500 batches. A number stands for `pcx.analysis.Meter(number)`; any `Probe` may
        be given. It changes no bit of what is learned, and a run that goes on may have another one.

    **Returns:** the states of the networks, and the history; see `Fit`.

    **Raises:** `ValueError` or `TypeError` for arguments that don't fit; `RuntimeError` for a model that another thread
    is training; `RunExists` if the folder holds something; `CheckpointError` if a checkpoint can't be written, or is of
    another model or rule, naming the differences.
    """
    given = locals()
    options = FitOptions(**{f.name: given[f.name] for f in dataclasses.fields(FitOptions)})
    # All is judged before the folder is made, so that a refused call leaves nothing behind.
    options.check()
    members = members_of(model, rule, options.seeds, options.settings)
    with Processes.of(of_this_job(options.mesh)) as processes, alone(model):
        layout = Layout.of(options.mesh, len(members))
        check_store(options)
        source = as_source(train, options, [m.seed for m in members], on_host=processes.count > 1)
        run = prepare(model, rule, members, source, as_held_out(validation), options, layout)
        processes.check_same(lambda: all_of(run, options))
        if layout.spans_processes:
            source.divide(layout.own)
        store = store_for(run, options, processes)
        processes.if_lost(note=store.lost)
        try:
            store.begin(run, options)
            return loop(run, store, options, processes)
        finally:
            store.close()
