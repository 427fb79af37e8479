"""Layers that learn nothing are named, with the reason and what to do."""

import dataclasses
import json

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import pcx.analysis as pxa
import pcx.inference as pxi
import pcx.learning as pxl
import pcx.models as pxm

from .nets import W, net

H = optax.sgd(0.1)


def kinds(found):
    return {f.kind for f in found.findings}


@pytest.mark.hasty
def test_a_deep_network_in_few_steps_is_told_which_layers_learn_nothing():
    rule, made = pxl.pc(W, H, 8), [net([4, *[8] * 29, 3], seed=s) for s in (0, 1)]
    with pytest.warns(UserWarning, match="T=8 is too small"):
        found = pxa.health(rule, pxl.stack([rule.init(*each) for each in made]), made[0][1])
    first = found.findings[0]
    assert (first.kind, first.networks) == ("out of reach", (0, 1))
    # The error goes through the last layer at once, and back by one more in each step.
    assert first.layers == tuple(f"layers[{i}]" for i in range(21))
    assert "T=29" in first.remedy
    assert found.silent[:21] == first.layers  # and two that the error has come to, but in rounding alone
    assert "layers[0], layers[1], ..., layers[20] (21 in all) will learn nothing" in str(found)
    json.dumps(found.to_dict())


@pytest.mark.hasty
def test_a_deep_network_of_mupc_is_not():
    model, batch = net([4, *[8] * 63, 3], act=jax.nn.relu, kind=pxm.MuMLP)
    # With Adam for the values: plain gradient descent loses the error, by its rate in each layer; see docs/analysis.md.
    found = pxa.health(pxl.pc(W, optax.adam(1e-2), 64, equal_layers="stacked"), model, batch)
    assert found.silent == (), found


@pytest.mark.hasty
def test_errors_that_are_lost_in_rounding_are_told_from_those_that_do_not_come():
    model, batch = net([4, *[6] * 14, 3])
    found = pxa.health(pxl.pc(W, optax.sgd(0.05), 30), model, batch)
    assert found.findings[0].kind == "lost"
    assert found.findings[0].layers[0] == "layers[0]"
    assert "imbalance" in kinds(found)
    assert found.imbalance > 1e6
    # Of rounding errors there is no rank.
    for path, rank in found.ranks.items():
        assert np.isnan(rank) == (path.split(".nn.")[0] in found.silent)
    (line,) = [line for line in str(found).splitlines() if line.startswith("layers[0].nn.weight")]
    assert line.split()[1] == "-"
    assert found.to_dict()["ranks"]["layers[0].nn.weight"] is None


@pytest.mark.hasty
def test_dead_units_are_found():
    model, batch = net([4, 6, 6, 3], act=jax.nn.relu)
    model.layers[1].nn.bias.set(jnp.full((6,), -100.0))
    found = pxa.health(pxl.pc(W, H, 8), model, batch)
    assert found.findings[0].kind == "dead"
    assert found.findings[0].layers == ("layers[0]", "layers[1]")
    model.layers[1].nn.bias.set(jnp.asarray([-100.0, -100, -100, 0, 0, 0]))
    found = pxa.health(pxl.zil(W), model, batch)
    assert found.silent == ()
    assert [(f.kind, f.layers) for f in found.findings] == [("dead", ("vodes[1]",))]


@pytest.mark.hasty
def test_frozen_weights_and_those_that_the_optimiser_leaves():
    model, batch = net([4, 6, 6, 3])
    model.layers[0].nn.weight.frozen = True
    labels = lambda w: {p: "not" if p.startswith("layers[1]") else "moves" for p in w}  # noqa: E731
    rule = pxl.zil(optax.multi_transform({"not": optax.set_to_zero(), "moves": W}, labels))
    found = pxa.health(rule, model, batch)
    assert [(f.kind, f.layers) for f in found.findings] == [
        ("frozen", ("layers[0].nn.weight",)),
        ("unmoved", ("layers[1]",)),
    ]


@pytest.mark.hasty
def test_settling_that_grows_is_told():
    model, batch = net([4, 6, 6, 3])
    found = pxa.health(pxl.pc(W, optax.sgd(1.2), 20), model, batch)
    assert kinds(found) == {"uphill"}
    assert "lower the rate of the values" in str(found)


@pytest.mark.hasty
def test_several_networks_at_once_and_ranks():
    rule = pxl.pc(W, H, 2)
    batch = net([4, 6, 6, 3])[1]
    states = [rule.init(net([4, 6, 6, 3], seed=s)[0], batch) for s in (0, 1)]
    broken = dict(states[1].weights) | {"layers[2].nn.weight": jnp.zeros((3, 6))}
    states[1] = dataclasses.replace(states[1], weights=broken)
    found = pxa.health(rule, pxl.stack(states), batch)
    assert [f.networks for f in found.findings] == [(1,)]
    after, _ = jax.jit(rule.step)(states[0], batch)
    step = np.asarray(after.weights["layers[1].nn.weight"] - states[0].weights["layers[1].nn.weight"])
    s = np.linalg.svd(step, compute_uv=False)
    p = s / s.sum()
    np.testing.assert_allclose(found.ranks["layers[1].nn.weight"][0], np.exp(-np.sum(p * np.log(p))), rtol=1e-3)


def test_a_trace_ends_where_settling_does():
    model, batch = net([4, 6, 3])
    rule = pxl.pc(W, optax.sgd(0.3), pxi.GradientNorm(200, 1e-2))
    (found,) = pxa.trace(rule, model, batch)
    last = int(found.steps.max())
    assert 3 < last < 200
    assert np.isfinite(found.total[: last + 1]).all()
    assert np.isnan(found.total[last + 1 :]).all()
    assert found.total[0] > found.total[last]
    assert set(found.gradients) == {"vodes[0]"}
    assert json.loads(json.dumps(found.to_dict()))["energies"]["vodes[0]"][last + 1] is None
    assert f"{last}, mean" in str(found)
