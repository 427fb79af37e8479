"""Equinox modules as predictive coding networks: the same outputs, the same gradients, and back."""

import re
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import pcx.learning as pxl
import pcx.models as pxm
import pcx.nn as pxnn
from pcx.learning import bind

from .small import GRADIENT, enable_x64, gradients, normal, predicted

KEYS = jax.random.split(jax.random.PRNGKey(0), 8)
N = eqx.nn


@pytest.fixture
def double():
    with enable_x64(True):
        yield


class Block(eqx.Module):
    """A module of one's own: a skip, a layer in a dict, and tokens that are mapped over."""

    first: N.Linear
    inner: dict[str, Any]
    last: N.Linear
    rates: jax.Array

    def __init__(self):
        self.first, self.last = N.Linear(3, 4, key=KEYS[0]), N.Linear(4, 2, key=KEYS[1])
        self.inner = {"deep": N.Sequential([N.Linear(4, 4, key=KEYS[2]), N.Lambda(jnp.tanh)])}
        self.rates = jnp.arange(2)

    def __call__(self, x):
        h = jnp.tanh(self.first(x))
        return self.last(h + self.inner["deep"](h)) * self.rates


class Mapped(eqx.Module):
    layer: N.Linear
    last: N.Linear

    def __init__(self):
        self.layer, self.last = N.Linear(3, 4, key=KEYS[0]), N.Linear(4, 2, key=KEYS[1])

    def __call__(self, x):
        return self.last(jax.vmap(self.layer)(jnp.stack([x, 2 * x])).sum(0))


def convolutional(**options):
    return N.Sequential(
        [
            N.Conv2d(1, 2, 3, padding=1, key=KEYS[0]),
            N.GroupNorm(1, 2),
            N.Lambda(jax.nn.relu),
            N.MaxPool2d(2, 2),
            N.Conv2d(2, 3, 3, padding=1, key=KEYS[1]),
            N.Lambda(N.PReLU()),
            N.Lambda(jnp.ravel),
            N.Linear(12, 2, key=KEYS[2]),
        ]
    )


def mlp(**options):
    options = {"in_size": 3, "out_size": 2, "width_size": 4, "depth": 3, "activation": jnp.tanh} | options
    return N.MLP(**options, key=KEYS[3])


# Of each module: how many value nodes, and the shape of a sample.
MODULES: dict[str, Any] = {
    "mlp": (mlp, None, 4, (3,)),
    "mlp, looped": (lambda: mlp(scan=True, final_activation=jnp.tanh), None, 4, (3,)),
    "mlp, of numbers": (lambda: mlp(in_size="scalar", out_size="scalar", final_activation=jnp.sin), None, 4, ()),
    "mlp, learned activation": (lambda: mlp(activation=N.PReLU()), None, 4, (3,)),
    "mlp, cut": (mlp, ["layers[1]"], 2, (3,)),
    "sequential": (convolutional, None, 3, (1, 4, 4)),
    "sequential, cut": (convolutional, [0, "layers[3]"], 3, (1, 4, 4)),
    "block": (Block, ["first", "inner['deep'].layers[0]", ".inner['deep']"], 4, (3,)),
}


def batch(name: str) -> Any:
    return normal(1, 5, *MODULES[name][3])


QUICK = ("mlp", "mlp, cut", "block")


@pytest.mark.parametrize("name", [n if n in QUICK else pytest.param(n, marks=pytest.mark.hasty) for n in MODULES])
def test_outputs_are_those_of_the_module(name):
    make, cuts, nodes, _ = MODULES[name]
    module, x = make(), jnp.asarray(batch(name), jnp.float32)
    model = pxm.from_equinox(module, cuts)
    assert len(model.vodes) == nodes
    expected = jax.vmap(module)(x)
    np.testing.assert_allclose(predicted(model, x), expected, rtol=1e-5, atol=1e-6)
    back = pxm.to_equinox(model)
    assert jax.tree.structure(back) == jax.tree.structure(module)
    assert eqx.tree_equal(back, module)


@pytest.mark.usefixtures("double")
@pytest.mark.hasty
@pytest.mark.parametrize("name", ["sequential"])
def test_zil_has_the_gradient_of_equinox(name):
    make, cuts, _, _ = MODULES[name]
    module, x = make(), batch(name)
    y = normal(2, 5, 2)

    def loss(module):
        return 0.5 * jnp.sum((jax.vmap(module)(x) - y) ** 2) / 5

    expected = jax.tree.leaves(eqx.filter_grad(loss)(module))
    model = pxm.from_equinox(module, cuts)
    (found,) = gradients(model, (x, y), zil=pxl.zil(GRADIENT))
    found = list(found.values())
    assert len(found) == len(expected)
    for one in expected:
        assert any(a.shape == one.shape and np.allclose(a, one, rtol=1e-9, atol=1e-12) for a in found)


@pytest.mark.hasty
def test_what_is_trained_comes_back_and_the_module_stays():
    module = convolutional()
    kept = [np.array(a) for a in jax.tree.leaves(eqx.filter(module, eqx.is_array))]
    model = pxm.from_equinox(module)
    x, y = jnp.asarray(normal(1, 5, 1, 4, 4), jnp.float32), jnp.asarray(normal(2, 5, 2), jnp.float32)
    rule = pxl.pc(optax.sgd(0.1), optax.sgd(0.1), 3)
    state, info = jax.jit(rule.step, donate_argnums=0)(rule.init(model, (x, y)), (x, y))
    assert int(info.result) == 0
    state.write_to(model)
    trained = pxm.to_equinox(model)
    np.testing.assert_allclose(jax.vmap(trained)(x), rule.predict(model, x), rtol=1e-5, atol=1e-6)
    for same, (before, after) in {True: (kept, module), False: (kept, trained)}.items():
        found = jax.tree.leaves(eqx.filter(after, eqx.is_array))
        assert all(np.array_equal(a, b) is same for a, b in zip(before, found, strict=True))


def test_nodes_stand_where_they_are_asked_for():
    model = pxm.from_equinox(convolutional())
    nodes = bind(model, (normal(1, 2, 1, 4, 4), normal(1, 2, 2))).problem.nodes
    assert [node.shape for node in nodes.values()] == [(2, 2, 2), (12,), (2,)]
    weights = [p for p in jax.tree.leaves(model, is_leaf=lambda p: isinstance(p, pxnn.LayerParam))]
    assert sum(isinstance(p, pxnn.LayerParam) for p in weights) == 9
    one = pxm.from_equinox(Block(), ["last", "first"])
    nodes = bind(one, (normal(1, 2, 3), normal(1, 2, 2))).problem.nodes
    assert [node.shape for node in nodes.values()] == [(2,), (4,), (2,)]


@pytest.mark.hasty
def test_dropout_draws_in_training_alone():
    module = N.Sequential([N.Linear(3, 64, key=KEYS[0]), N.Dropout(0.5), N.Linear(64, 2, key=KEYS[1])])
    model, x = pxm.from_equinox(module), jnp.ones((4, 3))
    assert bind(model, (x, jnp.ones((4, 2)))).problem.draws
    found = predicted(model, x)
    np.testing.assert_allclose(found, jax.vmap(N.inference_mode(module))(x), rtol=1e-5)


@pytest.mark.parametrize(
    ("make", "cuts", "message"),
    [
        (lambda: pxnn.Linear(2, 3), None, "module must be an equinox.Module, got Linear"),
        (lambda: jnp.tanh, None, "module must be an equinox.Module, got "),
        (Block, None, "from_equinox: Block needs cuts, the layers that a value node stands after"),
        (Block, ["frist"], "cuts name 'frist', but there is no frist in the module"),
        (Block, ["inner['deep'].layers[2]"], "there is no inner.deep.layers[2] in the module"),
        (Block, ["rates"], "'rates' is no layer that could be called, but "),
        (Block, ["first", ".first"], "cuts name a layer twice: '.first', 'first'"),
        (Block, ["first["], "a cut is a path such as 'layers[0]' or 'block.conv', got 'first['"),
        (Block, [0], "places such as 0 are of a Sequential"),
        (convolutional, [8], "cuts name 8, but there is no layers[8]"),
        (lambda: N.Sequential([N.BatchNorm(2, "batch", mode="ema")]), None, "keeps a state from call to call"),
    ],
)
def test_what_can_not_be_cut_is_refused(make, cuts, message):
    with pytest.raises((TypeError, ValueError), match=re.escape(message)):
        pxm.from_equinox(make(), cuts)


def test_layers_inside_of_a_vmap_are_refused_when_a_batch_is_known():
    model = pxm.from_equinox(Mapped(), ["layer"])
    with pytest.raises(ValueError, match=r"vodes\[0\]"):
        bind(model, (normal(1, 2, 3), normal(1, 2, 2)))


def test_to_equinox_takes_what_from_equinox_made():
    with pytest.raises(TypeError, match="to_equinox: model must be one that from_equinox made, got MLP"):
        pxm.to_equinox(pxm.MLP([2, 3]))  # pyright: ignore[reportArgumentType]
