"""Rules that are backpropagation, and how they stop being it."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import pcx.learning as pxl
import pcx.models as pxm

from .problems import GRADIENT, LEVELLED, UNLEVELLED, error, gradients, jit, mlp, seeded, weights

DEEP = LEVELLED["tanh-se"]
L = 4


@pytest.mark.usefixtures("double")
@pytest.mark.parametrize("name", LEVELLED)
def test_zil_is_backpropagation_in_every_layer(name):
    known = LEVELLED[name]
    expected, found = gradients(known.build(), known.batch(), known, zil=pxl.zil(GRADIENT))
    assert error(found, expected) <= 1e-12


def test_an_input_held_in_a_value_node_is_no_output():
    model, (x, y) = LEVELLED["held"].build(), LEVELLED["held"].batch()
    rule = pxl.zil(GRADIENT)
    state, info = jit(rule.step)(rule.init(model, (x, y)), (x, y))
    for output in (info.output, rule.predict(state, x), rule.predict(model, x)):
        assert output.shape == y.shape
    np.testing.assert_allclose(info.loss, jnp.mean(0.5 * jnp.sum((y - info.output) ** 2, 1)), rtol=1e-5)


@pytest.mark.usefixtures("double")
@pytest.mark.parametrize("name", ["relu-ce", "conv", "residual", "outputs", "shared"])
def test_so_are_fixed_predictions_and_backprop_itself(name):
    known = LEVELLED[name]
    rules = {"backprop": pxl.backprop(GRADIENT), "fpa": pxl.fpa(GRADIENT, optax.sgd(1.0), L)}
    expected, *found = gradients(known.build(), known.batch(), known, **rules)
    assert max(error(f, expected) for f in found) <= 1e-12


@pytest.mark.hasty
def test_zil_in_float32_on_a_deep_network():
    widths = [784, *[128] * 9, 10]
    model = seeded(pxm.MLP, widths, jnp.tanh)
    rng = np.random.default_rng(0)
    batch = tuple(jnp.asarray(rng.normal(size=(256, n)), jnp.float32) for n in (784, 10))
    expected, found = gradients(model, batch, mlp(widths), zil=pxl.zil(GRADIENT))
    assert all(g.dtype == jnp.float32 for g in found.values())
    assert error(found, expected) <= 1e-6


@pytest.mark.usefixtures("double")
@pytest.mark.hasty
def test_fixed_predictions_are_backpropagation_from_one_step_less_than_the_layers_on():
    rules = {f"exact{T}": pxl.fpa(GRADIENT, optax.sgd(1.0), T) for T in (1, 2, 3, 4)}
    rules |= {f"slow{T}": pxl.fpa(GRADIENT, optax.sgd(0.5), T) for T in (10, 20, 80)}
    expected, *found = gradients(DEEP.build(), DEEP.batch(), DEEP, **rules)
    errors = dict(zip(rules, [error(f, expected) for f in found], strict=True))
    assert all(errors[f"exact{T}"] > 0.5 for T in (1, 2))
    assert all(errors[f"exact{T}"] <= 1e-12 for T in (3, 4))
    assert 1e-3 < errors["slow10"] < 1
    assert errors["slow20"] < 1e-2 * errors["slow10"]
    assert errors["slow80"] <= 1e-12


@pytest.mark.usefixtures("double")
def test_what_makes_zil_exact():
    one = optax.sgd(1.0)
    rules = {
        "half": pxl.zil(GRADIENT, optax.sgd(0.5)),
        "half of twice": pxl.zil(GRADIENT, optax.sgd(0.5), precision=2.0),
        "twice": pxl.zil(GRADIENT, one, precision=2.0),
        "momentum": pxl.zil(GRADIENT, optax.sgd(1.0, momentum=0.9)),
        "levelled": pxl.zil(GRADIENT, one, level=True),
    }
    expected, *found = gradients(DEEP.build(), DEEP.batch(), DEEP, **rules)
    found = dict(zip(rules, found, strict=True))
    # A smaller step scales layer l by its power: the direction stays.
    scaled = {p: g * 0.5 ** (L - 1 - int(p[7])) for p, g in expected.items()}
    assert error(found["half"], scaled) <= 1e-12
    # What counts is precision times step.
    assert error(found["half of twice"], expected) <= 1e-12
    assert error(found["twice"], expected) > 0.9
    # Each node takes one step: momentum has nothing to add to.
    assert error(found["momentum"], expected) <= 1e-12
    # There is nothing to level here.
    assert error(found["levelled"], expected) <= 1e-12


@pytest.mark.usefixtures("double")
@pytest.mark.parametrize(("name", "ways"), [("skip", (2, 3)), ("heads", (1, 2))])
def test_a_graph_that_is_not_levelled_is_refused_or_levelled(name, ways):
    known = UNLEVELLED[name]
    model, batch = known.build(), known.batch()
    said = r"from vodes\[0\] to the output there are ways of {} and of {} predictions".format(*ways)
    with pytest.raises(ValueError, match=said):
        pxl.zil(GRADIENT).init(model, batch)
    expected, found = gradients(model, batch, known, zil=pxl.zil(GRADIENT, level=True))
    assert error(found, expected) <= 1e-12


@pytest.mark.usefixtures("double")
def test_identity_nodes_in_the_model_and_in_the_rule_are_the_same():
    batch, half = LEVELLED["residual"].batch(), optax.sgd(0.5)
    inside = gradients(LEVELLED["residual"].build(), batch, zil=pxl.zil(GRADIENT, half))
    outside = gradients(UNLEVELLED["skip"].build(), batch, zil=pxl.zil(GRADIENT, half, level=True))
    assert error(outside, inside) <= 1e-12


@pytest.mark.usefixtures("double")
def test_weights_step_as_optax_says():
    known = LEVELLED["outputs"]
    model, batch = known.build(), known.batch()
    optim = optax.adamw(1e-2, weight_decay=0.1)
    expected = weights(model)
    plain = optim.init(expected)
    rule = pxl.zil(optim)
    state, step = rule.init(model, batch), jit(rule.step)

    @jit
    def by_hand(w, plain):
        loss, slope = jax.value_and_grad(known.mean_loss)(w, *batch)
        updates, plain = optim.update(slope, plain, w)
        return loss, optax.apply_updates(w, updates), plain

    for _ in range(3):
        loss, expected, plain = by_hand(expected, plain)
        state, info = step(state, batch)
        assert float(info.loss) == pytest.approx(float(loss), rel=1e-12)
    assert error(state.weights, expected) <= 1e-10
