"""The options of `pcx train` and `pcx compare`. Imports nothing heavy: they are read before anything else is."""

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from . import _checks
from ._checks import MOST
from ._failures import Refused
from ._job import Job
from ._programs import Programs
from ._regime import check_regime
from ._rules import RULE_NAMES, RuleName, Rules

DataName = Literal["fashion-mnist", "mnist", "cifar10", "cifar100", "digits", "two-moons"]
EnergyName = Literal["se", "ce"]
ModelName = Literal["mlp", "mu-mlp", "vgg5", "vgg7", "vgg9", "alexnet", "resnet18"]
MODELS: tuple[str, ...] = get_args(ModelName)
CONVOLUTIONAL = ("vgg5", "vgg7", "vgg9", "alexnet", "resnet18")
ENERGIES: tuple[str, ...] = get_args(EnergyName)
NETWORKS = 10_000  # of one run
IMAGES = ("fashion-mnist", "mnist", "cifar10", "cifar100", "digits")


@dataclass(frozen=True)
class Experiment(Rules):
    """Settings of a training: the network, the data, the rule."""

    data: DataName = "fashion-mnist"
    """Data set; digits and two-moons come with scikit-learn, the others are read from their published files."""
    data_folder: Path | None = None
    """Where the files are; `pcx info` lists the folders that are searched otherwise."""
    download: bool = False
    """Fetch the files into the user's cache if they are nowhere."""
    standardise: bool = True
    """Inputs with mean 0 and variance 1 by the numbers of the training set; else pixels go from 0 to 1."""
    flip: bool = False
    """Mirror images left to right, each with probability 1/2."""
    crop: int = 0
    """Shift images: pad by so many pixels and cut out a window of the old size; 4 is usual for CIFAR, 0 is off."""
    validation: Literal["held-out", "test", "none"] = "held-out"
    """What is judged after every epoch: samples held out of the training set; the test set; or nothing."""
    subset: int | None = None
    """Train on the first so many samples of the training set, held-out ones included; all if left out."""
    held_out: float = 0.1
    """Part of the training set that is held out, above 0 and below 1: its last samples."""

    model: ModelName | str = "mlp"
    """Network: mlp and mu-mlp have layers as in --hidden, the others are convolutional (resnet18 with levelled skips
    and batch normalisation); or one of your own, file.py:Net or module:Net, a class or function that is called with
    those of shape (of a sample) and classes that it asks for by name."""
    hidden: tuple[int, ...] = (128, 128, 128)
    """Widths of the hidden layers of mlp and mu-mlp; equal ones for mu-mlp."""
    act: Literal["gelu", "relu", "leaky-relu", "tanh", "sigmoid"] = "gelu"
    """Activation function."""
    energy: EnergyName | str = "se"
    """Energy of the output node: squared error, or cross entropy with the class; or one of your own, file.py:name or
    module:name, such as pcx.predictive_coding:Laplace: a function f(vode, rkg), or a class of such. With a --model of
    your own such an energy is its argument energy."""

    dtype: Literal["float32", "bfloat16", "float16"] = "float32"
    """Dtype of the products of layers. Weights, their optimiser, the values of nodes and all sums are float32. 16 bits
    are for accelerators that are fast at them; CPUs are not."""
    equal_layers: Literal["auto", "looped", "stacked", "apart"] = "auto"
    """How layers that repeat are computed, with the same numbers but for rounding: looped, one after the other in one
    loop, which compiles soonest; stacked, all at once; apart, each by itself; auto, what was measured to run fastest.
    The run's log.txt says what that is."""

    optimiser: Literal["adamw", "adam", "sgd"] = "adamw"
    """Optimiser of the weights."""
    lr: float = 3e-4
    """Learning rate of the weights; 1e-4 to 1e-3 are usual for adam and adamw, 0.01 to 0.2 for sgd."""
    weight_decay: float = 1e-3
    """Weight decay of adamw; 1e-5 to 3e-2 are usual."""
    momentum: float = 0.9
    """Momentum of sgd, from 0 to below 1."""
    schedule: Literal["constant", "warmup-cosine"] = "constant"
    """Course of the rate; warmup-cosine: to 1.1 lr over the first tenth of training, then down to 0.1 lr."""
    decay_epochs: int | None = None
    """Epochs that warmup-cosine is spread over; --epochs if left out."""

    epochs: int = 25
    """Passes over the training set; 25 are usual for mlp, 50 for vgg."""
    batch_size: int = 128
    """Samples in a batch; what is left over of an epoch is dropped, other samples in each."""
    seeds: tuple[int, ...] = (1,)
    """One number: how many networks, with seeds from --first-seed on. Several numbers: those very seeds."""
    first_seed: int = 0
    """First seed, if --seeds is one number. A seed decides first weights, order of the data and noise."""
    patience: int | None = None
    """Stop a network after so many epochs in a row without a better --monitor; never if left out."""
    monitor: Literal["validation-loss", "validation-accuracy"] = "validation-loss"
    """What is meant by better, for --patience and for the best checkpoint."""
    checkpoint_every: int | None = None
    """Batches between checkpoints; if left out, one at an epoch's end once --checkpoint-seconds have passed."""
    checkpoint_seconds: float = 60.0
    """Seconds between checkpoints. One is always written at the end, and on Ctrl-C."""
    devices: int | None = None
    """Devices to train on; if left out, as many as --layer-devices, or all of a job of several processes. The networks
    of all seeds are shared out among them as far as it goes evenly, and what is left of it to the samples of each
    batch. pcx info says how many there are."""
    layer_devices: int = 1
    """Devices to share the equal layers of a deep network out over, for rules whose layers work at once. With a
    multiple of them as --devices, the rest goes to the samples of each batch."""
    parallel: Literal["auto", "vmap", "loop"] = "auto"
    """Several networks of one device at once, or one after the other; auto: at once, except on CPUs, and where batches
    are shared out."""

    @property
    def all_seeds(self) -> tuple[int, ...]:
        """The seeds, one for each network."""
        if len(self.seeds) == 1:
            return tuple(range(self.first_seed, self.first_seed + self.seeds[0]))
        return self.seeds

    @property
    def used_rules(self) -> tuple[str, ...]:
        """The rules that are trained by."""
        raise NotImplementedError

    def check(self) -> None:
        """Raises `Refused` if an option has a value that can't be used, naming it."""
        chosen = [("model", self.model, MODELS), ("energy", self.energy, ENERGIES)]
        for name, value, names in [*chosen, *[("rule", r, RULE_NAMES) for r in self.used_rules]]:
            if value not in names and not is_own(value):
                raise Refused(
                    f"--{name}: there is no {value!r}; choose {', '.join(names)}, or file.py:name of your own"
                )
        for name in (
            "epochs",
            "batch_size",
            "patience",
            "decay_epochs",
            "checkpoint_every",
            "subset",
            "devices",
            "layer_devices",
        ):
            _checks.at_least(name, getattr(self, name), 1)
        for name in ("crop", "first_seed", "checkpoint_seconds", "weight_decay"):
            _checks.at_least(name, getattr(self, name), 0)
        for name in ("epochs", "batch_size", "patience", "decay_epochs", "checkpoint_every", "crop", "subset"):
            _checks.at_most(name, getattr(self, name), MOST)
        if self.devices is not None and self.devices % self.layer_devices:
            raise Refused(
                f"--layer-devices {self.layer_devices}: {self.devices} devices can't be shared out evenly among so "
                "many parts of the layers"
            )
        if self.layer_devices > 1 and self.parallel == "vmap":
            raise Refused("--parallel vmap: over --layer-devices networks are trained in turn; leave it out")
        if self.layer_devices > 1 and self.equal_layers in ("looped", "apart"):
            raise Refused(f"--layer-devices takes layers in stacks: leave --equal-layers {self.equal_layers} out")
        count = self.seeds[0] if len(self.seeds) == 1 else len(self.seeds)
        if count > NETWORKS:
            raise Refused(f"--seeds must be at most {NETWORKS} networks, got {count}; several numbers are seeds")
        if len(self.seeds) == 0 or (len(self.seeds) == 1 and self.seeds[0] < 1):
            raise Refused(f"--seeds must be at least 1 network, got {' '.join(map(str, self.seeds)) or 'nothing'}")
        if len(set(self.seeds)) < len(self.seeds) or min(self.seeds) < 0 or max(self.all_seeds) >= 2**32:
            raise Refused(f"--seeds must be different numbers from 0 below 2**32, got {' '.join(map(str, self.seeds))}")
        if any(width < 1 for width in self.hidden):
            raise Refused(f"--hidden must be at least 1 each, got {' '.join(map(str, self.hidden))}")
        _checks.at_most("hidden", max(self.hidden, default=1), MOST)
        if self.model == "mu-mlp" and (not self.hidden or len(set(self.hidden)) > 1):
            raise Refused("--hidden must be one or more equal widths with --model mu-mlp")
        if self.model in CONVOLUTIONAL and self.data not in IMAGES[:-1]:
            raise Refused(f"--model {self.model} needs larger images than --data {self.data}; use mlp")
        if (self.flip or self.crop) and self.data not in IMAGES:
            raise Refused(f"--flip and --crop are for images, and --data {self.data} has none")
        _checks.rate("lr", self.lr)
        _checks.momentum("momentum", self.momentum)
        if not 0 < self.held_out < 1:
            raise Refused(f"--held-out must be above 0 and below 1, got {self.held_out}")
        if self.patience is not None and self.validation != "held-out":
            raise Refused("--patience needs --validation held-out: when to stop may not be chosen by the test set")
        for name in self.used_rules:
            if not is_own(name):
                getattr(self, name).check(name)

    def check_given(self, args: list[str]) -> None:
        """Raises `Refused` if an option was given for a rule that isn't used: it would have no effect."""
        for word in args:
            owner = word.removeprefix("--").partition(".")[0]
            if word.startswith("--") and "." in word and owner in RULE_NAMES and owner not in self.used_rules:
                raise Refused(f"{word.partition('=')[0]} has no effect: the rule is {', '.join(self.used_rules)}")

    def without_effect(self) -> dict[str, str]:
        """Return the options that have no effect beside the others, each with the reason."""
        found = {}
        if self.model in CONVOLUTIONAL:
            found["hidden"] = f"the model is {self.model}"
        if is_own(self.model):
            found["hidden"] = found["act"] = f"the model is {self.model}"
            if not is_own(self.energy):
                found["energy"] = f"the model is {self.model}, which has energies of its own"
        if self.optimiser != "sgd":
            found["momentum"] = f"the optimiser is {self.optimiser}"
        if self.optimiser != "adamw":
            found["weight-decay"] = f"the optimiser is {self.optimiser}"
        if self.schedule == "constant":
            found["decay-epochs"] = "the schedule is constant"
        if self.validation != "held-out":
            found["held-out"] = found["monitor"] = f"nothing is held out with --validation {self.validation}"
        if len(self.seeds) > 1:
            found["first-seed"] = "--seeds names each seed"
        if self.checkpoint_every is not None:
            found["checkpoint-seconds"] = "checkpoints are written by --checkpoint-every"
        if self.data in ("digits", "two-moons"):
            found["data-folder"] = found["download"] = f"{self.data} comes with scikit-learn"
        return found


@dataclass(frozen=True)
class Looks(Experiment):
    """Looks at the networks while they are trained."""

    regime: Literal["auto", "off"] | int | None = None
    """Look every so many batches at what regime each network is in: is it backpropagation in other words, has it
    settled, which layers learn? On held-out samples, into metrics.jsonl and the line of each epoch, and once more after
    the last batch; what keeps layers from learning is said before the first one. auto: 500 batches; off: never, as if
    it is left out."""
    curvature: bool = False
    """With --regime: the first look and the last also measure the curvature of the energy, and so the largest stable
    step of the values, which theirs is held against. It takes as long as a hundred batches or so."""

    @property
    def looks(self) -> bool:
        """True if the networks are looked at."""
        return self.regime not in (None, "off")

    def check(self) -> None:
        super().check()
        check_regime(self.regime)
        if self.looks and self.layer_devices > 1:
            raise Refused("--regime looks at networks on one device: it goes without --layer-devices")
        if self.looks and self.curvature and self.dtype != "float32":
            raise Refused(f"--curvature: products in {self.dtype} have no second derivative; leave one of both out")

    def without_effect(self) -> dict[str, str]:
        found = super().without_effect()
        return found if self.looks else found | {"curvature": "without --regime nothing is looked at"}


@dataclass(frozen=True)
class TrainOptions(Programs, Job, Looks):
    """Train a network by a learning rule and keep the run in a folder."""

    rule: RuleName | str = "pc"
    """Learning rule. Each has options of its own, listed below; or one of your own, file.py:name or module:name, a
    rule, or a function that makes one and is called with those of optim (of the weights), lr, samples, dtype and
    equal_layers that it asks for by name."""
    out: Path | None = None
    """Folder of the run, new or empty; runs/train-<date>-<time> if left out."""
    resume: Literal["never", "auto"] = "never"
    """auto: go on with the run in --out if there is one, else begin it; for a job that may be restarted."""
    config: Path | None = None
    """Folder or config.json of a run whose options are the defaults of this one."""
    quiet: bool = False
    """Show no progress."""

    @property
    def used_rules(self) -> tuple[str, ...]:
        return (self.rule,)

    def check(self) -> None:
        super().check()
        self.check_job()
        if self.resume == "auto" and self.out is None:
            raise Refused("--resume auto needs --out, the folder of the run")


@dataclass(frozen=True)
class CompareOptions(Programs, Looks):
    """Train the same networks by several rules, with the same seeds, and say how sure the differences are."""

    seeds: tuple[int, ...] = (3,)
    """As in pcx train, the same for every rule; intervals need 2 networks, and 5 or more are useful."""
    rules: tuple[RuleName | str, ...] = ("pc", "zil", "backprop")
    """Learning rules, also of your own as in pcx train. Differences and costs are against backprop, if it is there."""
    out: Path | None = None
    """Folder of the comparison, new or empty; runs/compare-<date>-<time> if left out."""
    resume: bool = False
    """Go on with the comparison in --out, with the options that it was begun with."""
    config: Path | None = None
    """Folder or config.json of a comparison whose options are the defaults of this one."""
    quiet: bool = False
    """Show no progress."""

    @property
    def used_rules(self) -> tuple[str, ...]:
        return self.rules

    def check(self) -> None:
        super().check()
        if not self.rules or len({label(rule) for rule in self.rules}) < len(self.rules):
            raise Refused("--rules must be one or more different rules")
        if self.resume and self.out is None:
            raise Refused("--resume needs --out, the folder of the comparison")

    def of(self, rule: str) -> TrainOptions:
        """Return the options of the run of one rule."""
        shared = {f.name: getattr(self, f.name) for f in dataclasses.fields(Looks)}
        return TrainOptions(**shared, rule=rule, quiet=self.quiet)


def is_own(name: str) -> bool:
    """Return whether a network, rule or energy is one of the user's own: `file.py:name` or `module:name`."""
    place, _, attribute = name.rpartition(":")
    return bool(place) and all(part.isidentifier() for part in attribute.split("."))


def label(rule: str) -> str:
    """Return a rule's short name: that of a folder, or a row."""
    return rule.rpartition(":")[2] if is_own(rule) else rule
