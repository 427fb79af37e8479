"""A classifier as a judge of generated images: is each like one class, are all classes there, and are they like the
images that it knows?"""

from __future__ import annotations

import jax
import numpy as np
import optax

from .. import data as pxd
from .. import learning as pxl
from .. import predictive_coding as pxc
from .. import training as pxt
from ..core import seeded
from ..models import MLP

_FEATURES = 128


class Judge:
    """A classifier, trained by backpropagation on images of known classes; its test set says how good a judge it is.

    **Arguments:**

    - `data`: images `[N, features]` and their classes.
    - `epochs`: of its training.
    """

    def __init__(self, data: pxd.Dataset, epochs: int) -> None:
        self.rule = pxl.backprop(optax.adam(1e-3))
        with seeded(0):
            self.model = MLP([data.train.x.shape[1], _FEATURES, len(data.classes)], jax.nn.relu, pxc.ce_energy)
        pxt.fit(self.model, self.rule, data.train, epochs=epochs, show=False)
        self.accuracy = float(np.mean(self._logits(data.test.x).argmax(axis=1) == data.test.y))

    def says(self, x: np.ndarray, like: np.ndarray) -> dict[str, float]:
        """Return what it says of images.

        **Arguments:**

        - `x`: the images, `[images, features]`.
        - `like`: images of the data to compare with, likewise.

        **Returns:** `confidence`, the mean probability of the likeliest class; `rarest_class`, the share of images that
        go to the class with the fewest; `inception_score`, exp of the mean divergence of an image's probabilities from
        the mean ones, from 1 to the number of classes; `frechet_distance` of the hidden values to those of `like`, each
        taken for normal; `judge_accuracy`, its own on the test set.
        """
        p = np.asarray(jax.nn.softmax(self._logits(x).astype(np.float64)), np.float64)
        small = np.finfo(np.float32).tiny
        divergence = np.sum(p * (np.log(p + small) - np.log(p.mean(axis=0) + small)), axis=1)
        return {
            "confidence": float(p.max(axis=1).mean()),
            "rarest_class": float(np.bincount(p.argmax(axis=1), minlength=p.shape[1]).min() / len(p)),
            "inception_score": float(np.exp(divergence.mean())),
            "frechet_distance": frechet(self._hidden(x), self._hidden(like)),
            "judge_accuracy": self.accuracy,
        }

    def _logits(self, x: np.ndarray) -> np.ndarray:
        return np.asarray(self.rule.predict(self.model, x))

    def _hidden(self, x: np.ndarray) -> np.ndarray:
        bound = pxl.bind(self.model, (x, np.zeros(len(x), np.int32)))
        return np.asarray(bound.start().h["vodes[0]"], np.float64)


def frechet(a: np.ndarray, b: np.ndarray) -> float:
    """Return the squared Fréchet distance of two normal distributions with the means and covariances of samples,
    `|m - n|^2 + tr(S + R - 2 (S R)^(1/2))`.

    **Arguments:**

    - `a`, `b`: `[samples, features]`.
    """
    root = _root(np.cov(a, rowvar=False))
    inner = root @ np.cov(b, rowvar=False) @ root
    cross = np.sqrt(np.maximum(np.linalg.eigvalsh(inner), 0)).sum()
    spread = a.var(axis=0, ddof=1).sum() + b.var(axis=0, ddof=1).sum() - 2 * cross
    return float(np.sum((a.mean(axis=0) - b.mean(axis=0)) ** 2) + spread)


def _root(matrix: np.ndarray) -> np.ndarray:
    values, vectors = np.linalg.eigh(matrix)
    return (vectors * np.sqrt(np.maximum(values, 0))) @ vectors.T
