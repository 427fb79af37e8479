"""Sweeps: many settings of a rule, its optimiser and the network, by a grid or a search."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

from ..core import see
from ..data import check_flags
from ..predictive_coding import EnergyModule
from ._domains import Domain, Value
from ._files import CheckpointError
from ._options import FitOptions
from ._rule import LearningRule, RuleMaker
from ._search import PrunerName, SamplerMaker, SamplerName, pruner_of, sampler_of
from ._source import Data
from ._space import space_of
from ._stopping import EarlyStopping, Mode
from ._sweep_checks import check_devices, check_model, check_numbers, described, metric_of, tried
from ._sweep_folder import begin, check_sweep_folder, keep, keep_progress, url_of
from ._sweep_loop import Plan, go_through, result_of
from ._sweep_result import Sweep
from ._trials import Trials, first_line
from ._types import Augment, Metric
from ._units import Trainer

if TYPE_CHECKING:
    from optuna.pruners import BasePruner


def sweep(
    model: Callable[..., EnergyModule],
    rule: LearningRule | RuleMaker,
    train: Data,
    validation: Data | None = None,
    *,
    space: Mapping[str, Domain | Sequence[Value]],
    epochs: int,
    trials: int | None = None,
    metric: str | None = None,
    mode: Mode | None = None,
    seeds: int | Sequence[int] = 0,
    batch_size: int | None = None,
    augment: Augment | None = None,
    metrics: Mapping[str, Metric] | None = None,
    early_stopping: EarlyStopping | None = None,
    sampler: SamplerName | SamplerMaker = "tpe",
    seed: int = 0,
    at_once: int = 8,
    pruner: PrunerName | BasePruner | None = None,
    ensemble: int | None = None,
    parallel: Literal["auto", "vmap", "loop"] = "auto",
    mesh: int | None = None,
    folder: str | os.PathLike[str] | None = None,
    storage: str | None = None,
    name: str = "sweep",
    config: Mapping[str, Any] | None = None,
    figure: bool = True,
    show: bool = True,
) -> Sweep:
    """Train a network by many settings, and find the best: all of a grid, or those that a search draws.

    Numbers such as rates are given to one compiled program, which trains several settings as an ensemble; what makes
    another program, such as a number of steps, a width or a name, is compiled for each value.

    The same call goes on with a sweep that was killed, and several processes that make it at once, with the same folder
    or storage, share the trials; each returns when all are done. What comes out doesn't depend on how many there were
    or what was killed, if there is no pruner. On accelerators, where networks are trained at once, it does by rounding.

    **Arguments:**

    - `model`: a function that makes the network. It is called with those of the settings that it asks for by name.
    - `rule`: a function that makes the learning rule, called likewise; or a rule.
    - `train`, `validation`, `epochs`, `seeds`, `augment`, `metrics`, `early_stopping`, `parallel`: as in `fit`. Each of
        several seeds is a network for each setting.
    - `space`: the values of each setting by its name: `pxt.Log`, `pxt.Uniform`, `pxt.Integers`, `pxt.Choice`, or a
        list. `"batch_size"` may be one of them.
    - `trials`: None: all of the grid. A number: a search that draws so many. More than before make a search longer.
    - `metric`: a name in the history, by default `"validation_loss"`, or without validation `"loss"`. A setting's value
        is that of its best epoch, as a mean over the seeds.
    - `mode`: whether `"max"` or `"min"` of it is best; known of losses, energies and accuracies.
    - `batch_size`: as in `fit`.
    - `sampler`: of a search: `"tpe"`, `"random"`, or a function of `seed` that makes one of Optuna's.
    - `seed`: of the search.
    - `at_once`: how many settings a search draws before it looks at what came out of them.
    - `pruner`: `"median"`, `"halving"`, `"hyperband"`, or one of Optuna's, which after every epoch says what isn't
        worth going on with. Such a network stops; the others of its ensemble go on.
    - `ensemble`: the most settings that are trained together, by default 4 on CPUs, where they are trained in turn, and
        64 on accelerators.
    - `mesh`: how many devices of this process each ensemble is shared out over, as in `fit`; 1 by default.
    - `folder`: for the trials, table, summary and figure; without folder or storage, nothing is kept.
    - `storage`: URL of a database that Optuna knows, for processes on many machines; by default a file of SQLite in the
        folder.
    - `name`: of the study in the database.
    - `config`: anything to be kept in the folder's `config.json`, as JSON.
    - `figure`: whether a figure of what mattered is drawn in the folder.
    - `show`: whether to show progress.

    **Returns:** the table, the best setting, and what mattered; see `Sweep`.

    **Raises:** `ValueError` or `TypeError` for arguments that don't fit, or settings that nobody asks for;
    `ImportError` without Optuna; `RunExists` if the folder holds something else; `CheckpointError` if the storage can't
    be used, or holds another sweep, naming the differences.
    """
    if importlib.util.find_spec("optuna") is None:
        raise ImportError(f"sweep needs Optuna: pip install 'optuna>=4'{see('package')}")
    from optuna.exceptions import OptunaError

    check_flags("sweep", figure=figure, show=show)
    check_numbers(trials=trials, at_once=at_once, ensemble=ensemble, mesh=mesh, seed=seed)
    check_model(model, rule, train)
    made = space_of(space, model, rule)
    metric, mode = metric_of(metric, mode, validation is not None)
    options = FitOptions(
        epochs, batch_size, seeds, augment=augment, metrics=metrics, early_stopping=early_stopping, best=metric,
        best_mode=mode, figure=False, show=False, parallel=parallel, mesh=mesh,
    )  # fmt: skip
    options.check()
    check_devices(made, batch_size, mesh)
    plan = Plan(made, trials, sampler, seed, at_once)
    plan.check()
    sampler_of(sampler, seed)
    judge = pruner_of(pruner)
    trainer = Trainer(model, rule, train, validation, made, options, metric, mode)
    first = tried(trainer, plan)
    place = None if folder is None else check_sweep_folder(folder)
    parts = described(trainer, plan, judge, first)
    if place is not None:
        place.mkdir(parents=True, exist_ok=True)
    kept = Trials(storage or (None if place is None else url_of(place)), name, mode, judge)
    try:
        kept.begin(parts, storage or (place and str(place)) or "")
        if place is not None:
            begin(place, parts, config or {})

        def note() -> None:
            if place is not None:
                keep_progress(place, result_of(kept, plan, metric, mode, "unfinished", place))

        ended = go_through(kept, plan, trainer, ensemble, judge is not None, show, note)
        found: Sweep = result_of(kept, plan, metric, mode, ended, place)
        if place is not None:
            keep(place, found, figure)
        return found
    except OptunaError as e:
        raise CheckpointError(
            f"sweep: the storage can't be read or written any more: {first_line(e)}. What it holds is whole; the same "
            "call goes on"
        ) from e
    finally:
        kept.close()
