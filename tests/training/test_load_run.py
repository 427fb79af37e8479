"""A run, built again from its folder."""

import json

import jax.numpy as jnp
import numpy as np
import optax
import pytest

import pcx.learning as pxl
import pcx.models as pxm
import pcx.training as pxt

from .small import HELD_OUT, RULE, by_rate, make, model, train

pytest.importorskip("orbax.checkpoint")


def outputs(rule, net):
    return np.asarray(rule.predict(net, HELD_OUT[0]))


def other_act():
    return pxm.MLP([2, 8, 2], act=jnp.tanh)


def test_a_run_of_fit(tmp_path):
    net = model()
    train(net, folder=tmp_path / "run", epochs=1)
    found, rule, data = pxt.load_run(tmp_path / "run", make, RULE)
    assert (rule, data) == (RULE, None)
    np.testing.assert_array_equal(outputs(RULE, found), outputs(RULE, net))
    given = model(5)
    assert pxt.load_run(tmp_path / "run", given)[:2] == (given, None)
    with pytest.raises(ValueError, match=r"is a run of fit.*load_run\(folder, model, rule\)"):
        pxt.load_run(tmp_path / "run")
    with pytest.raises(ValueError, match=r"model: act: was .*gelu, is .*tanh.*compare=False"):
        pxt.load_run(tmp_path / "run", other_act, RULE)
    with pytest.raises(ValueError, match=r"rule: stop.steps: was 4, is 5"):
        pxt.load_run(tmp_path / "run", make, pxl.pc(optax.adamw(1e-2), optax.sgd(0.1), 5))
    wrong, _, _ = pxt.load_run(tmp_path / "run", other_act, compare=False)
    assert (outputs(RULE, wrong) != outputs(RULE, net)).any()
    with pytest.raises(ValueError, match="doesn't fit the model"):
        pxt.load_run(tmp_path / "run", lambda: pxm.MLP([2, 9, 2]), compare=False)


def test_several_networks_and_the_best_epoch(tmp_path):
    fit = train(make, by_rate, folder=tmp_path / "run", seeds=[4, 7], settings=[{"lr": 1e-2}], epochs=2)
    with pytest.raises(ValueError, match=r"by network=: 0 \(seed 4, lr 0.01\), 1 \(seed 7, lr 0.01\)"):
        pxt.load_run(tmp_path / "run", make, by_rate)
    with pytest.raises(ValueError, match="there is no network 2; choose"):
        pxt.load_run(tmp_path / "run", make, network=2)
    for best in (False, True):
        net, rule, _ = pxt.load_run(tmp_path / "run", make, by_rate, network=1, best=best)
        assert isinstance(rule, pxl.Rule)
    expected = model()
    fit.states[1].write_to(expected)
    net, _, _ = pxt.load_run(tmp_path / "run", make, network=1)
    np.testing.assert_array_equal(outputs(RULE, net), outputs(RULE, expected))


def test_no_run(tmp_path):
    with pytest.raises(FileNotFoundError, match="holds no run"):
        pxt.load_run(tmp_path, make)
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(pxt.CheckpointError, match="can't be read"):
        pxt.load_run(tmp_path, make)
    (tmp_path / "config.json").write_text(json.dumps({"command": "pcx.cli:main"}))
    with pytest.raises(ValueError, match="holds no single run"):
        pxt.load_run(tmp_path, make)
