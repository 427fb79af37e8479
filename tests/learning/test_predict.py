"""Predictions: by a forward pass, and by settling with nothing that holds the output."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import pcx.inference as pxi
import pcx.learning as pxl
import pcx.models as pxm
import pcx.nn as pxnn
import pcx.predictive_coding as pxc

from .problems import LEVELLED, jit, normal, seeded, weights

W, H = optax.sgd(0.1), optax.sgd(0.3)


@pytest.mark.usefixtures("double")
@pytest.mark.parametrize("name", ["tanh-se", "relu-ce", "residual", "inputs", "outputs", "held", "conv"])
@pytest.mark.hasty
def test_from_zero_values_settle_at_the_forward_pass(name):
    known = LEVELLED[name]
    model, (x, y) = known.build(), known.batch()
    rule = pxl.pc(W, H, 600, start=pxl.Zeros())
    state = rule.init(model, (x, y))
    for of in (model, state):
        expected, found = jax.tree.leaves(rule.predict(of, x)), jax.tree.leaves(rule.predict(of, x, settle=True))
        assert max(float(jnp.max(jnp.abs(a - b))) for a, b in zip(expected, found, strict=True)) <= 1e-6
    few = pxl.pc(W, H, 1, start=pxl.Zeros()).predict(model, x, settle=True)
    first = [jax.tree.leaves(few)[0], jax.tree.leaves(rule.predict(model, x))[0]]
    assert jnp.max(jnp.abs(first[0] - first[1])) > 1e-3


@pytest.mark.parametrize(
    "rule",
    [
        pxl.pc(W, H, 5),
        pxl.pc(W, H, 5, start=pxl.Kept()),
        pxl.pc(W, H, pxi.Plateau(5)),
        pxl.nudged(W, H, 5, 0.1, centred=True),
        pxl.ipc(W, H, 5),
        pxl.epc(W, H, 5),
        pxl.fpa(W, H, 5),
        pxl.pc(W, H, 5, precision=pxl.LearnedPrecision(W)),
    ],
)
def test_from_a_forward_pass_nothing_moves(rule):
    model = seeded(pxm.MLP, [3, 5, 4, 2], jnp.tanh, pxc.ce_energy)
    x, y = jnp.asarray(normal(1, 6, 3), jnp.float32), jnp.zeros(6, int)
    state = rule.init(model, (x, y))
    for of in (model, state):
        np.testing.assert_allclose(rule.predict(of, x, settle=True), rule.predict(of, x), atol=1e-6)
    inside = jit(lambda s, x: rule.predict(s, x, settle=True))(state, x)
    np.testing.assert_allclose(inside, rule.predict(model, x), atol=1e-6)


class Dropping(pxc.EnergyModule):
    def __init__(self):
        super().__init__()
        self.layers = [pxnn.Linear(3, 6), pxnn.Linear(6, 2)]
        self.drop = pxnn.Dropout(0.5)
        self.vodes = [pxc.Vode(), pxc.Vode()]
        self.vodes[-1].h.frozen = True

    def __call__(self, x, y=None):
        h = self.vodes[0](jnp.tanh(self.layers[0](x)))
        self.vodes[1](self.layers[1](self.drop(h)))
        if y is not None:
            self.vodes[1].set("h", y)


def test_it_is_in_evaluation_mode():
    model, x = seeded(Dropping), jnp.asarray(normal(1, 6, 3), jnp.float32)
    rule = pxl.pc(W, H, 300, start=pxl.Zeros())
    np.testing.assert_allclose(rule.predict(model, x, settle=True), rule.predict(model, x), atol=1e-4)
    rule.init(model, (x, x[:, :2]))  # what was traced for training is another program
    np.testing.assert_allclose(rule.predict(model, x, settle=True), rule.predict(model, x), atol=1e-4)


def test_a_chain_draws_from_its_key():
    model, x = seeded(pxm.MLP, [3, 5, 2], jnp.tanh), jnp.asarray(normal(1, 6, 3), jnp.float32)
    rule = pxl.mcpc(W, 0.05, 10)
    one, again, other = [rule.predict(model, x, settle=True, key=k) for k in (1, 1, jax.random.key(2))]
    assert jnp.array_equal(one, again)
    assert not jnp.allclose(one, other)
    assert not jnp.allclose(one, rule.predict(model, x))


class Latents(pxc.EnergyModule):
    """A linear generative network with a Gaussian prior over its latents; both parts go without labels."""

    def __init__(self):
        super().__init__()
        self.generative, self.recognition = Generative(), Recognition()


class Generative(pxc.EnergyModule):
    def __init__(self):
        super().__init__()
        self.layer = pxnn.Linear(2, 3)
        self.vodes = [pxc.Vode(), pxc.Vode()]
        self.vodes[-1].h.frozen = True

    def __call__(self, nothing, x):
        self.vodes[1](self.layer(self.vodes[0](jnp.zeros(2, self.layer.nn.weight.dtype))))
        self.vodes[1].set("h", x)


class Recognition(pxc.EnergyModule):
    def __init__(self):
        super().__init__()
        self.layer = pxnn.Linear(3, 2)
        self.vodes = [pxc.Vode()]

    def __call__(self, x, nothing):
        return self.vodes[0](self.layer(x))


@pytest.mark.hasty
@pytest.mark.usefixtures("double")
@pytest.mark.parametrize("both", [False, True])
def test_latents_settle_at_the_posteriors_mode(both):
    model, x = seeded(Latents), normal(1, 6, 3)
    rule = pxl.bpc(W, H, 400) if both else pxl.hybrid(W, H, 400)
    w = weights(model)
    A, a = w["generative.layer.nn.weight"], w["generative.layer.nn.bias"]
    guess = x @ w["recognition.layer.nn.weight"].T + w["recognition.layer.nn.bias"]
    np.testing.assert_allclose(rule.predict(model, x), guess, atol=1e-12)
    matrix = A.T @ A + (2 if both else 1) * jnp.eye(2)
    mode = jnp.linalg.solve(matrix, ((x - a) @ A + (guess if both else 0)).T).T
    state = rule.init(model, (x, None))
    for of in (model, state):
        np.testing.assert_allclose(rule.predict(of, x, settle=True), mode, atol=1e-8)
    # Without y the loss is that of predicting x from the latents that are recognised.
    loss = 0.5 * jnp.sum((x - guess @ A.T - a) ** 2, axis=1)
    for of in (model, state):
        shown, energy = rule.evaluate(of, (x, None))
        np.testing.assert_allclose(shown, guess, atol=1e-12)
        np.testing.assert_allclose(energy, loss, rtol=1e-12)
    few = pxl.bpc(W, H, 2) if both else pxl.hybrid(W, H, 2)
    np.testing.assert_allclose(few.step(few.init(model, (x, None)), (x, None))[1].loss, jnp.mean(loss), rtol=1e-12)


@pytest.mark.parametrize("rule", [pxl.zil(W), pxl.hil(W, T=4), pxl.backprop(W)])
def test_rules_whose_values_do_not_settle_say_so(rule):
    model, x = seeded(pxm.MLP, [3, 4, 2], jnp.tanh), normal(1, 6, 3)
    with pytest.raises(ValueError, match="predictions are by a forward pass alone"):
        rule.predict(model, x, settle=True)


def test_a_label_that_is_no_value_node_cannot_settle():
    class Pair(pxc.EnergyModule):
        def __init__(self):
            super().__init__()
            self.generative = pxm.MLP([2, 4, 3], jnp.tanh)
            self.recognition = pxm.MLP([3, 4, 2], jnp.tanh)

    with pytest.raises(ValueError, match="hybrid: to predict by settling, both parts are called without y"):
        pxl.hybrid(W, H, 3).predict(seeded(Pair), jnp.ones((6, 3)), settle=True)
