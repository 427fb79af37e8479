"""Weights of samples, and samples without a target, in what `fit` shows."""

import jax.numpy as jnp
import numpy as np
import optax
import pytest

import pcx.learning as pxl
import pcx.models as pxm
import pcx.predictive_coding as pxc
import pcx.training as pxt

X = np.random.default_rng(0).normal(size=(6, 3)).astype(np.float32)
Y = np.asarray([0, 1, 0, 1, 1, 0])
W = np.asarray([0.0, 1.0, 2.0, 0.0, 3.0, 1.0])
ROWS = np.repeat(np.arange(6), W.astype(int))
RULE = pxl.backprop(optax.sgd(0.0))


@pytest.fixture(scope="module")
def model():
    return pxm.MLP([3, 4, 2], energy=pxc.ce_energy)


@pytest.mark.hasty
@pytest.mark.parametrize("batch_size", [6, 3])
def test_metrics_are_means_over_weights(model, batch_size):
    weighted = X, pxl.Targets(Y, weight=W)
    one = pxt.fit(model, RULE, weighted, weighted, epochs=1, batch_size=batch_size, show=False).history[0]
    repeated = X[ROWS], Y[ROWS]
    two = pxt.fit(model, RULE, repeated, repeated, epochs=1, batch_size=7, show=False).history[0]
    for name in ("accuracy", "validation_accuracy"):
        assert one[name] == pytest.approx(two[name], rel=1e-5)
    for name in ("loss", "energy", "validation_loss"):  # what is minimised: a sum over samples, over their number
        assert one[name] == pytest.approx(two[name] * 7 / 6, rel=1e-5)


def test_samples_without_a_target_are_not_judged(model):
    known = np.asarray([1, 1, 0, 1, 0, 1], bool)
    some = X, pxl.Targets(np.where(known, Y, -1), known=known)

    def strange(output, y):
        return jnp.where(y < 0, jnp.nan, pxt.accuracy(output, y))

    metrics = {"accuracy": pxt.accuracy, "strange": strange}
    one = pxt.fit(model, RULE, some, some, epochs=1, batch_size=6, metrics=metrics, show=False).history[0]
    two = pxt.fit(model, RULE, (X[known], Y[known]), epochs=1, batch_size=4, show=False).history[0]
    for name in ("accuracy", "strange", "validation_accuracy", "validation_strange"):
        assert one[name] == pytest.approx(two["accuracy"])
