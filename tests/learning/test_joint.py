"""Rules for a network in each direction: class numbers, what is said of a part, and of numbers that go bad."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import pcx.learning as pxl
import pcx.nn as pxnn
import pcx.predictive_coding as pxc

from .problems import jit, normal, seeded, weights

RULES = {"hybrid": pxl.hybrid, "bpc": pxl.bpc}
LABELS = jnp.arange(6) % 3
ONE_HOT = jax.nn.one_hot(LABELS, 3)


class One(pxc.EnergyModule):
    """A direction, whose call takes one argument."""

    def __init__(self, widths, marked=True):
        super().__init__()
        self.layers = [pxnn.Linear(widths[0], widths[1]), pxnn.Linear(widths[1], widths[2])]
        self.vodes = [pxc.Vode(), pxc.Vode()]
        self.vodes[-1].h.frozen = marked

    def __call__(self, x):
        return self.vodes[1](self.layers[1](self.vodes[0](jnp.tanh(self.layers[0](x)))))


class Two(pxc.EnergyModule):
    def __init__(self, generative=(3, 5, 4), recognition=(4, 5, 3), marked=(True, True)):
        super().__init__()
        self.generative, self.recognition = One(generative, marked[0]), One(recognition, marked[1])


class Bare(pxc.EnergyModule):
    def __init__(self):
        super().__init__()
        self.generative, self.recognition = One((3, 5, 4)), pxnn.Linear(4, 3)


class Half(pxc.EnergyModule):
    def __init__(self):
        super().__init__()
        self.generative = One((3, 5, 4))


def images():
    return jnp.asarray(normal(1, 6, 4), jnp.float32)


@pytest.fixture(scope="module", params=RULES)
def run(request):
    """A rule's first state and compiled step, on class numbers."""
    rule = RULES[request.param](optax.sgd(0.1), optax.sgd(0.1), 3)
    return rule, rule.init(seeded(Two), (images(), LABELS)), jit(rule.step)


@pytest.mark.hasty
def test_class_numbers_are_one_hot_vectors_to_both_parts(run):
    rule, state, step = run
    x = images()
    one, info = step(state, (x, LABELS))
    two, other = step(rule.init(seeded(Two), (x, ONE_HOT)), (x, ONE_HOT))
    assert int(info.result) == int(other.result) == pxl.OUTCOME.ok
    np.testing.assert_allclose(info.loss, jnp.mean(rule.evaluate(state, (x, LABELS))[1]), rtol=1e-5)
    for path in one.weights:
        assert np.array_equal(one.weights[path], two.weights[path]), path
        assert not np.array_equal(one.weights[path], state.weights[path]), path
    _, info = step(state, (x, LABELS.at[2].set(3)))
    assert int(info.result) == pxl.OUTCOME.bad_label


def test_what_is_bad_at_the_start_is_named_in_its_part(run):
    _, state, step = run
    for part in ("generative", "recognition"):
        for i in (0, 1):
            path = f"{part}.layers[{i}].nn.bias"
            spoiled = {**state.weights, path: state.weights[path].at[0].set(jnp.nan)}
            after, info = step(dataclasses.replace(state, weights=spoiled), (images(), LABELS))
            said = f"{part}.vodes[{i}] is not finite at the start: look at the data and the weights"
            assert str(pxl.explain(info, after)).startswith(said)


@pytest.mark.parametrize("name", RULES)
def test_values_that_run_away_are_named_with_the_step(name):
    rate = 1e8
    rule = RULES[name](optax.sgd(0.1), optax.sgd(rate), 12)
    model, x = seeded(Two), images()
    w = {path: np.asarray(a) for path, a in weights(model).items()}

    def net(part, i, a):
        return a @ w[f"{part}.layers[{i}].nn.weight"].T + w[f"{part}.layers[{i}].nn.bias"]

    guess = h = np.tanh(net("recognition", 0, np.asarray(x)))
    step = 0
    with np.errstate(all="ignore"):
        while np.all(np.isfinite(h)):
            above, below = net("generative", 1, h) - x, net("recognition", 1, h) - ONE_HOT
            slope = h - np.tanh(net("generative", 0, np.asarray(ONE_HOT))) + above @ w["generative.layers[1].nn.weight"]
            if name == "bpc":
                slope = slope + h - guess + below @ w["recognition.layers[1].nn.weight"]
            h, step = np.asarray(h - np.float32(rate) * slope, np.float32), step + 1
    assert 1 < step < 12
    state, info = jit(rule.step)(rule.init(model, (x, LABELS)), (x, LABELS))
    assert (pxl.explain(info, state) or "").startswith(
        f"generative.vodes[0] is not finite after inference step {step}:"
    )


@pytest.mark.parametrize(
    ("model", "y", "said"),
    [
        (lambda: Two((7, 5, 4)), LABELS, r"(?s)the generative part .*generative.layers\[0\].*y float32\[3\].*one-hot"),
        (lambda: Two((3, 5, 7)), ONE_HOT, r"the generative part .*the target of generative.vodes\[1\]"),
        (lambda: Two(recognition=(7, 5, 3)), LABELS, r"the recognition part .*recognition.layers\[0\]"),
        (lambda: Two(recognition=(4, 6, 3)), LABELS, r"generative.vodes\[0\] .*\(5,\), but recognition.vodes\[0\]"),
        (
            lambda: Two(marked=(False, True)),
            LABELS,
            r"predicts x, model.generative.vodes\[1\], by pxc.Vode\(output=True\)",
        ),
        (
            lambda: Two(marked=(True, False)),
            ONE_HOT,
            r"predicts it, model.recognition.vodes\[1\], by pxc.Vode\(output=True\)",
        ),
        (lambda: Two(marked=(True, False)), LABELS, r"(?s)the generative part .* by .*output=True.*jax.nn.one_hot"),
        (lambda: Bare(), LABELS, "the recognition part of Bare must be a pxc.EnergyModule, got Linear"),
        (lambda: Half(), LABELS, "Half lacks a part, the recognition one"),
    ],
)
@pytest.mark.parametrize("name", RULES)
def test_errors_name_the_part(name, model, y, said):
    rule = RULES[name](optax.sgd(0.1), optax.sgd(0.1), 3)
    with pytest.raises((TypeError, ValueError), match=said):
        rule.init(model(), (images(), y))


def test_parts_that_are_none():
    with pytest.raises(TypeError, match="parts must be two functions of the model"):
        pxl.hybrid(optax.sgd(0.1), optax.sgd(0.1), 3, parts="generative")  # pyright: ignore[reportArgumentType]
