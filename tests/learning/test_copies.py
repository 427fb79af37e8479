"""States, models and rules, copied and pickled, go on alike, and find what was compiled for the first."""

import copy
import pickle
import subprocess
import sys

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import pcx as px
import pcx.learning as pxl
import pcx.models as pxm
import pcx.nn as pxnn
import pcx.predictive_coding as pxc

X, Y = np.random.default_rng(0).normal(size=(8, 3)).astype(np.float32), np.arange(8, dtype=np.int32) % 2
W, H = optax.adam(1e-2), optax.sgd(0.1)
RULES = {
    "backprop": pxl.backprop(W),
    "pc": pxl.pc(W, H, T=3),
    "zil": pxl.zil(W),
    "mcpc": pxl.mcpc(W, 0.1, T=3),
}
WAYS = {
    "pickle": lambda x: pickle.loads(pickle.dumps(x)),
    "old pickle": lambda x: pickle.loads(pickle.dumps(x, protocol=2)),
    "cloudpickle": lambda x: pickle.loads(pytest.importorskip("cloudpickle").dumps(x)),
    "deepcopy": copy.deepcopy,
    "copy": copy.copy,
    "device_get": jax.device_get,
}


class Net(pxc.EnergyModule):
    """Everything that a model may hold."""

    def __init__(self):
        super().__init__()
        self.rate, self.table = 0.5, np.ones(3, np.float32)
        self.act, self.options = jax.nn.relu, px.static({"act": jax.nn.gelu, "sizes": [1, 2]})
        self.rkg = px.RKG
        self.drop, self.norm = pxnn.Dropout(0.1), pxnn.BatchNorm(3, "batch")
        self.layers = [pxnn.Layer(eqx.nn.Linear, 3, 4, key=px.RKG()), pxnn.Linear(4, 2)]
        self.vodes = [pxc.Vode(), pxc.Vode(pxc.ce_energy)]
        self.vodes[-1].h.frozen = True

    def __call__(self, x):
        h = self.norm(self.drop(self.act(x * self.rate) + self.table))
        return self.vodes[1](self.layers[1](self.vodes[0](self.layers[0](h))))


@pytest.mark.hasty
def test_a_state_goes_on_alike_and_compiles_nothing():
    rule, traced = RULES["pc"], []
    state = rule.init(Net(), (X, Y))

    def step(state, batch):
        traced.append(1)
        return rule.step(state, batch)

    step = jax.jit(step)
    after, info = step(state, (X, Y))
    for copied in WAYS.values():
        other = copied(state)
        assert jax.tree.structure(other) == jax.tree.structure(state)
        again, _ = step(other, (X, Y))
        assert traced == [1]
        jax.tree.map(np.testing.assert_array_equal, again, after)
        jax.tree.map(np.testing.assert_array_equal, copied(info), info)


@pytest.mark.parametrize("way", ["pickle", "cloudpickle", "deepcopy"])
def test_models_and_params(way):
    model = Net()
    other = WAYS[way](model)
    rule = RULES["zil"]
    assert rule.init(other, (X, Y)).structure is rule.init(model, (X, Y)).structure
    assert other.vodes[-1].h.frozen is True
    np.testing.assert_array_equal(rule.predict(other, X), rule.predict(model, X))
    other.layers[1].nn.bias.set(jnp.ones(2))
    assert not np.array_equal(model.layers[1].nn.bias.get(), jnp.ones(2))
    param = px.Param(jnp.ones(2))
    param.kind = "a"
    assert (WAYS[way](param).kind, WAYS[way](param).get().tolist()) == ("a", [1.0, 1.0])


@pytest.mark.parametrize("name", RULES)
@pytest.mark.parametrize("way", ["cloudpickle", "deepcopy", "copy"])
def test_rules_are_the_same_object(name, way):
    RULES[name].init(Net(), (X, Y))  # finds out how its values move
    assert WAYS[way](RULES[name]) is RULES[name]


def test_what_bind_gives():
    bound = pxl.bind(Net(), (X, Y))
    for way in ("pickle", "deepcopy"):
        assert WAYS[way](bound).problem is bound.problem


@pytest.mark.hasty
def test_in_another_process(tmp_path):
    rule = RULES["pc"]
    state = rule.init(pxm.MLP([3, 4, 2], act=jax.nn.relu, energy=pxc.ce_energy), (X, Y))
    after, _ = jax.jit(rule.step)(state, (X, Y))
    with open(tmp_path / "state", "wb") as f:
        pickle.dump((state, X, Y), f)
    code = """
import pickle, sys, jax, optax, jax.numpy as jnp, pcx.learning as pxl
state, x, y = pickle.load(open(sys.argv[1], "rb"))
after, _ = jax.jit(pxl.pc(optax.adam(1e-2), optax.sgd(0.1), T=3).step)(state, (x, y))
print(float(sum(jnp.abs(v).sum() for v in after.weights.values())))
"""
    out = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "state")], capture_output=True, text=True, timeout=200
    )
    assert out.returncode == 0, out.stderr
    np.testing.assert_allclose(float(out.stdout), sum(jnp.abs(v).sum() for v in after.weights.values()), rtol=1e-5)
