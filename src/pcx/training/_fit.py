"""Training: the front door."""

from __future__ import annotations

import itertools
import math
import os
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Literal

import numpy as np

from ..energy._door import is_equinox, no_model
from ..learning import Rule
from ..predictive_coding import EnergyModule
from ._alone import alone
from ._belongs import belonging
from ._checkpoint import require_orbax
from ._folder import Folder, check_folder
from ._held_out import as_held_out
from ._keep import Keep, plain
from ._overwrite import check_overwrite, remove_run
from ._result import Fit, Member, Report
from ._run import Run
from ._source import InMemory, as_source, fingerprint
from ._stopping import EarlyStopping, check_mode
from ._weights import require_safetensors


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
    resume: bool | Literal["auto"] = False,
    overwrite: bool = False,
    checkpoint_every: int | None = None,
    checkpoint_seconds: float = 60.0,
    keep: int = 2,
    best: str | None = None,
    best_mode: Literal["min", "max"] | None = None,
    restore_best: bool = False,
    config: Mapping[str, Any] | None = None,
    show: bool = True,
    parallel: Literal["auto", "vmap", "loop"] = "auto",
) -> Fit:
    """Train a model by a rule. At its end the model that was given holds the learned weights.

    As many batches as pass in about a second go into one dispatch, gathered on the device. Whatever is done in one
    dispatch, and wherever a run is cut off and resumed, the bits are the same.

    **Arguments:**

    - `model`: an energy module; or a function that makes one, called once for each seed with `pcx.RKG` seeded.
    - `rule`: a learning rule; or a function of the settings that makes one.
    - `train`: a `pcx.data.Split` or a pair of arrays `(x [N, ...], y [N, ...])`, shuffled by each network's seed;
        `pcx.data.ArrayBatches`; or any iterable of batches `(x, y)`, Grain's loaders included.
    - `validation`: a split or a pair of arrays, judged after every epoch in evaluation mode; or batches `(x, y)` that
        come anew after every epoch, as for `train`.
    - `epochs`: in all, those before a resume included.
    - `batch_size`: of arrays that come without batches; what is left over of an epoch is dropped.
    - `seeds`: one seed (a number: `seeds=2` is one network, of seed 2) or several (`range(2)`, `[3, 7]`); with
        several, `model` must be a function. Each gives a network of its own, with first weights, order of the data and
        random keys from the seed.
    - `settings`: what a function `rule` is called with, one network for each seed and each of them; numbers, passed
        into the one compiled program.
    - `augment`: `augment(key, x) -> x` inside the compiled step, as from `pcx.data.flip`.
    - `metrics`: `{name: f(output, y) -> [batch]}`; by default accuracy where y holds class numbers.
    - `early_stopping`: see `EarlyStopping`.
    - `callbacks`: functions of a `Report`, called after every epoch.
    - `folder`: where config, versions, log, metrics, checkpoints and weights are kept.
    - `resume`: `"auto"`: go on with the run in the folder if there is one, else begin it: one call for a job that may
        be restarted. True: the same, with a warning where it begins. False: a folder that holds a run is refused.
    - `overwrite`: whether a run that is in the folder is removed first, once all arguments are seen to fit.
    - `checkpoint_every`: batches between checkpoints; else one at the first epoch's end after `checkpoint_seconds`. One
        is always written at the end and on Ctrl-C.
    - `keep`: how many of the last checkpoints are kept. `best`: the metric by which one more, the best, is; by default
        `"validation_loss"` if there is validation; each network has a best epoch of its own. `best_mode`: whether more
        (`"max"`) or less (`"min"`) of it is better; known of losses, energies and accuracies; of any other, more,
        with a warning, unless it is said.
    - `restore_best`: whether the weights at the end, in the model, in `states` and in the folder's weights files, are
        those of the best epoch, not of the last. Either way they are in the `Fit`: see `Fit.restore_best`.
    - `config`: anything to be kept in the folder's `config.json`, as JSON.
    - `show`: whether to show progress.
    - `parallel`: several networks at once by `"vmap"`, or in turn by `"loop"`; `"auto"` is vmap except on CPUs.

    **Raises:** `ValueError` or `TypeError` for arguments that don't fit; `RuntimeError` for a model that another thread
    is training; `RunExists` if the folder holds something;
    `CheckpointError` if a checkpoint can't be written, or is of another model or rule, naming the differences.
    """
    # All is judged before the folder is made, so that a refused call leaves nothing behind.
    _check_numbers(epochs, checkpoint_every, checkpoint_seconds, keep, parallel)
    _check_kinds(batch_size, folder, config, restore_best, overwrite)
    if best is not None and not isinstance(best, str):
        raise TypeError(f"fit: best must be the name of a metric, got {best!r}")
    if not isinstance(callbacks, Iterable):
        raise TypeError(f"fit: callbacks must be a list of functions, got {type(callbacks).__name__}")
    check_mode("fit: best_mode", best_mode)
    _check_functions(augment, metrics, callbacks := list(callbacks), early_stopping)
    members = _members(model, rule, seeds, settings)
    if resume and folder is None:
        raise ValueError(f"fit: resume={resume!r} needs the folder of the run")
    if overwrite and (resume or folder is None):
        raise ValueError("fit: overwrite=True begins anew in a folder: give the folder, and no resume")
    kept: dict[str, Any] = {}
    if folder is None:
        given = {"keep": keep != 2, "config": bool(config), "checkpoint_every": checkpoint_every is not None}
        given["checkpoint_seconds"] = checkpoint_seconds != 60.0
        if any(given.values()):
            without = ", ".join(name for name, is_given in given.items() if is_given)
            warnings.warn(f"fit: {without} without a folder: nothing is kept", RuntimeWarning, stacklevel=2)
    if overwrite:
        check_overwrite(folder or "")
    if folder is not None:
        if not overwrite and not check_folder(folder, resume) and resume is True:
            warnings.warn(f"fit: there is no run in {folder} yet: it begins", RuntimeWarning, stacklevel=2)
        require_orbax()
        require_safetensors()
        kept = plain(dict(config or {}))
    with alone(model):
        run = Run(
            model,
            rule,
            members,
            as_source(train, batch_size, [m.seed for m in members]),
            as_held_out(validation),
            epochs=epochs,
            augment=augment,
            metrics=metrics,
            early=early_stopping,
            best=best,
            best_mode=best_mode,
            restore_best=restore_best,
            callbacks=callbacks,
            show=show,
            parallel=parallel,
        )
        if folder is None:
            return run.go()
        if overwrite:
            remove_run(folder)
        held = Keep(
            Folder(folder, resume),
            keep,
            checkpoint_every,
            checkpoint_seconds,
            _with_data(run),
            {"epochs": epochs, "best": run.best, "best_mode": run.mode, **run.first_held_out(), **kept},
            [belonging(state) for state in run.crew.states],
        )
        try:
            run.keep_in(held)
            return run.go()
        finally:
            held.close()


def _with_data(run: Run) -> dict[str, Any]:
    """What a run is made of, its data to the last bit."""
    data = dict(run.made_of["data"])
    if isinstance(run.source, InMemory):
        data |= fingerprint(run.source.arrays)
    judged = None if run.judged_on is None else run.judged_on.describe()
    return {**run.made_of, "data": data, "validation": judged}


def _members(model: Any, rule: Any, seeds: Any, settings: Any) -> list[Member]:
    try:
        seeds = [seeds] if isinstance(seeds, (int, np.integer)) else list(seeds)
    except TypeError:
        raise TypeError(f"fit: seeds must be a number or several, got {type(seeds).__name__}") from None
    whole = all(isinstance(s, (int, np.integer)) and not isinstance(s, bool) for s in seeds)
    if not seeds or not whole or len(set(seeds)) != len(seeds):
        raise ValueError(f"fit: seeds must be one or several different whole numbers, got {seeds}")
    if isinstance(model, EnergyModule):
        if len(seeds) > 1:
            raise ValueError("fit: several seeds need a function that makes the model, called once for each")
    elif not callable(model) or is_equinox(model):
        raise no_model("fit: model must be an EnergyModule or a function that makes one; ", model)
    if isinstance(rule, Rule):
        if settings is not None:
            raise ValueError("fit: settings need a function `rule(**settings)`; a rule was given")
    elif not callable(rule):
        raise TypeError(
            f"fit: rule must be a pcx.learning.Rule or a function that makes one, got {type(rule).__name__}"
        )
    elif not settings:
        raise ValueError("fit: rule is a function: give the settings to call it with, such as settings=[{'lr': 1e-3}]")
    return [Member(int(s), c) for s, c in itertools.product(seeds, _settings(settings))]


def _settings(settings: Any) -> list[dict[str, float]]:
    if settings is None:
        return [{}]
    found: list[dict[str, float]] = []
    for each in settings:
        if not isinstance(each, Mapping) or not each:
            raise ValueError(f"fit: settings must be dicts such as {{'lr': 1e-3}}, got {each!r}")
        if found and set(each) != set(found[0]):
            raise ValueError(f"fit: settings must all have the same names, got {sorted(found[0])} and {sorted(each)}")
        odd = [k for k in each if not isinstance(k, str) or not k]
        if odd:
            raise TypeError(f"fit: names of settings must be strings, got {odd[0]!r}")
        found.append({k: _real(k, v) for k, v in each.items()})
    return found


def _real(name: str, value: Any) -> float:
    if np.ndim(value) == 0 and np.issubdtype(np.asarray(value).dtype, np.number) and not np.iscomplexobj(value):
        number = np.asarray(value).item()
        if math.isfinite(number):
            return number
    raise ValueError(f"fit: settings must be finite numbers, but {name!r} is {value!r}; other choices are other runs")


def _check_numbers(epochs: Any, every: Any, seconds: Any, keep: Any, parallel: Any) -> None:
    for name, value in {"epochs": epochs, "checkpoint_every": every, "keep": keep}.items():
        if value is None and name == "checkpoint_every":
            continue
        if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < 1:
            raise ValueError(f"fit: {name} must be a whole number of at least 1, got {value!r}")
    if isinstance(seconds, bool) or not isinstance(seconds, (int, float, np.number)) or not seconds >= 0:
        raise ValueError(f"fit: checkpoint_seconds must be 0 or more, got {seconds!r}")
    if parallel not in ("auto", "vmap", "loop"):
        raise ValueError(f"fit: parallel must be 'auto', 'vmap' or 'loop', got {parallel!r}")


def _check_kinds(batch_size: Any, folder: Any, config: Any, restore_best: Any, overwrite: Any) -> None:
    if isinstance(batch_size, bool) or not isinstance(batch_size, (int, np.integer)):
        raise TypeError(f"fit: batch_size must be a whole number, got {batch_size!r}")
    if folder is not None and not isinstance(folder, (str, os.PathLike)):
        raise TypeError(f"fit: folder must be a path, got {folder!r}")
    if folder is not None and not os.fspath(folder):
        raise ValueError("fit: folder is an empty path; '.' is the folder that the program runs in")
    if config is not None and not isinstance(config, Mapping):
        raise TypeError(f"fit: config must be a dict, got {type(config).__name__}")
    for name, value in {"restore_best": restore_best, "overwrite": overwrite}.items():
        if not isinstance(value, bool):
            raise TypeError(f"fit: {name} must be True or False, got {value!r}")


def _check_functions(augment: Any, metrics: Any, callbacks: Sequence[Any], early: Any) -> None:
    if metrics is not None and not isinstance(metrics, Mapping):
        raise TypeError(f"fit: metrics must be a dict {{name: f(output, y)}}, got {type(metrics).__name__}")
    for name in metrics or {}:
        if not isinstance(name, str) or not name:
            raise TypeError(f"fit: names of metrics must be strings, got {name!r}")
    named = {"augment": augment, **{f"the metric {k!r}": f for k, f in (metrics or {}).items()}}
    named |= {f"callback {i}": f for i, f in enumerate(callbacks)}
    for name, value in named.items():
        if not callable(value) and not (name == "augment" and value is None):
            raise TypeError(f"fit: {name} must be a function, got {value!r}")
    if early is not None and not isinstance(early, EarlyStopping):
        raise TypeError(f"fit: early_stopping must be an EarlyStopping, got {type(early).__name__}")
