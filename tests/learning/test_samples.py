"""Weights of samples, samples without a target, and nodes that are held in part."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import pcx as px
import pcx.inference as pxi
import pcx.learning as pxl
import pcx.models as pxm
import pcx.nn as pxnn
import pcx.predictive_coding as pxc

from .problems import GRADIENT, error, jit, normal, seeded

RULES = {
    "backprop": pxl.backprop(GRADIENT),
    "zil": pxl.zil(GRADIENT),
    "fpa": pxl.fpa(GRADIENT, optax.sgd(0.5), 4),
    "epc": pxl.epc(GRADIENT, optax.sgd(0.1), 4),
    "pc": pxl.pc(GRADIENT, optax.sgd(0.1), 4),
    "pc, adam": pxl.pc(GRADIENT, optax.adam(0.1), 4),
    "zil, sign": pxl.zil(GRADIENT, optax.sign_sgd(0.1)),
    "nudged": pxl.nudged(GRADIENT, optax.sgd(0.1), 4, 0.3, centred=True),
    "ipc": pxl.ipc(GRADIENT, optax.sgd(0.1), 4),
    "plateau": pxl.pc(GRADIENT, optax.sgd(0.1), pxi.Plateau(6, rtol=1e-3)),
}
X, Y = normal(0, 6, 3), normal(1, 6, 2)
W = np.asarray([0.0, 1.0, 2.0, 0.0, 3.0, 1.0])


def net() -> Any:
    return seeded(pxm.MLP, [3, 5, 4, 2], act=jnp.tanh)


@functools.cache
def _step(rule: Any) -> Any:
    return jit(rule.step)


def gradient(rule: Any, x: Any, y: Any, model: Any = None) -> dict[str, Any]:
    state = rule.init(net() if model is None else model, (x, y))
    after, info = _step(rule)(state, (x, y))
    assert int(info.result) == 0
    return after.optim


@pytest.mark.hasty
@pytest.mark.parametrize("name", RULES)
def test_a_sample_of_weight_w_counts_as_w_samples(double, name):
    rule = RULES[name]
    found = gradient(rule, X, pxl.Targets(Y, weight=W))
    rows = np.repeat(np.arange(6), W.astype(int))
    repeated = gradient(rule, X[rows], Y[rows])
    assert error(found, jax.tree.map(lambda g: g * len(rows) / 6, repeated)) < 1e-12


@pytest.mark.parametrize("name", RULES)
@pytest.mark.hasty
def test_a_sample_without_a_target_has_no_error(double, name):
    rule = RULES[name]
    known = np.asarray([True, False, True, True, False, True])
    y = np.where(known[:, None], Y, np.nan)  # what stands there is not looked at
    found = gradient(rule, X, pxl.Targets(y, known=known))
    expected = jax.tree.map(lambda g: g * 4 / 6, gradient(rule, X[known], Y[known]))
    assert error(found, expected) < 1e-12


@pytest.mark.hasty
def test_labels_of_samples_without_one_are_not_looked_at():
    model = seeded(pxm.MLP, [3, 5, 2], energy=pxc.ce_energy)
    rule = pxl.pc(optax.sgd(0.1), optax.sgd(0.1), 2)
    y = pxl.Targets(np.asarray([0, -1, 1, -1, 0, 99]), known=np.asarray([1, 0, 1, 0, 1, 0], bool))
    state, info = jax.jit(rule.step)(rule.init(model, (X, y)), (X, y))
    assert int(info.result) == 0
    _, loss = rule.evaluate(state, (X, y))
    assert np.all(np.asarray(loss)[[1, 3, 5]] == 0)
    assert np.all(np.asarray(loss)[[0, 2, 4]] > 0)
    with pytest.raises(ValueError, match="labels must be from 0 to 1"):
        rule.init(model, (X, pxl.Targets(y.y, weight=W)))


class Decoder(pxc.EnergyModule):
    """A latent node, which nothing predicts and labels hold, a hidden one, and the data."""

    def __init__(self):
        super().__init__()
        self.layers = [pxnn.Linear(2, 4), pxnn.Linear(4, 5)]
        self.top, self.hidden, self.data = pxc.Vode(pxc.zero_energy), pxc.Vode(), pxc.Vode()
        self.top.h.frozen = self.data.h.frozen = True

    def __call__(self, x, y):
        h = self.hidden(jnp.tanh(self.layers[0](self.top(jnp.zeros(2)))))
        return self.data(self.layers[1](h))


def decoder() -> Any:
    return seeded(Decoder)


@pytest.mark.hasty
@pytest.mark.parametrize("optim_h", [optax.sgd(0.1), optax.adam(0.05)])
def test_an_output_that_others_are_predicted_from_settles_where_it_has_no_target(double, optim_h):
    model, top, data = decoder(), normal(3, 4, 2), normal(4, 4, 5)
    known = np.asarray([True, False, True, False])
    y = pxl.Targets({"top": top, "data": data}, known=known)
    bound = pxl.bind(model, (None, y))
    # Of those without a target neither node is held, so the data are held by hand here.
    land = pxl.bind(model, (None, y.y)).landscape({"top": top, "data": data}, hold={"top": known[:, None]})
    assert land.free == ("top", "hidden")
    start = bound.start()
    settled = pxi.relax(land, {"top": jnp.zeros((4, 2)), "hidden": start.h["hidden"]}, descent=optim_h, stop=6).nodes
    assert np.array_equal(settled["top"][known], top[known])
    assert np.all(np.asarray(settled["top"])[~known] != 0)
    # Each sample by itself, wholly held or wholly free.
    for i in range(4):
        one = pxl.bind(model, (None, {"top": top[i : i + 1], "data": data[i : i + 1]}))
        held = {"data": data[i : i + 1]} | ({"top": top[i : i + 1]} if known[i] else {})
        begin = {"hidden": start.h["hidden"][i : i + 1]} | ({} if known[i] else {"top": jnp.zeros((1, 2))})
        alone = pxi.relax(one.landscape(held), begin, descent=optim_h, stop=6, schedule=pxi.AllNodes()).nodes
        np.testing.assert_allclose(settled["hidden"][i], alone["hidden"][0], rtol=1e-12)


def test_rules_that_cannot_leave_such_an_output_free_say_so():
    y = pxl.Targets({"top": np.zeros((4, 2)), "data": np.zeros((4, 5))}, known=np.asarray([True, False, True, False]))
    pxl.pc(optax.sgd(0.1), optax.sgd(0.1), 3).init(decoder(), (None, y))
    with pytest.raises(ValueError, match="other nodes are predicted from the output top"):
        pxl.backprop(optax.sgd(0.1)).init(decoder(), (None, y))


class Labelled(pxc.EnergyModule):
    """Labels predict the data, at which the model's own call clamps their node, marked as an output or not."""

    def __init__(self, marked: bool, own: bool = False):
        super().__init__()
        self.layers = [pxnn.Linear(2, 4), pxnn.Linear(4, 5)]
        self.top, self.hidden = pxc.Vode(pxc.zero_energy, output=True), pxc.Vode()
        self.data, self.own = pxc.Vode(output=marked), px.static(own)

    def __call__(self, x, y):
        h = self.hidden(jnp.tanh(self.layers[0](self.top(jnp.zeros(2)))))
        self.data(self.layers[1](h))
        self.data.set("h", x)
        if self.own.get() and y is not None:
            self.top.set("h", y)


@pytest.mark.hasty
@pytest.mark.parametrize("rule", [pxl.pc, pxl.ipc, pxl.mcpc])
@pytest.mark.parametrize("own", [False, True])
def test_data_that_the_call_clamps_teach_without_a_label(double, rule, own):
    rule = rule(GRADIENT, 0.1, 6) if rule is pxl.mcpc else rule(GRADIENT, optax.sgd(0.1), 6)
    x, top, known = normal(4, 4, 5), normal(3, 4, 2), np.asarray([True, False, True, False])
    y = pxl.Targets(top, known=known)
    found, unmarked = [gradient(rule, x, y, seeded(Labelled, marked, own)) for marked in (True, False)]
    assert error(found, unmarked) < 1e-12
    without = gradient(rule, x, pxl.Targets(top, known=np.zeros(4, bool)), seeded(Labelled, True, own))
    assert all(np.any(np.asarray(g) != 0) for g in without.values())
    # The loss counts the data of every sample, and the labels of those that have one.
    _, info = rule.step(rule.init(seeded(Labelled, True, own), (x, y)), (x, y))
    model = seeded(Labelled, True, own)
    assert float(info.loss) == pytest.approx(float(np.mean(rule.evaluate(model, (x, y))[1])), rel=1e-9)
    assert np.all(np.asarray(rule.evaluate(model, (x, y))[1]) > 0)


def test_where_targets_clamp_nothing_else_a_sample_without_one_is_free_as_a_whole():
    x = normal(4, 4, 5)

    class Auto(pxc.EnergyModule):
        def __init__(self):
            super().__init__()
            self.layers = [pxnn.Linear(5, 2), pxnn.Linear(2, 5)]
            self.code, self.data = pxc.Vode(), pxc.Vode(output=True)

        def __call__(self, x):
            self.data(self.layers[1](self.code(self.layers[0](x))))
            self.data.set("h", x)

    y = pxl.Targets(x, known=np.zeros(4, bool))
    found = gradient(pxl.pc(GRADIENT, optax.sgd(0.1), 3), x, y, seeded(Auto))
    assert not any(np.any(np.asarray(g)) for g in found.values())


@pytest.mark.parametrize("rule", [pxl.pc, pxl.ipc])
def test_what_is_predicted_from_y_itself_needs_all_targets(rule):
    """A label that is not there was zero for the nodes below it, and never settled."""

    class Passed(Labelled):
        def __call__(self, x, y):
            label = self.top(jnp.zeros(2))
            if y is not None:
                self.top.set("h", y)
                label = self.top.get("h")
            self.data(self.layers[1](self.hidden(jnp.tanh(self.layers[0](label)))))
            self.data.set("h", x)

    x, top, rule = normal(4, 4, 5), normal(3, 4, 2), rule(GRADIENT, optax.sgd(0.1), 3)
    rule.init(seeded(Passed, True), (x, pxl.Targets(top, weight=np.ones(4))))
    with pytest.raises(ValueError, match="computes the prediction of hidden from y itself"):
        rule.init(seeded(Passed, True), (x, pxl.Targets(top, known=np.asarray([True, False, True, False]))))


def test_one_mask_for_all_targets_of_a_sample():
    with pytest.raises(
        TypeError, match=r"Targets: known is one array, a number for each sample, got a dict.*set\('h', x\)"
    ):
        pxl.Targets({"top": np.zeros((4, 2))}, known={"top": np.ones(4, bool)})


@pytest.mark.hasty
@pytest.mark.parametrize("rule", [pxl.pc, pxl.ipc])
def test_a_step_with_free_and_held_labels(double, rule):
    rule = rule(GRADIENT, optax.sgd(0.1), 3)
    y = {"top": normal(3, 4, 2), "data": normal(4, 4, 5)}
    every = gradient(rule, None, pxl.Targets(y, known=np.ones(4, bool)), decoder())
    assert error(every, gradient(rule, None, y, decoder())) < 1e-12


def test_half_an_image_is_filled_in(double):
    """In a linear decoder the rest of the image is what the least squares solution of the known half says."""
    model = seeded(pxm.MLP, [2, 6])
    mask = np.asarray([[True, True, True, True, False, False]])
    weight, bias = model.layers[0].nn.weight.get(), model.layers[0].nn.bias.get()

    class Generator(pxc.EnergyModule):
        def __init__(self):
            super().__init__()
            self.layer = model.layers[0]
            self.latent, self.image = pxc.Vode(pxc.zero_energy), pxc.Vode()
            self.image.h.frozen = True

        def __call__(self, x):
            return self.image(self.layer(self.latent(jnp.zeros(2))))

    images = normal(5, 3, 6)
    rule = pxl.pc(optax.sgd(0.1), optax.sgd(0.3), 600)
    found = rule.predict(Generator(), None, settle=True, hold={"image": (mask, images)})
    known = mask[0]
    latent = np.linalg.lstsq(np.asarray(weight)[known], np.asarray(images - bias)[:, known].T, rcond=None)[0]
    expected = np.where(mask, images, (np.asarray(weight) @ latent).T + np.asarray(bias))
    np.testing.assert_allclose(found, expected, atol=1e-6)


@pytest.mark.hasty
def test_predictions_at_settled_values(double):
    bound = pxl.bind(net(), (X, Y))
    start = bound.start()
    settled = pxi.relax(bound.landscape(start.targets), start.h, descent=optax.sgd(0.1), stop=5).nodes
    u = bound.predictions(settled, start.targets)
    layer = net().layers[2].nn
    np.testing.assert_allclose(u["vodes[2]"], settled["vodes[1]"] @ layer.weight.get().T + layer.bias.get(), rtol=1e-12)
    assert set(bound.predictions({})) == {"vodes[0]"}  # the input alone is known


def test_what_does_not_fit_is_refused():
    with pytest.raises(ValueError, match=r"Targets: weight has shape \(5,\)"):
        pxl.Targets(Y, weight=W[:5])
    with pytest.raises(TypeError, match="known must be booleans"):
        pxl.Targets(Y, known=W)
    with pytest.raises(ValueError, match="finite and at least 0"):
        pxl.Targets(Y, weight=[-1.0] * 6)
    assert pxl.Targets(Y, weight=W.tolist(), known=[True] * 6).known.shape == (6,)
    with pytest.raises(ValueError, match="finite and at least 0"):
        pxl.Targets(Y, weight=-W)
    with pytest.raises(ValueError, match="takes no weights of samples"):
        pxl.pc(optax.sgd(0.1), optax.sgd(0.1), 2, precision=pxl.LearnedPrecision(optax.sgd(0.1))).init(
            net(), (X, pxl.Targets(Y, weight=W))
        )
    bound = pxl.bind(net(), (X, Y))
    with pytest.raises(ValueError, match="hold names 'nobody'"):
        bound.landscape(bound.start().targets, hold={"nobody": np.ones((6, 1), bool)})
    with pytest.raises(ValueError, match="must be booleans"):
        bound.landscape(bound.start().targets, hold={"vodes[2]": np.ones((6, 3), bool)})
    with pytest.raises(ValueError, match="hold needs settle=True"):
        pxl.zil(optax.sgd(0.1)).predict(net(), X, settle=True, hold={"vodes[2]": (np.ones((6, 1), bool), Y)})


@pytest.mark.parametrize(
    ("x", "hold", "error", "what"),
    [
        (X, np.ones((6, 1), bool), TypeError, r"\{node: \(mask, value\)\}, .* got ndarray"),
        (X, {"vodes[2]": np.ones((6, 1), bool)}, TypeError, r"got ndarray for vodes\[2\]"),
        (X, {"top": (np.ones((6, 1), bool), Y)}, ValueError, r"hold names 'top'; the nodes are vodes\[0\], vodes\[1\]"),
        (None, {"top": (np.ones((6, 1), bool), Y)}, ValueError, "hold names 'top'"),
        (
            None,
            {"vodes[0]": (np.ones((6, 1), bool), Y)},
            ValueError,
            r"every output node \(vodes\[2\]\), got vodes\[0\]",
        ),
        (X, {"vodes[2]": (np.ones((6, 1), bool), 1.0)}, ValueError, "a scalar"),
        (
            X,
            {"vodes[2]": (np.ones((6, 1), bool), Y[:, 0])},
            ValueError,
            r"shape \[6\] for vodes\[2\]; it must be \[6, 2",
        ),
    ],
)
def test_what_is_to_be_held_is_read_at_the_door(x, hold, error, what):
    with pytest.raises(error, match=what):
        pxl.pc(optax.sgd(0.1), optax.sgd(0.1), 2).predict(net(), x, settle=True, hold=hold)
