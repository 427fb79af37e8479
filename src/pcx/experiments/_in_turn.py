"""Learning one sample at a time, where Song et al. (2024) found predictive coding ahead of backpropagation: both rules
are tuned by as many trials, with networks and samples of their own, and then compared over new seeds.

```bibtex
@article{song2024inferring,
    author  = {Yuhang Song and Beren Millidge and Tommaso Salvatori and Thomas Lukasiewicz and Zhenghua Xu and
               Rafal Bogacz},
    title   = {Inferring Neural Activity before Plasticity as a Foundation for Learning beyond Backpropagation},
    journal = {Nature Neuroscience}, volume = {27}, year = {2024},
}
```
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from .. import learning as pxl
from .. import nn as pxnn
from .. import predictive_coding as pxc
from ..analysis import paired, plot_seeds
from ..core import RKG, seeded
from ._online import OnlineSettings
from ._orders import Samples, order, samples_of
from .frame import Arm, Data, FirstSteps, Record, figure_at, first_steps

RULES = ("pc", "backprop")
_TUNING = 1000  # seeds from here on are for tuning
_LEFT_OUT = (pxl.OUTCOME.not_finite, pxl.OUTCOME.bad_label)


class Network(pxc.EnergyModule):
    """The network of the paper: a value node before each activation, `u_l = W_l sigmoid(h_(l-1)) + b_l`, weights from
    Xavier's normal distribution, biases 0, squared errors.

    **Arguments:**

    - `widths`: from the input to the output.
    """

    def __init__(self, widths: Sequence[int]) -> None:
        super().__init__()
        self.layers = [pxnn.Linear(a, b) for a, b in itertools.pairwise(widths)]
        for layer, a, b in zip(self.layers, widths[:-1], widths[1:], strict=True):
            layer.nn.weight.set((2 / (a + b)) ** 0.5 * jax.random.normal(RKG(), (b, a)))
            layer.nn.bias.set(jnp.zeros(b))
        self.vodes = [pxc.Vode() for _ in widths[2:]] + [pxc.Vode(output=True)]

    def __call__(self, x: jax.Array) -> jax.Array:
        h: Any = self.vodes[0](self.layers[0](x))
        for layer, vode in zip(self.layers[1:], self.vodes[1:], strict=True):
            h = vode(layer(jax.nn.sigmoid(h)))
        return h


class Trial(NamedTuple):
    """The settings of a rule that are tuned: the rate of the weights, and for PC that of the values."""

    lr: float
    state_lr: float | None = None


def trials(rule: str, settings: OnlineSettings) -> list[Trial]:
    """Return what a rule is tuned over: as many trials for each, over the same range of rates of the weights. Those of
    PC are shared out among the rates of its values, so that they lie further apart."""
    states = settings.state_lrs if rule == "pc" else (None,)
    rates = np.geomspace(settings.lowest_lr, settings.highest_lr, settings.trials // len(states))
    return [Trial(float(lr), state) for state in states for lr in rates]


def learning_rule(trial: Trial, lr: jax.Array | float, T: int) -> pxl.Rule:
    """Return the rule of a trial, at a rate of the weights that may be traced."""
    if trial.state_lr is None:
        return pxl.backprop(optax.sgd(lr))
    return pxl.pc(optax.sgd(lr), optax.sgd(trial.state_lr), T)


@dataclass(frozen=True)
class Curves:
    """The results of networks that were trained at once.

    **Arguments:**

    - `accuracy`: on the samples that judge, after each block, `[trials, seeds, blocks]`.
    - `left_out`: steps that changed no weight since a number was not finite, `[trials, seeds]`.
    """

    accuracy: np.ndarray
    left_out: np.ndarray

    @property
    def scores(self) -> np.ndarray:
        """The mean accuracy over the blocks, `[trials, seeds]`: how well and how fast."""
        return self.accuracy.mean(axis=-1)


class Compared(Arm):
    """The arm of a setting: both rules, tuned and compared.

    **Arguments:**

    - `name`: `"stream"`, `"few"` or `"switch"`.
    - `settings`, `data`: of the experiment.
    """

    def __init__(self, name: str, settings: OnlineSettings, data: Data) -> None:
        self.name, self.settings = name, settings
        self.given: Samples = samples_of(name, data, settings)
        self.widths = [self.given.x.shape[1], *settings.hidden, self.given.classes]

    def train(self, folder: Path, seeds: Sequence[int], show: bool) -> Record:
        tuned = {rule: self.tuned(rule) for rule in RULES}
        found = {rule: self.curves([best], seeds, "test") for rule, (best, _) in tuned.items()}
        rows = [
            {
                "seed": seed,
                "epoch": block + 1,
                **{f"{r}_accuracy": float(found[r].accuracy[0, i, block]) for r in RULES},
            }
            for i, seed in enumerate(seeds)
            for block in range(self.settings.epochs)
        ]
        score = {rule: [float(s) for s in found[rule].scores[0]] for rule in RULES}
        last = {f"{rule}_last": [float(a) for a in found[rule].accuracy[0, :, -1]] for rule in RULES}
        difference = [a - b for a, b in zip(score["pc"], score["backprop"], strict=True)]
        sure = paired(score["pc"], score["backprop"])
        once: dict[str, Any] = {**score, **last, "difference": difference}
        once |= {f"difference_{end}": [sure[end]] * len(seeds) for end in ("low", "high")}
        kept = {
            rule: {"best": best._asdict(), "trials": tried, "left_out": int(found[rule].left_out.sum())}
            for rule, (best, tried) in tuned.items()
        }
        return Record(rows, after=once, kept=kept)

    def first_steps(self, seed: int, count: int) -> FirstSteps:
        """Take the first steps of PC on the samples as they lie, at a rate in the middle of those that are tried."""
        tried = trials("pc", self.settings)
        trial = tried[len(tried) // 4]
        rule = learning_rule(trial, trial.lr, self.settings.T)
        train = self.given.x, self.given.y
        return first_steps(lambda: Network(self.widths), rule, train, 1, None, seed, count)

    def tuned(self, rule: str) -> tuple[Trial, list[dict[str, Any]]]:
        """Return the best trial of a rule, by its mean score on the validation samples, and the scores of all."""
        seeds = range(_TUNING, _TUNING + self.settings.tuning_seeds)
        rows: list[dict[str, Any]] = []
        tried = trials(rule, self.settings)
        for _, group in itertools.groupby(tried, key=lambda trial: trial.state_lr):
            chosen = list(group)
            found = self.curves(chosen, seeds, "validation")
            for trial, scores, left_out in zip(chosen, found.scores, found.left_out, strict=True):
                rows.append({**trial._asdict(), "score": float(scores.mean()), "left_out": int(left_out.sum())})
        return tried[max(range(len(rows)), key=lambda i: rows[i]["score"])], rows

    def curves(self, chosen: Sequence[Trial], seeds: Sequence[int], judge: str) -> Curves:
        """Train a network for each trial and seed, one sample at a time, and judge it after each block.

        **Arguments:**

        - `chosen`: the trials, which differ in the rate of the weights alone.
        - `seeds`: each decides first weights and samples, the same for all trials and rules.
        - `judge`: the samples that judge: `"validation"` or `"test"`.
        """
        given, T = self.given, self.settings.T
        orders = np.stack([order(self.name, given, self.settings, seed) for seed in seeds])
        x, y, (x_judge, y_judge) = jnp.asarray(given.x), jnp.asarray(given.y), given.judges[judge]

        def network(lr: jax.Array, seed: jax.Array, rows: jax.Array) -> Any:
            with seeded(seed):
                model = Network(self.widths)
            rule = learning_rule(chosen[0], lr, T)
            state = rule.init(model, (given.x[:1], given.y[:1]))

            def step(state: pxl.State, row: jax.Array) -> Any:
                state, info = rule.step(state, (x[row][None], y[row][None]))
                return state, jnp.isin(info.result, jnp.asarray(_LEFT_OUT))

            def block(state: pxl.State, rows: jax.Array) -> Any:
                state, left_out = jax.lax.scan(step, state, rows)
                right = jnp.argmax(rule.predict(state, x_judge), axis=-1) == y_judge
                return state, (jnp.mean(right), jnp.sum(left_out))

            return jax.lax.scan(block, state, rows)[1]

        rates = jnp.asarray([trial.lr for trial in chosen], jnp.float32)
        over_seeds = jax.vmap(network, in_axes=(None, 0, 0))
        run = jax.jit(jax.vmap(over_seeds, in_axes=(0, None, None)))
        accuracy, left_out = run(rates, jnp.asarray(list(seeds), jnp.int32), jnp.asarray(orders))
        return Curves(np.asarray(accuracy, np.float64), np.asarray(left_out).sum(axis=-1))


def draw(path: Path, records: Mapping[str, Record]) -> None:
    """Draw the accuracy of both rules as the networks learn, in each setting, every seed and the mean.

    **Arguments:**

    - `path`: of the PNG file.
    - `records`: by setting.
    """
    with figure_at(path, len(records), (5.0, 4.2)) as axes:
        for ax, (name, record) in zip(axes, records.items(), strict=True):
            curves = {rule: np.asarray(record.curves(f"{rule}_accuracy"), float) for rule in RULES}
            plot_seeds(curves, ax, label=f"{name}: test accuracy")
