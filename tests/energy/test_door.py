"""What is said of models and samples that can't be taken; and a model called by itself."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax.core import Tracer

import pcx as px
import pcx.functional as pxf
import pcx.learning as pxl
import pcx.nn as pxnn
import pcx.predictive_coding as pxc
import pcx.training as pxt
import pcx.utils as pxu

X, Y = np.arange(12, dtype=np.float32).reshape(4, 3) / 12, np.ones((4, 2), np.float32)
RULE = pxl.pc(optax.sgd(0.1), optax.sgd(0.1), T=2)


class Net(pxc.EnergyModule):
    def __init__(self, used=lambda vode, u: vode(u)):
        super().__init__()
        px.RKG.seed(0)
        self.used = used
        self.layers = {"a": pxnn.Linear(3, 4), "b": pxnn.Linear(4, 2)}
        self.vodes = [pxc.Vode(), pxc.Vode()]
        self.vodes[-1].h.frozen = True

    def __call__(self, x):
        return self.vodes[1](self.layers["b"](self.used(self.vodes[0], jnp.tanh(self.layers["a"](x)))))


# -- a model called by itself ---------------------------------------------------------------------------
@pytest.mark.hasty
def test_a_call_by_itself_is_a_forward_pass():
    model = Net()
    expected = np.asarray(RULE.predict(model, X))
    np.testing.assert_allclose(model(X[0]), expected[0], rtol=1e-6)
    for transformed in (jax.vmap(model), eqx.filter_vmap(lambda x: model(x)), jax.vmap(jax.jit(model))):
        np.testing.assert_allclose(transformed(X), expected, rtol=1e-6)
    # Nothing was set, and no tracer is left behind: the model goes on as before.
    assert all(vode.h.get() is None for vode in model.vodes)
    assert not any(isinstance(leaf, Tracer) for leaf in jax.tree.leaves(model))
    with pytest.raises(ValueError, match="energy"):
        model.energy()
    state, _ = RULE.step(RULE.init(model, (X, Y)), (X, Y))
    state.write_to(model)
    np.testing.assert_allclose(jax.vmap(model)(X), RULE.predict(model, X), rtol=1e-6)


def test_in_a_tracked_function_an_unset_node_is_told_of():
    with pytest.raises(TypeError) as e:
        pxf.vmap({"model": None}, in_axes=(0,))(lambda x, *, model: model(x))(X, model=Net())
    assert "pxc.STATUS.INIT" in " ".join(e.value.__notes__)


def test_a_node_that_has_a_value_gives_it():
    model = Net()
    with pxu.step(model, pxc.STATUS.INIT):
        model(X[0])
    model.vodes[0].h.set(jnp.zeros(4))
    np.testing.assert_allclose(model.layers["b"](jnp.zeros(4)), model(X[0]) * 0 + model.layers["b"].nn.bias.get())
    np.testing.assert_array_equal(model.vodes[0](jnp.ones(4)), jnp.zeros(4))


# -- a sample of a wrong shape --------------------------------------------------------------------------
WRONG = np.ones((4, 5), np.float32)
ENTRIES = {
    "init": lambda m: RULE.init(m, (WRONG, Y)),
    "step": lambda m: RULE.step(RULE.init(m, (X, Y)), (WRONG, Y)),
    "predict": lambda m: RULE.predict(m, WRONG),
    "evaluate": lambda m: RULE.evaluate(m, (WRONG, Y)),
    "bind": lambda m: pxl.bind(m, (WRONG, Y)),
    "fit": lambda m: pxt.fit(m, RULE, (WRONG, Y), epochs=1, batch_size=4, show=False),
}


@pytest.mark.parametrize("entry", ENTRIES)
def test_a_wrong_shape_names_layer_and_sample(entry):
    with pytest.raises((TypeError, ValueError)) as e:
        ENTRIES[entry](Net())
    assert str(e.value).startswith("layers['a']: Linear was called on float32[5]; it is made for 3 inputs, not 5: ")
    assert "The model's call gets ONE sample: x float32[5]" in str(e.value)


def test_a_sample_without_its_batch_and_layers_further_down():
    with pytest.raises(ValueError, match=r"layers\['a'\]: Linear was called on float32\[\]"):
        RULE.predict(Net(), X[0])
    with pytest.raises(TypeError, match=r"layers\['b'\]: Linear was called on float32\[3\]"):
        RULE.init(Net(lambda vode, u: vode(u)[:3]), (X, Y))
    with pytest.raises(TypeError, match=r"Linear was called on float32\[4, 3\]; a layer gets ONE sample"):
        Net()(X)
    with pytest.raises(TypeError, match=r"on float32\[2, 2\]; it takes one sample, flat, as x.resh"):
        pxnn.Linear(4, 3)(jnp.ones((2, 2)))
    norm = pxnn.BatchNorm(3, "batch", inference=True)
    with pytest.raises((TypeError, ValueError), match=r"BatchNorm was called on float32\[5\]; a layer gets ONE"):
        norm(jnp.ones(5))


def test_the_size_and_the_dtype_are_said_where_the_axes_are_those_of_a_sample():
    conv = pxnn.Conv2d(3, 4, 3)
    with pytest.raises(ValueError, match=r"Conv was called on .*; it is made for 3 channels, not 1: "):
        conv(jnp.ones((1, 8, 8)))
    with pytest.raises(TypeError, match=r"Conv was called on uint8.*; it takes real numbers: convert them"):
        conv(jnp.ones((3, 8, 8), jnp.uint8))
    with pytest.raises(ValueError, match="a layer gets ONE sample, without the batch axis"):
        conv(jnp.ones((2, 3, 8, 8)))


def test_outside_of_layers_the_sample_is_named():
    with pytest.raises(TypeError, match=r"ONE sample: x float32\[3\], y float32\[2\]"):
        RULE.init(Net(lambda vode, u: vode(u + jnp.ones(7))), (X, Y))


# -- Equinox's modules in the place of ours -------------------------------------------------------------
def test_a_bare_equinox_model():
    bare = eqx.nn.MLP(3, 2, 4, 1, key=jax.random.PRNGKey(0))
    for run in (
        lambda: RULE.init(bare, (X, Y)),  # pyright: ignore[reportArgumentType]
        lambda: pxl.bind(bare, (X, Y)),  # pyright: ignore[reportArgumentType]
        lambda: pxt.fit(bare, RULE, (X, Y), epochs=1, batch_size=4, show=False),  # pyright: ignore[reportArgumentType]
        lambda: pxt.fit(lambda: bare, RULE, (X, Y), epochs=1, batch_size=4, show=False),  # pyright: ignore[reportArgumentType]
    ):
        with pytest.raises(TypeError, match=r"got MLP, an Equinox module\. Hold its layers in an EnergyModule"):
            run()


@pytest.mark.parametrize("kind", [pxnn.Layer, pxnn.StatefulLayer])
def test_an_instance_in_the_place_of_a_class(kind):
    layer = eqx.nn.Linear(3, 4, key=jax.random.PRNGKey(0))
    with pytest.raises(TypeError, match=r"not an instance of Linear.*\(lambda: layer\)"):
        kind(layer)
    with pytest.raises(TypeError, match="not an instance of Linear"):
        kind(pxnn.Linear(3, 4))
    np.testing.assert_array_equal(pxnn.Layer(lambda: layer)(X[0]), layer(X[0]))


# -- nodes inside of what JAX transforms ----------------------------------------------------------------
INSIDE = {
    "scan": lambda v, u: jax.lax.scan(lambda c, _: (v(c), None), u, None, length=1)[0],
    "while_loop": lambda v, u: jax.lax.while_loop(lambda c: c[0] > 100, v, u),
    "fori_loop": lambda v, u: jax.lax.fori_loop(0, 2, lambda i, c: v(c), u),
    "map": lambda v, u: jax.lax.map(v, u),
    "cond": lambda v, u: jax.lax.cond(u[0] > 0, v, lambda u: u, u),
    "checkpoint": lambda v, u: jax.checkpoint(lambda u: v(u))(u),
    "jit": lambda v, u: jax.jit(lambda u: v(u))(u),
    "filter_jit": lambda v, u: eqx.filter_jit(lambda u: v(u))(u),
    "vmap": lambda v, u: jax.vmap(v)(u),
    "grad": lambda v, u: jax.grad(lambda u: v(u).sum())(u),
}


@pytest.mark.parametrize("name", INSIDE)
def test_a_node_inside_is_refused_by_name(name):
    with pytest.raises(ValueError, match=r"uses the value node vodes\[0\] inside of a function that JAX transforms"):
        RULE.init(Net(INSIDE[name]), (X, Y))


def test_our_own_transforms_take_nodes_by_keyword():
    for used in (
        lambda v, u: pxf.jit()(lambda u, *, v: v(u))(u, v=v),
        lambda v, u: pxf.cond(lambda u, *, v: v(u), lambda u, *, v: v(2 * u))(u[0] > 0, u, v=v),
    ):
        assert tuple(RULE.init(Net(used), (X, Y)).structure.nodes) == ("vodes[0]", "vodes[1]")
