"""From options to what is trained: data, model, rule, augmentation."""

from __future__ import annotations

import contextlib
import itertools
import os
from collections.abc import Callable, Sequence
from typing import Any, Protocol, cast, runtime_checkable

import jax
import numpy as np
import optax

from .. import data as pxd
from .. import models
from .. import predictive_coding as pxc
from ..core import see
from ..data import Dataset, Split
from ..training import LearningRule
from . import _own as own_code
from ._failures import Refused, nowhere
from ._interrupt import by_exception
from ._rules import momentum_of
from ._settings import CONVOLUTIONAL, Experiment, is_own

_ACTS: dict[str, Callable[[jax.Array], jax.Array]] = {
    "gelu": jax.nn.gelu,
    "relu": jax.nn.relu,
    "leaky-relu": jax.nn.leaky_relu,
    "tanh": jax.nn.tanh,
    "sigmoid": jax.nn.sigmoid,
}


@runtime_checkable
class Sampled(Protocol):
    """Data that a network is made for: the shape of one sample, and the number of classes."""

    shape: tuple[int, ...]
    classes: int


class Splits:
    """The data of a run: what is trained on, what is judged after every epoch (or None), and the test set; `scaling`,
    what samples of one's own are to be scaled by (None with `--no-standardise`); and `names`, those of the classes."""

    def __init__(self, options: Experiment) -> None:
        found = _dataset(options)
        self.classes, self.names, self.scaling = len(found.classes), found.classes, found.scaling
        train, test = found.train, found.test
        if options.model in CONVOLUTIONAL and train.x.ndim == 3:  # grey images: one channel
            train, test = Split(train.x[:, None], train.y), Split(test.x[:, None], test.y)
        self.shape = train.x.shape[1:]
        if options.subset is not None:
            if options.subset > len(train):
                raise Refused(f"--subset {options.subset} is more than the {len(train)} samples there are")
            train = Split(train.x[: options.subset], train.y[: options.subset])
        self.test, self.validation = test, None if options.validation == "none" else test
        if options.validation == "held-out":
            count = round(len(train) * options.held_out)
            if not 0 < count < len(train):
                message = f"--held-out {options.held_out} leaves nothing of one part of {len(train)} samples"
                raise Refused(message)
            # The last ones, as is usual: all these sets are in random order, and views cost nothing.
            self.validation = Split(train.x[-count:], train.y[-count:])
            train = Split(train.x[:-count], train.y[:-count])
        self.train = train
        if options.batch_size > len(train):
            message = f"--batch-size {options.batch_size} is more than the {len(train)} samples to train on"
            raise Refused(message)

    @property
    def named(self) -> dict[str, Split]:
        """The splits by name."""
        held = {} if self.validation is None else {"validation": self.validation}
        return {"train": self.train, **held, "test": self.test}


def _dataset(options: Experiment) -> Dataset:
    if options.data == "two-moons":
        return pxd.two_moons(standardise=options.standardise)
    if options.data == "digits":
        return pxd.digits(standardise=options.standardise)
    load = {
        "fashion-mnist": pxd.fashion_mnist,
        "mnist": pxd.mnist,
        "cifar10": pxd.cifar10,
        "cifar100": pxd.cifar100,
    }[options.data]
    # A download that is broken off leaves no part of a file behind.
    breakable = by_exception() if options.download else contextlib.nullcontext()
    try:
        with breakable:
            return load(options.data_folder, download=options.download, standardise=options.standardise)
    except FileNotFoundError as error:
        raise nowhere(error) from error


def model_maker(options: Experiment, splits: Sampled) -> Callable[[], pxc.EnergyModule]:
    """Return a function that makes the network, with first weights from `pcx.RKG`."""
    if is_own(options.model):
        known: dict[str, Any] = {"shape": tuple(splits.shape), "classes": splits.classes}
        if is_own(options.energy):
            known["energy"] = energy_of(options)
        return _own_maker(options.model, known)
    act, energy = _ACTS[options.act], energy_of(options)
    if options.model in ("mlp", "mu-mlp"):
        widths = [int(np.prod(splits.shape)), *options.hidden, splits.classes]
        check_memory(options, widths)
        cls = models.MLP if options.model == "mlp" else models.MuMLP
        return lambda: cls(widths, act=act, energy=energy)
    made = getattr(models, options.model)
    return lambda: made(shape=splits.shape, classes=splits.classes, act=act, energy=energy)


def _own_maker(name: str, known: dict[str, Any]) -> Callable[[], pxc.EnergyModule]:
    made = own_code.load(name, "--model")
    if "energy" in known and "energy" not in own_code.parameters(made, name, "--model"):
        raise Refused(f"--energy has no effect: {name} asks for no argument of the name energy")

    def make() -> pxc.EnergyModule:
        model = own_code.call(made, name, "--model", known)
        if not isinstance(model, pxc.EnergyModule):
            message = f"--model {name} gives {type(model).__name__}; it must give a pcx.predictive_coding.EnergyModule"
            raise Refused(message)
        return model

    return make


def energy_of(options: Experiment) -> pxc.EnergyFn:
    """Return the energy of the output node."""
    if not is_own(options.energy):
        return {"se": pxc.se_energy, "ce": pxc.ce_energy}[options.energy]
    found: Any = own_code.load(options.energy, "--energy")
    if isinstance(found, type):  # a class of energies, whose options have defaults
        found = own_code.call(found, options.energy, "--energy", {})
    if not callable(found):
        raise Refused(
            f"--energy {options.energy} is {type(found).__name__}; it must be a function energy(vode, rkg), such as "
            "pcx.predictive_coding.se_energy"
        )
    return cast(pxc.EnergyFn, found)


def _own_rule(name: str, known: dict[str, Any]) -> LearningRule:
    rule = own_code.load(name, "--rule")
    asked = _asked_by(rule, name)
    for argument, default in (("dtype", None), ("equal_layers", "auto")):
        if known[argument] != default and argument not in asked:
            option = argument.replace("_", "-")
            raise Refused(f"--{option} has no effect: {name} asks for no argument of the name {argument}")
    rule = rule if _is_rule(rule) else own_code.call(rule, name, "--rule", known)
    if not _is_rule(rule):
        raise Refused(
            f"--rule {name} gives {type(rule).__name__}; it must be a pcx.learning.Rule, or have init, step, predict "
            "and evaluate"
        )
    return rule


def _asked_by(rule: object, name: str) -> set[str]:
    """Return the arguments that a rule of the user's own asks for: none, if it is a rule already."""
    made: Any = rule
    return set() if _is_rule(rule) else set(own_code.parameters(made, name, "--rule"))


def unasked(options: Experiment) -> dict[str, str]:
    """Return the options of the optimiser that have no effect, each with the reason: rules of one's own may bring an
    optimiser themselves.

    **Raises:** `Refused` if a rule of one's own can't be read.
    """
    asked: set[str] = set()
    for name in options.used_rules:
        if not is_own(name):
            return {}
        asked |= _asked_by(own_code.load(name, "--rule"), name)
    if "optim" in asked:
        return {}
    reason = f"{', '.join(options.used_rules)} asks for no argument of the name"
    found = dict.fromkeys(["optimiser", "weight-decay", "momentum", "schedule", "decay-epochs"], f"{reason} optim")
    return found if "lr" in asked else found | {"lr": f"{reason} lr or optim"}


def _is_rule(x: object) -> bool:
    return isinstance(x, LearningRule) and not isinstance(x, type)


def check_memory(options: Experiment, widths: Sequence[int]) -> None:
    """Raises `Refused` if weights, their gradients and a batch's values are more than there is memory for: a
    process that asks for more may be killed without a word."""
    weights = sum(a * b for a, b in itertools.pairwise(widths))
    needed = 4 * 2 * (weights + options.batch_size * sum(widths))
    there = _memory()
    if there is not None and needed > there:
        text = f"a network of {weights:.3g} weights needs more than {needed / 1e9:.3g} GB; there are {there / 1e9:.3g}"
        raise Refused(f"{text}: make --hidden smaller{see('memory')}")


def _memory() -> int | None:
    """Bytes of memory of the device, as far as that is known."""
    device = jax.devices()[0]
    if device.platform == "cpu":
        with contextlib.suppress(OSError, ValueError, AttributeError):
            return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
        return None
    return (device.memory_stats() or {}).get("bytes_limit")


def make_rule(options: Experiment, name: str, samples: int) -> LearningRule:
    """Return a learning rule.

    **Arguments:**

    - `name`: of the table of rules, or of a rule of the user's own.
    - `samples`: how many there are to train on.
    """
    # In the network's own dtype a rule is what it was before there were others.
    dtype = None if options.dtype == "float32" else options.dtype
    if is_own(name):
        known = {"optim": _optimiser(options, 1, samples), "lr": options.lr, "samples": samples}
        known |= {"dtype": dtype, "equal_layers": options.equal_layers}
        return _own_rule(name, known)
    rule = getattr(options, name)
    optim = _optimiser(options, rule.updates, samples)
    return rule.make(optim, dtype=dtype, equal_layers=options.equal_layers)


def _optimiser(options: Experiment, updates: int, samples: int) -> optax.GradientTransformation:
    """The optimiser of the weights, which are updated so often for each batch."""
    rate: Any = options.lr
    if options.schedule == "warmup-cosine":
        total = (options.decay_epochs or options.epochs) * (samples // options.batch_size) * updates
        # Of arXiv 2407.01163.
        rate = optax.warmup_cosine_decay_schedule(
            options.lr, 1.1 * options.lr, max(total // 10, 1), max(total, 2), 0.1 * options.lr
        )
    if options.optimiser == "sgd":
        return optax.sgd(rate, momentum_of(options.momentum))  # pyright: ignore[reportArgumentType]  # it may be traced
    if options.optimiser == "adam":
        return optax.adam(rate)
    return optax.adamw(rate, weight_decay=options.weight_decay)


def augmentation(options: Experiment) -> pxd.Augmentation | None:
    """Return the random changes of images, or None."""
    parts = [pxd.flip()] if options.flip else []
    parts += [pxd.crop(options.crop)] if options.crop else []
    return pxd.compose(*parts) if parts else None
