"""What `fit` makes of targets: wide labels, one-hot ones, and several outputs in the order of the model."""

import jax.numpy as jnp
import numpy as np
import optax
import pytest

import pcx as px
import pcx.learning as pxl
import pcx.models as pxm
import pcx.nn as pxnn
import pcx.predictive_coding as pxc
import pcx.training as pxt

X = np.random.default_rng(0).normal(size=(8, 3)).astype(np.float32)
LABELS = np.arange(8) % 3
RULE = pxl.backprop(optax.sgd(0.1))


def fit(*args, **options):
    px.RKG.seed(0)
    return pxt.fit(pxm.MLP([3, 3]), RULE, *args, epochs=1, batch_size=4, show=False, **options)


def test_labels_beyond_what_jax_keeps_are_refused():
    wide = LABELS + 2**32
    for data in (((X, wide),), ([(X[:4], wide[:4])],), ((X, LABELS), (X, wide)), ((X, LABELS), [(X, wide)])):
        with pytest.raises(ValueError, match="can hold"):
            fit(*data)


@pytest.mark.hasty
def test_one_hot_targets_have_an_accuracy():
    found = fit((X, np.eye(3, dtype=np.float32)[LABELS])).history[0]
    assert found["accuracy"] == fit((X, LABELS)).history[0]["accuracy"]
    for targets in (X, np.ones((8, 3), np.float32), np.zeros((8, 3), np.float32)):  # which name no class
        assert "accuracy" not in fit((X, targets)).history[0]
    assert pxt.accuracy(jnp.zeros((2, 4, 3)), jnp.zeros((2, 4), int)).shape == (2,)


@pytest.mark.parametrize(
    ("output", "y"), [((4, 3), (4, 1)), ((4, 3), (5,)), ((4, 3), (4, 2)), ((4,), (4,)), ((2, 4, 3), (2,))]
)
def test_an_accuracy_of_other_shapes_is_refused(output, y):
    with pytest.raises(ValueError, match="accuracy: for outputs"):
        pxt.accuracy(jnp.zeros(output), jnp.zeros(y, int))


class Heads(pxc.EnergyModule):
    def __init__(self):
        super().__init__()
        self.layers = [pxnn.Linear(3, 3) for _ in range(2)]
        self.top, self.bottom = pxc.Vode(), pxc.Vode()
        self.top.h.frozen = self.bottom.h.frozen = True

    def __call__(self, x):
        self.top(self.layers[0](x))
        self.bottom(self.layers[1](x))


def test_a_history_is_in_the_order_of_the_model():
    targets = {"bottom": X, "top": X}
    run = pxt.fit(Heads(), RULE, (X, targets), epochs=1, batch_size=4, show=False)
    assert list(run.history[0]["energies"]) == ["top", "bottom"]
