"""Pairs of networks for hybrid and bidirectional predictive coding."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import pcx.learning as pxl
import pcx.models as pxm
import pcx.predictive_coding as pxc

from .small import normal, seeded, weights

RULES: dict[str, Any] = {"hybrid": pxl.hybrid, "bpc": pxl.bpc}
LABELS = jnp.arange(24) % 3
CENTRES = 2 * jnp.asarray([[1.0, 0, 0, 1], [0, 1, 0, -1], [0, 0, 1, 0]])
IMAGES = CENTRES[LABELS] + 0.2 * jnp.asarray(normal(1, 24, 4), jnp.float32)


@pytest.mark.hasty
def test_both_directions_have_the_same_hidden_values():
    model = seeded(lambda: pxm.Pair([4, 5, 6, 3], shape=(2, 2)))
    rule = pxl.hybrid(optax.sgd(0.1), optax.sgd(0.1), 2)
    x = IMAGES.reshape(24, 2, 2)
    structure = rule.structure(model)
    problem: Any = rule.problem(structure, structure.values_of(model), x, LABELS)
    assert problem.pairs == {
        "generative.vodes[0]": "recognition.vodes[1]",
        "generative.vodes[1]": "recognition.vodes[0]",
    }
    assert problem.generative.nodes["generative.data"].shape == (2, 2)
    w, h = weights(model), jax.nn.one_hot(LABELS, 3)
    for i, act in enumerate([jnp.tanh, jnp.tanh, lambda u: u]):
        h = act(h @ w[f"generative.layers[{i}].nn.weight"].T + w[f"generative.layers[{i}].nn.bias"])
    drawn = pxl.backprop(optax.sgd(0.1)).predict(model.generative, jax.nn.one_hot(LABELS, 3))
    np.testing.assert_allclose(drawn, h.reshape(24, 2, 2), rtol=1e-4, atol=1e-5)


@pytest.mark.hasty
@pytest.mark.parametrize("name", ["bpc"])
def test_a_pair_recognises_and_draws(name):
    rule, batch = RULES[name](optax.adam(0.02), optax.sgd(0.1), 8), (IMAGES, LABELS)
    model = seeded(lambda: pxm.Pair([4, 8, 3]))
    steps = jax.jit(lambda s: jax.lax.scan(lambda s, _: rule.step(s, batch), s, None, 200))
    state, info = steps(rule.init(model, batch))
    assert not np.any(info.result)
    state.write_to(model)
    assert jnp.all(rule.predict(model, IMAGES).argmax(-1) == LABELS)
    drawn = pxl.backprop(optax.sgd(0.1)).predict(model.generative, jnp.eye(3))
    assert jnp.abs(drawn - CENTRES).max() < 0.4


@pytest.mark.hasty
@pytest.mark.parametrize("name", ["hybrid"])
def test_a_pair_finds_latents(name):
    rule, batch = RULES[name](optax.adam(0.01), optax.sgd(0.05), 12), (IMAGES, None)
    model = seeded(lambda: pxm.Pair([4, 8, 2], latent=True))
    state = rule.init(model, batch)
    before = rule.evaluate(state, batch)[1].mean()
    state, info = jax.jit(lambda s: jax.lax.scan(lambda s, _: rule.step(s, batch), s, None, 200))(state)
    assert not np.any(info.result)
    assert rule.evaluate(state, batch)[1].mean() < 0.6 * before
    assert rule.predict(state, IMAGES, settle=True).shape == (24, 2)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: pxm.Pair([4, 3]), "Pair: widths must be three or more positive numbers"),
        (lambda: pxm.Pair([4], latent=True), "Pair: widths must be two or more positive numbers"),
        (lambda: pxm.Pair([4, 5, 3], shape=(3, 3)), r"Pair: shape \(3, 3\) has 9 elements, but its width is 4"),
    ],
)
def test_bad_sizes(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_the_energy_of_labels():
    model = pxm.Pair([4, 5, 3], energy=pxc.ce_energy)
    assert model.recognition.vodes[-1].energy_fn.get() is pxc.ce_energy
