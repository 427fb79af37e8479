"""The first part of `fit`: networks, programs and data, put together and seen to fit before anything is written."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.tree_util as jtu
import numpy as np
from jaxtyping import PyTree

from ..core import is_typed_key
from ..learning import Rule, equal_layers_in_words
from ..predictive_coding import EnergyModule
from ._belongs import belonging
from ._best import Best
from ._checksums import of_array
from ._compiled import Compiled
from ._describe import describe
from ._ensemble import Ensemble
from ._held_out import HeldOut
from ._history import OWN
from ._layout import Layout
from ._looking import Looking
from ._member import Member
from ._metrics import accuracy, is_class
from ._model import model_of
from ._options import FitOptions
from ._progress import Progress
from ._rule import NUMBERS, LearningRule, RuleMaker, as_tree, fields_of, rule_of
from ._source import Source
from ._stopping import EarlyStopping, Mode, direction, direction_or_more
from ._types import Augment, Batch, Metric, Settings

_ORDER = 0xDA7A  # folded into a seed, so that augmentation draws from another key than the model


@dataclasses.dataclass
class Run:
    """All that the loop works on.

    **Attributes:**

    - `model`: as it was given to `fit`; `members`: seed and settings of each network.
    - `rule`: the name of the rule; `layers`: which layers are equal, and how they are computed, in words.
    - `source`, `held_out`: the data to train on, and to judge by after every epoch, if there is some.
    - `example`: shapes of one batch.
    - `ensemble`: the networks; `progress`: where they are; `passed`: batches trained on in this process.
    - `best`: the best epochs so far, if there is a metric for it; `best_is_said`: whether the caller named it.
    - `early`: early stopping, if it was asked for.
    - `looking`: looks at the networks meanwhile, if that was asked for.
    - `keys`: of each network, for what is drawn from epoch to epoch.
    - `warned`: the kinds of warnings that were given.
    - `made_of`: rule, model, data and networks as plain data; `belongs`: what the weights of each network belong to.
    """

    model: EnergyModule | Callable[[], EnergyModule]
    rule: str
    layers: str
    members: list[Member]
    source: Source
    held_out: HeldOut | None
    example: Batch
    ensemble: Ensemble
    best: Best | None
    best_is_said: bool
    early: EarlyStopping | None
    looking: Looking | None
    keys: list[jax.Array]
    made_of: dict[str, Any]
    belongs: list[dict[str, Any]]
    progress: Progress
    passed: int = 0
    warned: set[str] = dataclasses.field(default_factory=set)

    @property
    def number(self) -> int:
        """The number of a checkpoint of now: batches done in all."""
        return self.progress.epoch * (self.source.per_epoch or 1_000_000) + self.progress.batch

    @property
    def judged_by(self) -> tuple[str, Mode]:
        """The metric by which one network is better than another, and whether more or less of it is."""
        return ("loss", "min") if self.best is None else (self.best.metric, self.best.mode)


def prepare(
    model: EnergyModule | Callable[[], EnergyModule],
    rule: LearningRule | RuleMaker,
    members: Sequence[Member],
    source: Source,
    held_out: HeldOut | None,
    options: FitOptions,
    layout: Layout,
) -> Run:
    """Put a run together. Nothing outside of it changes, the model included.

    **Raises:** `TypeError` or `ValueError` for arguments of `fit` that don't fit together.
    """
    given = source.example()
    layout.check_batch(len(jtu.tree_leaves(given)[0]))
    example = _as_learned(given, options.augment)
    layout.check_rule(rule_of(rule, members[0].settings))
    looking = Looking.of(options.regime, rule, members, example, held_out, layout)
    with layout.context() if layout.layers > 1 else contextlib.nullcontext():  # that is what layers lie in stacks for
        states, made_of, belongs = _networks(model, rule, members, example, options.folder is not None)
        first = rule_of(rule, members[0].settings)
        name, layers = _named(first, states[0], example, options.folder is not None)
    made_of |= {"data": source.describe(), "augment": describe(options.augment)}
    made_of |= {"networks": [dataclasses.asdict(m) for m in members]}
    metrics = options.metrics
    if metrics is None:
        output = jax.eval_shape(lambda s: first.evaluate(s, example)[0], states[0])
        metrics = {"accuracy": accuracy} if is_class(output, example[1]) else {}
    names = _names(first, states[0], example, metrics, held_out is not None)
    _check_names(names, members[0].settings, metrics, held_out is not None, options)
    best, early = _judges(metrics, len(members), held_out is not None, options)
    at_once = len(members) > layout.ensembles and _at_once(options, layout)
    compiled = Compiled.of(rule, options.augment, metrics, layout, at_once)
    ensemble = Ensemble(compiled, states, [m.settings for m in members])
    shapes = jtu.tree_map(lambda a: jax.ShapeDtypeStruct(a.shape, a.dtype), given)
    ensemble.begin(shapes)  # traces a step: what is wrong with it is said now
    if held_out is not None:
        check: Callable[..., None] = getattr(first, "check_labels", lambda state, batch, y: None)
        held_out.check(ensemble, lambda y: check(states[0], example, y))
    keys = [jax.random.fold_in(jax.random.PRNGKey(m.seed), _ORDER) for m in members]
    said = options.best is not None or options.best_mode is not None
    progress = Progress.at_start(len(members))
    return Run(
        model, name, layers, list(members), source, held_out, shapes, ensemble, best, said, early, looking, keys,
        made_of, belongs, progress,
    )  # fmt: skip


def _as_learned(example: Batch, augment: Augment | None) -> Batch:
    """Return a batch in the form that a step learns from: as it is, unless augmentation makes other shapes or dtypes,
    as of pixels that come as bytes."""
    if augment is None:
        return example
    x, y = example
    key = jax.random.PRNGKey(0)
    form = jax.eval_shape(lambda key, x: augment(key, x), key, x)
    forms = [[(a.shape, a.dtype) for a in jtu.tree_leaves(tree)] for tree in (form, jax.eval_shape(lambda x: x, x))]
    if forms[0] == forms[1] and jtu.tree_structure(form) == jtu.tree_structure(x):
        return example
    return jax.jit(lambda key, x: augment(key, x))(key, x), y


def _at_once(options: FitOptions, layout: Layout) -> bool:
    """Return whether one device trains its networks at once."""
    if layout.layers > 1:
        if options.parallel == "vmap":
            raise ValueError(
                "fit: where layers are shared out over devices, networks are trained in turn: parallel='loop'"
            )
        return False
    if options.parallel != "auto":
        return options.parallel == "vmap"
    # Where batches are shared out, JAX would collect them again for convolutions of several networks at once.
    return jax.default_backend() != "cpu" and layout.batches == 1


def all_of(run: Run, options: FitOptions) -> dict[str, Any]:
    """Return, as plain data, all that must be the same in each process of a run."""
    count = ("epochs", "batches_per_dispatch", "checkpoint_every", "resume", "overwrite", "restore_best", "keep")
    digest = hashlib.sha256()
    for state in run.ensemble.states:
        for leaf in jtu.tree_leaves(as_tree(state)):
            digest.update(of_array(np.asarray(jax.random.key_data(leaf) if is_typed_key(leaf) else leaf)).encode())
    return {
        **run.made_of,
        "devices": run.ensemble.layout.describe(),
        "first_weights": digest.hexdigest(),
        **{name: getattr(options, name) for name in count},
        **{name: run.judged_by[i] for i, name in enumerate(("best", "best_mode"))},
        "early_stopping": describe(run.early),
        "validation": run.held_out is not None,
        "regime": None if run.looking is None else run.looking.probe.every,
    }


def _networks(
    model: EnergyModule | Callable[[], EnergyModule],
    rule: LearningRule | RuleMaker,
    members: Sequence[Member],
    example: Batch,
    kept: bool,
) -> tuple[list[PyTree], dict[str, Any], list[dict[str, Any]]]:
    """Return the first state of each network; rule and model as plain data; and, if they are kept, what weights belong
    to."""
    states, belongs = [], []
    made_of: dict[str, Any] = {}
    for member in members:
        network = model_of("fit", model, member.seed)
        own = rule_of(rule, member.settings)
        states.append(own.init(network, example, member.seed))
        if not made_of:
            made_of = {"rule": describe(rule if member.settings else own), "model": describe(network)}
        if kept:
            belongs.append(belonging(network))
    return states, made_of, belongs


def _named(rule: LearningRule, state: PyTree, example: Batch, kept: bool) -> tuple[str, str]:
    """Return the name of a rule; and, if they are kept, words for how it computes equal layers."""
    if not isinstance(rule, Rule):
        return type(rule).__name__, ""
    return rule.name, equal_layers_in_words(rule, state, example) if kept else ""


def _names(
    rule: LearningRule, state: PyTree, example: Batch, metrics: Mapping[str, Metric], validation: bool
) -> list[str]:
    """Return the names of the metrics that the history will have."""
    fields = fields_of(rule, state, example)
    names = [name for name in NUMBERS if name in fields and name != "energy_before"]
    names += metrics if "output" in fields else []
    return names + ([f"validation_{name}" for name in ("loss", *metrics)] if validation else [])


def _check_names(
    names: Sequence[str],
    settings: Settings,
    metrics: Mapping[str, Metric],
    validation: bool,
    options: FitOptions,
) -> None:
    """Refuse names that the history can't have, and metrics that it won't have."""
    for name in [*settings, *[m for m in metrics if m != "accuracy"]]:
        if name in OWN or name.startswith("validation_"):
            raise ValueError(f"fit: {name!r} is a name that the history uses itself; choose another")
        if name in settings and name in metrics:
            raise ValueError(f"fit: {name!r} is a setting and a metric; choose another name for one")
    early = options.early_stopping
    asked = {"best": options.best or ("validation_loss" if validation else None)}
    asked |= {"early_stopping": None if early is None else early.metric}
    for option, name in asked.items():
        if name is not None and name not in names:
            missing = "" if validation or not name.startswith("validation_") else " without validation"
            raise ValueError(f"fit: {option} asks for {name!r}{missing}; the history will have {', '.join(names)}")


def _judges(
    metrics: Mapping[str, Metric], networks: int, validation: bool, options: FitOptions
) -> tuple[Best | None, EarlyStopping | None]:
    """Return what keeps the best epochs, and what stops networks early; None where that is not asked for."""
    metric = options.best if options.best is not None else "validation_loss" if validation else None
    if options.best_mode is not None and metric is None:
        raise ValueError("fit: best_mode says how `best` is meant, and there is neither that nor validation")
    if options.restore_best and metric is None:
        raise ValueError("fit: restore_best needs validation, or `best`: the metric by which an epoch is the best")
    scores = [name for name, each in metrics.items() if each is accuracy or name == "accuracy"]
    best = None
    if metric is not None:
        best = Best(metric, options.best_mode or direction_or_more(metric, scores), networks)
    early = options.early_stopping
    if early is not None and early.mode is None:
        mode = direction(early.metric, "fit: the mode of early_stopping", scores)
        early = dataclasses.replace(early, mode=mode)
    return best, early
