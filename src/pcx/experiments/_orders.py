"""The settings in which networks learn one sample at a time: a stream, few samples, and two tasks in turn."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ._images import bytes_of, load
from ._online import OnlineSettings
from .frame import Data, Where, first, sha256_of

TASK = 5  # classes in each of the two tasks


@dataclass(frozen=True)
class Samples:
    """Samples to learn from and to judge by.

    **Arguments:**

    - `x`, `labels`: the samples that may be learned from, `[N, features]` and `[N]`.
    - `judges`: `(x, y)` by purpose: `"validation"`, to tune by, and `"test"`.
    - `classes`: the number of outputs; class c is output c, or of two tasks the one with the same rest.
    """

    x: np.ndarray
    labels: np.ndarray
    judges: dict[str, tuple[np.ndarray, np.ndarray]]
    classes: int

    @property
    def y(self) -> np.ndarray:
        """The number of the output that is learned, `[N]`."""
        return self.labels % self.classes


def labelled(settings: OnlineSettings, where: Where) -> Data:
    """Return images and their classes.

    **Raises:** as the loader; `ValueError` if there are too few.
    """
    found = load(settings.data, where)
    train, test = first(found.train, settings.samples, "--samples"), found.test
    held = judges_of(settings, len(test))
    if len(train) < 2 * held or len(test) < held:
        raise ValueError(
            f"--test-samples {held} is too much for {len(train)} samples to train on and {len(test)} others"
        )
    digest = sha256_of(*bytes_of(train.x, test.x), train.y, test.y)
    return Data(settings.data, (train.x, train.y), (test.x, test.y), digest, len(found.classes))


def judges_of(settings: OnlineSettings, there: int) -> int:
    """Return the number of samples that judge; of `there` in the test set all, if the settings don't say it."""
    return there if settings.test_samples is None else settings.test_samples


def samples_of(name: str, data: Data, settings: OnlineSettings) -> Samples:
    """Return the samples of a setting. In `switch` both tasks share the outputs, and both judge."""
    (x, labels), (x_test, labels_test), held = data.train, data.test, judges_of(settings, len(data.test[1]))
    classes = TASK if name == "switch" else data.classes
    validation, test = (x[-held:], labels[-held:] % classes), (x_test[:held], labels_test[:held] % classes)
    return Samples(x[:-held], labels[:-held], {"validation": validation, "test": test}, classes)


def order(name: str, given: Samples, settings: OnlineSettings, seed: int) -> np.ndarray:
    """Return the samples that a network learns from, `[blocks, steps]` rows of `x`: after each block it is judged.

    `stream`: new ones all the time. `few`: some of each class, drawn once, in a new order in each pass. `switch`: new
    ones of the first classes in one block, and of the others in the next.

    **Arguments:**

    - `name`: of the setting.
    - `given`: its samples.
    - `settings`: of the experiment.
    - `seed`: which samples, and in which order.

    **Raises:** `ValueError` for more samples than there are.
    """
    random = np.random.default_rng(seed)
    blocks, steps = settings.epochs, settings.steps
    if name == "few":
        chosen = [random.permutation(np.flatnonzero(given.labels == c))[: settings.few] for c in range(given.classes)]
        few = np.concatenate(chosen)
        passes = -(-blocks * steps // len(few))
        return np.concatenate([random.permutation(few) for _ in range(passes)])[: blocks * steps].reshape(blocks, steps)
    rows = random.permutation(len(given.x))
    if name == "switch":
        tasks = [rows[given.labels[rows] // TASK == task] for task in (0, 1)]
        _refuse_few(min(map(len, tasks)), -(-blocks // 2) * steps)
        return np.stack([tasks[i % 2][i // 2 * steps :][:steps] for i in range(blocks)])
    _refuse_few(len(rows), blocks * steps)
    return rows[: blocks * steps].reshape(blocks, steps)


def _refuse_few(there: int, needed: int) -> None:
    if there < needed:
        raise ValueError(f"--epochs and --steps need {needed} samples, but there are {there}")
