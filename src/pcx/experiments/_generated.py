"""Digits that Monte Carlo predictive coding generates (Oliviers et al. 2024), and what a classifier says of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import optax

from .. import data as pxd
from .. import inference as pxi
from .. import learning as pxl
from ..models import GenerativeHierarchy
from ._images import learned, load, packed, unpacked
from ._judge import Judge
from ._mcpc import DigitsSettings, McpcDigits
from ._sampled import predictions
from .frame import Arm, Data, FirstSteps, Record, Trained, Where, draw_with_images

_SHOWN = 10  # images in the figure


@dataclass(frozen=True, eq=False)
class Judged(Data):
    """Images to learn from, and the whole data set, by which the judge is trained.

    **Arguments:** those of `Data`, and

    - `whole`: the data set.
    - `judges`: those that are trained, by their epochs.
    """

    whole: pxd.Dataset | None = None
    judges: dict[int, Judge] = field(default_factory=dict)

    def judge(self, settings: DigitsSettings) -> Judge:
        """Return the classifier, trained."""
        assert self.whole is not None
        epochs = settings.judge_epochs
        if epochs not in self.judges:
            self.judges[epochs] = Judge(self.whole, epochs)
        return self.judges[epochs]

    def some(self, count: int) -> tuple[np.ndarray, np.ndarray]:
        """Return real images to compare with, of the training set, and others, of the test set, as many of each."""
        assert self.whole is not None
        count = min(count, len(self.whole.test), len(self.whole.train))
        return self.whole.train.x[:count], self.whole.test.x[:count]


def judged_images(settings: DigitsSettings, where: Where) -> Judged:
    """Return the images to learn from, without input, and the data set that they are from.

    **Raises:** as `first_images`.
    """
    whole = load(settings.data, where)
    found = learned(settings.data, whole, settings.samples, settings.test_samples)
    return Judged(found.name, found.train, found.test, found.sha256, whole=whole)


def generating(name: str, settings: DigitsSettings, data: Judged) -> Trained:
    """Return the arm of a rule, `"mcpc"` or `"pc"`. What each network generates is sampled by the same chain."""
    optim, precision = optax.adam(settings.lr), {"data": settings.precision}
    rule: pxl.Rule
    if name == "mcpc":
        descent = pxi.Langevin(settings.step, 1.0, settings.momentum)
        rule = pxl.mcpc(optim, descent, settings.T, burn_in=settings.burn_in, precision=precision)
    else:
        rule = pxl.pc(optim, optax.sgd(settings.step, settings.momentum), settings.T, precision=precision)
    chain = pxl.mcpc(optax.sgd(1.0), settings.generate_step, settings.generate_T)
    like, _ = data.some(settings.generate)

    def generated(state: pxl.State) -> np.ndarray:
        return np.clip(predictions(state, "data", like.shape, chain), 0, 1)

    return Trained(
        lambda: GenerativeHierarchy((*settings.hidden, like.shape[1])),
        rule,
        data,
        settings.epochs,
        settings.batch_size,
        after=lambda state: data.judge(settings).says(generated(state), like),
        keep=lambda state: {"images": packed(generated(state)[:_SHOWN])},
        looks=False,
    )


class Real(Arm):
    """The arm of real images, those of the test set: what is to be reached.

    **Arguments:**

    - `settings`, `data`: of the experiment.
    """

    def __init__(self, settings: DigitsSettings, data: Judged) -> None:
        self.settings, self.shared = settings, data

    def train(self, folder: Path, seeds: Sequence[int], show: bool) -> Record:
        like, real = self.shared.some(self.settings.generate)
        found = self.shared.judge(self.settings).says(real, like)
        return Record(
            [{"seed": seed, "epoch": 0} for seed in seeds],
            after={name: [value] * len(seeds) for name, value in found.items()},
            kept={"images": packed(real[:_SHOWN])},
        )

    def first_steps(self, seed: int, count: int) -> FirstSteps:
        """Return nothing that could differ: nothing is trained."""
        return FirstSteps({}, {}, "")


def draw(path: Path, records: Mapping[str, Record]) -> None:
    """Draw the inception score of each kind of images, and some of them.

    **Arguments:**

    - `path`: of the PNG file.
    - `records`: by arm.
    """
    rows = {name: unpacked(record.kept["images"]) for name, record in records.items() if record.kept}
    draw_with_images(path, McpcDigits.measures[0], records, rows)
