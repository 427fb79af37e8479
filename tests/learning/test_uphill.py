"""Settling that goes uphill is said."""

import warnings

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import pcx as px
import pcx.inference as pxi
import pcx.learning as pxl
import pcx.models as pxm

from .problems import jit

W = optax.sgd(1e-3)
RULES = {
    "pc": lambda g: pxl.pc(W, optax.sgd(g), 8),
    "pc with precision": lambda g: pxl.pc(W, optax.sgd(g), 8, precision=0.5),
    "pc from zeros": lambda g: pxl.pc(W, optax.sgd(g), 8, start=pxl.Zeros()),
    "pc kept": lambda g: pxl.pc(W, optax.sgd(g), 8, start=pxl.Kept()),
    "pc until it rests": lambda g: pxl.pc(W, optax.sgd(g), pxi.Plateau(8, 0.0)),
    "pc, momentum": lambda g: pxl.pc(W, optax.sgd(g, momentum=0.5), 8),
    "ipc": lambda g: pxl.ipc(W, optax.sgd(g), 3),
    "nudged": lambda g: pxl.nudged(W, optax.sgd(g), 8, 0.1, centred=True),
    "nudged, following": lambda g: pxl.nudged(W, optax.sgd(g), 8, 0.1, follow=True),
    "mcpc": lambda g: pxl.mcpc(W, g, 8, burn_in=2),
    "epc": lambda g: pxl.epc(W, optax.sgd(g), 8),
    "fpa": lambda g: pxl.fpa(W, optax.sgd(g), 8),
    "hil": lambda g: pxl.hil(W, optax.sgd(g), 8),
}


def small(sizes=(3, 4, 4, 2)):
    px.RKG.seed(0)
    r = np.random.default_rng(0)
    x, y = r.normal(size=(6, sizes[0])), r.normal(size=(6, sizes[-1]))
    return pxm.MLP(list(sizes), act=jnp.tanh), (jnp.asarray(x, jnp.float32), jnp.asarray(y, jnp.float32))


@pytest.mark.hasty
@pytest.mark.parametrize("name", RULES)
def test_a_rate_beyond_the_stable_ones_is_a_result(name):
    model, batch = small()
    for rate, expected in ((5.0, pxl.OUTCOME.diverged), (0.1, pxl.OUTCOME.ok)):
        rule = RULES[name](rate)
        state = rule.init(model, batch)
        after, info = jit(rule.step)(state, batch)
        said = pxl.explain(info, after)
        assert int(info.result) == expected, (rate, info)
        assert any(bool(jnp.any(after.weights[p] != w)) for p, w in state.weights.items())
        if expected:
            assert said is not None
            assert "uphill" in said
            assert "vodes[" in said
            assert "rate of the states" in said
        else:
            assert said is None
        if name in ("pc", "ipc", "epc", "fpa", "hil", "mcpc"):
            assert float(info.energy_before) == pytest.approx(float(info.loss), rel=1e-5)


@pytest.mark.parametrize("name", ["zil", "backprop"])
def test_rules_without_settling_say_nothing(name):
    model, batch = small()
    rule = getattr(pxl, name)(W)
    info = jit(rule.step)(rule.init(model, batch), batch)[1]
    assert int(info.result) == pxl.OUTCOME.ok
    assert float(info.energy_before) == pytest.approx(float(info.loss), rel=1e-5)


@pytest.mark.hasty
def test_a_perfect_prediction_is_not_uphill():
    # Rounding alone raises an energy of zero.
    model, (x, y) = small()
    rule = pxl.pc(W, optax.sgd(0.1), 8)
    y = rule.predict(model, x)
    state = rule.init(model, (x, y))
    assert int(rule.step(state, (x, y))[1].result) == pxl.OUTCOME.ok


@pytest.mark.hasty
def test_however_far_it_goes_the_rate_of_the_states_is_named():
    # Between energies that are merely high and values that overflow, the squares that Adam keeps overflow first.
    model, batch = small()
    said = []
    for rate in (5.0, 50.0, 150.0, 500.0, 5e3, 5e5, 5e8):
        rule = pxl.pc(optax.adam(1e-3), optax.sgd(rate), 8)
        after, info = jit(rule.step)(rule.init(model, batch), batch)
        said.append(pxl.explain(info, after) or "")
    assert all("vodes[" in text and "rate of the states" in text for text in said), said
    assert any("so far uphill" in text for text in said)


@pytest.mark.hasty
def test_values_that_settle_by_hand_or_for_a_prediction():
    model, (x, y) = small()
    bound = pxl.bind(model, (x, y))
    start = bound.start()
    field = bound.landscape(start.targets)
    for stop in (30, pxi.Plateau(30, 0.0)):
        for rate, ended in ((2.5, pxi.RESULT.diverged), (0.05, 0 if stop == 30 else pxi.RESULT.out_of_steps)):
            got = pxi.relax(field, start.h, descent=optax.sgd(rate), stop=stop)
            assert got.result.tolist() == [ended] * 6
    noisy = pxi.relax(field, start.h, descent=pxi.Langevin(0.1), stop=3, key=jax.random.PRNGKey(0))
    assert noisy.result.tolist() == [pxi.RESULT.settled] * 6
    hold = {"vodes[2]": (np.ones((6, 2), bool), np.full((6, 2), 9.0))}
    with pytest.warns(UserWarning, match="uphill for 6 of 6 samples"):
        pxl.pc(W, optax.sgd(2.5), 30).predict(model, x, settle=True, hold=hold)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        pxl.pc(W, optax.sgd(0.05), 30).predict(model, x, settle=True, hold=hold)
