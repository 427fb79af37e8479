"""All that is seen of a sweep before its folder is made."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from typing import Any

import jax

from ..energy import is_equinox, no_model
from ..predictive_coding import EnergyModule
from ._alone import alone
from ._describe import describe
from ._held_out import as_held_out
from ._layout import Layout
from ._member import members_of
from ._prepare import Run, prepare
from ._rule import LearningRule, RuleMaker, is_rule, rule_of
from ._source import SAMPLES, Data, as_source
from ._space import Space
from ._stopping import Mode, check_mode, direction
from ._sweep_loop import Plan
from ._types import Json, is_whole
from ._units import Trainer

_UNKNOWN = (
    jax.errors.ConcretizationTypeError,
    jax.errors.TracerArrayConversionError,
    jax.errors.TracerIntegerConversionError,
)
_LIMIT = 60_000  # characters of a text that every database takes


def check_numbers(**numbers: object) -> None:
    """Refuse what are no whole numbers of 1 or more; None is not given, and a seed may be 0.

    **Raises:** `ValueError`, naming the argument.
    """
    for name, value in numbers.items():
        least = 0 if name == "seed" else 1
        if value is None and name in ("trials", "ensemble", "mesh"):
            continue
        if not is_whole(value) or value < least:
            raise ValueError(f"sweep: {name} must be a whole number of at least {least}, got {value!r}")


def check_model(model: Callable[..., EnergyModule], rule: LearningRule | RuleMaker, train: Data) -> None:
    """Refuse what can't be made anew for each trial.

    **Raises:** `TypeError`.
    """
    if isinstance(model, EnergyModule):
        raise TypeError(
            "sweep: model must be a function that makes one, since every trial begins with first weights of its own: "
            "such as lambda: pxm.MLP([784, 128, 10])"
        )
    if not callable(model) or is_equinox(model):
        raise no_model("sweep: model must be a function that makes an EnergyModule; ", model)
    if not is_rule(rule) and not callable(rule):
        raise TypeError(f"sweep: rule must be a function that makes a learning rule, got {type(rule).__name__}")
    if isinstance(train, Iterator):
        raise TypeError("sweep: train is gone through for every trial, and an iterator has only one walk; give a list")


def check_devices(space: Space, batch_size: int | None, mesh: int | None) -> None:
    """Refuse batches that can't be shared out over all devices, as the last networks of an ensemble may need it; and
    processes that train together.

    **Raises:** `ValueError`.
    """
    if jax.process_count() > 1:
        raise ValueError(
            "sweep: processes of jax.distributed train one network together; the processes of a sweep share trials by "
            "its folder or storage: start them without jax.distributed"
        )
    domain = space.domains.get("batch_size")
    sizes = [batch_size or SAMPLES] if domain is None else domain._grid() or []
    odd = [size for size in sizes if isinstance(size, int) and size % (mesh or 1)]
    if odd:
        raise ValueError(f"sweep: batches of {odd[0]} samples can't be shared out evenly over mesh={mesh} devices")


def metric_of(metric: str | None, mode: Mode | None, validation: bool) -> tuple[str, Mode]:
    """Return the metric that says which setting is best, and whether more or less of it is.

    **Raises:** `TypeError` or `ValueError` if that must be said.
    """
    if metric is None:
        metric = "validation_loss" if validation else "loss"
    if not isinstance(metric, str):
        raise TypeError(f"sweep: metric must be a name in the history, got {metric!r}")
    check_mode("sweep: mode", mode)
    return metric, mode or direction(metric, "sweep: mode")


def tried(trainer: Trainer, plan: Plan) -> Run:
    """Put the networks of the first setting together as `fit` would, so that what doesn't fit is said now; and make the
    rule of every program.

    **Raises:** `TypeError` or `ValueError`, as `fit` does.
    """
    settings = plan.first()
    programs = {json.dumps(trainer.space.program(s), sort_keys=True): s for s in reversed(settings)}
    for setting in reversed(programs.values()):
        try:
            _, rule, each = trainer.parts([setting])
            rule_of(rule, (each.settings or [{}])[0])
        except (TypeError, ValueError) as e:
            program = trainer.space.program(setting)
            raise type(e)(f"sweep: with {program or setting}: {e}") from e
    model, rule, options = trainer.parts(settings[:1])
    members = members_of(model, rule, options.seeds, options.settings)
    layout = Layout.of(options.mesh, len(members))
    with alone(model):
        source = as_source(trainer.train, options, [m.seed for m in members])
        try:
            return prepare(model, rule, members, source, as_held_out(trainer.validation), options, layout)
        except _UNKNOWN as e:
            numbers = ", ".join(map(repr, members[0].settings))
            raise ValueError(
                f"sweep: {numbers} are numbers that one compiled program is given, and the rule needs to know the "
                "value of one while it is traced; say static=True of it: pxt.Choice([...], static=True), pxt.Log(..., "
                "static=True)"
            ) from e


def described(trainer: Trainer, plan: Plan, pruner: object, run: Run) -> dict[str, Json]:
    """Return what a sweep is of, as plain data: equal for those that may share trials.

    **Arguments:**

    - `run`: of its first setting.
    """
    options = trainer.options
    held = run.held_out
    parts: dict[str, Any] = {
        "space": trainer.space.describe(),
        "way": plan.describe(),
        "model": describe(trainer.model),
        "network": run.made_of["model"],
        "rule": describe(trainer.rule),
        "data": {**run.made_of["data"], **run.source.fingerprint()},
        "validation": None if held is None else {**held.describe(), **(held.first() or {})},
        "training": {
            "epochs": options.epochs,
            "batch_size": options.batch_size,
            "seeds": describe(options.seeds if isinstance(options.seeds, int) else list(options.seeds)),
            "augment": describe(options.augment),
            "metrics": describe(options.metrics),
            "early_stopping": describe(options.early_stopping),
        },
        "judged": {"metric": trainer.metric, "mode": trainer.mode, "pruner": describe(pruner)},
    }
    return {name: _short(json.loads(json.dumps(part, default=str))) for name, part in parts.items()}


def _short(part: Json) -> Json:
    """A description that a database takes; a longer one by its checksum."""
    text = json.dumps(part, sort_keys=True)
    return part if len(text) <= _LIMIT else {"sha256": hashlib.sha256(text.encode()).hexdigest()}
