"""The networks of the literature."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import pcx as px
import pcx.functional as pxf
import pcx.models as pxm
import pcx.nn as pxnn
import pcx.predictive_coding as pxc
import pcx.utils as pxu
from pcx.energy._problem import Problem
from pcx.energy._structure import Structure


def normal(*shape):
    return jax.random.normal(jax.random.PRNGKey(0), shape)


def called(model, x):
    """The model's output, and the value nodes' predictions, `[batch, *shape]`, under forward initialisation."""

    @pxf.jit()
    @pxf.vmap(pxu.M(pxc.VodeParam | pxc.VodeParam.Cache).to((None, 0)), in_axes=(0,), out_axes=0)
    def forward(x, *, model):
        return model(x), [v.get("u") for v in model.vodes]

    with pxu.step(model, pxc.STATUS.INIT, clear_params=pxc.VodeParam.Cache):
        return forward(x, model=model)


def shapes(model, x, y=None):
    """The shapes of all nodes for one sample; nothing is computed."""
    structure = Structure.of(model, pxnn.LayerParam)
    return [n.shape for n in Problem.of(structure, structure.values_of(model), (x, y)).nodes.values()]


def test_mlp():
    px.RKG.seed(0)
    model = pxm.MLP([6, 5, 4, 2], act=jnp.tanh)
    x = normal(3, 2, 3)  # any shape of as many elements
    h = x.reshape(3, 6)
    expected = []
    for i, layer in enumerate(model.layers):
        h = h @ layer.nn.weight.get().T + layer.nn.bias.get()
        h = h if i == 2 else jnp.tanh(h)
        expected.append(h)
    output, u = called(model, x)
    np.testing.assert_allclose(output, expected[-1], rtol=1e-4, atol=1e-6)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6), u, expected)


def test_mlp_of_the_benchmark():
    model = pxm.MLP([784, 128, 128, 128, 10], energy=pxc.ce_energy)
    assert shapes(model, jnp.zeros((2, 28, 28)), jnp.zeros(2, int)) == [(128,), (128,), (128,), (10,)]
    assert [v.h._facts.get("frozen") for v in model.vodes[-2:]] == [None, True]


def test_mlp_without_bias_and_hidden_layers():
    model = pxm.MLP([3, 2], bias=False)
    assert model.layers[0].nn.bias is None
    assert shapes(model, jnp.zeros((2, 3)), jnp.zeros((2, 2))) == [(2,)]


@pytest.mark.parametrize("skips", [True, False])
def test_mu_mlp_is_the_formula_of_the_paper(skips):
    px.RKG.seed(1)
    n0, n, out, depth = 6, 8, 3, 4
    model = pxm.MuMLP([n0, n, n, n, out], act=jnp.tanh, skips=skips)
    weights = [w.get() for w in model.weights]
    assert [w.shape for w in weights] == [(n, n0), (n, n), (n, n), (out, n)]
    x = normal(3, n0)
    h = n0**-0.5 * x @ weights[0].T
    expected = [h]
    for weight in weights[1:-1]:
        if skips:
            h = h + (n * depth) ** -0.5 * jnp.tanh(h) @ weight.T
        else:
            h = n**-0.5 * jnp.tanh(h) @ weight.T
        expected.append(h)
    expected.append(jnp.tanh(h) @ weights[-1].T / n)
    output, u = called(model, x)
    np.testing.assert_allclose(output, expected[-1], rtol=1e-4, atol=1e-6)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6), u, expected)


def test_mu_mlp_has_standard_normal_weights_at_every_width():
    px.RKG.seed(2)
    weights = [w.get() for w in pxm.MuMLP([100, 200, 200, 100]).weights]
    for weight in weights:
        assert abs(float(jnp.mean(weight))) < 0.05
        assert float(jnp.std(weight)) == pytest.approx(1, abs=0.05)


def test_mu_mlp_with_hidden_layers_of_many_widths():
    model = pxm.MuMLP([4, 5, 6, 2], skips=False)
    assert shapes(model, jnp.zeros((2, 4)), jnp.zeros((2, 2))) == [(5,), (6,), (2,)]
    assert tuple(model.scales) == pytest.approx((4**-0.5, 5**-0.5, 1 / 6))


@pytest.mark.hasty
def test_vgg():
    px.RKG.seed(3)
    model = pxm.VGG((2, 3), (True, False), (1, 0), shape=(1, 8, 7), classes=4, act=jnp.tanh)
    x = normal(2, 1, 8, 7)
    h, expected = x, []
    for conv, pooled, padding in zip(model.convs, (True, False), (1, 0), strict=True):
        h = jax.lax.conv_general_dilated(h, conv.nn.weight.get(), (1, 1), [(padding, padding)] * 2)
        h = h + conv.nn.bias.get()
        h = jnp.tanh(h)
        if pooled:
            h = jax.lax.reduce_window(h, -jnp.inf, jax.lax.max, (1, 1, 2, 2), (1, 1, 2, 2), "VALID")
        expected.append(h)
    expected.append(h.reshape(2, -1) @ model.linear.nn.weight.get().T + model.linear.nn.bias.get())
    output, u = called(model, x)
    np.testing.assert_allclose(output, expected[-1], rtol=1e-4, atol=1e-5)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5), u, expected)


@pytest.mark.hasty
def test_vgg5_and_vgg7_have_the_shapes_of_the_benchmark():
    x, y = jax.ShapeDtypeStruct((2, 3, 32, 32), jnp.float32), jax.ShapeDtypeStruct((2, 10), jnp.float32)
    # The depths and poolings of the factories, with few channels.
    small = pxm.VGG((1, 2, 5, 5), (True,) * 4, (1,) * 4)
    assert shapes(small, x, y) == [(1, 16, 16), (2, 8, 8), (5, 4, 4), (5, 2, 2), (10,)]
    small = pxm.VGG((1, 1, 2, 2, 5, 5), (True, False, True, False, True, False), (1, 1, 1, 0, 1, 0))
    assert shapes(small, x, y) == [(1, 16, 16), (1, 16, 16), (2, 8, 8), (2, 6, 6), (5, 3, 3), (5, 1, 1), (10,)]
    made = []
    # Their shapes alone: no weights are drawn.
    key = px.RKG.key.get()
    jax.eval_shape(lambda: made.extend([pxm.vgg7(classes=100), pxm.vgg5(energy=pxc.ce_energy)]))
    px.RKG.key.set(key)
    seven, five = made
    assert [c.nn.weight.get().shape[0] for c in seven.convs] == [128, 128, 256, 256, 512, 512]
    assert seven.linear.nn.weight.get().shape == (100, 512)
    assert [c.nn.weight.get().shape[:2] for c in five.convs] == [(128, 3), (256, 128), (512, 256), (512, 512)]
    assert five.linear.nn.weight.get().shape == (10, 2048)
    assert five.vodes[-1].energy_fn.get() is pxc.ce_energy


MODELS = {
    "mlp": lambda: pxm.MLP([3, 4, 2]),
    "mu": lambda: pxm.MuMLP([3, 4, 4, 2]),
    "vgg": lambda: pxm.VGG((1,), (True,), (1,), shape=(1, 3, 3), classes=2),
}


@pytest.mark.parametrize("name", MODELS)
def test_a_target_holds_the_output_node(name):
    model = MODELS[name]()
    x = jnp.zeros((2, 1, 3, 3)) if name == "vgg" else jnp.zeros((2, 3))
    structure = Structure.of(model, pxnn.LayerParam)
    for y in (jnp.zeros((2, 2)), jnp.zeros(2, int)):
        problem = Problem.of(structure, structure.values_of(model), (x, y))
        assert problem.clamped == (f"vodes[{len(model.vodes) - 1}]",)
        assert problem.starts_at_predictions
    assert Structure.of(MODELS[name](), pxnn.LayerParam) is structure


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: pxm.MLP([3]), r"MLP: widths must be two or more positive numbers, got \[3\]"),
        (lambda: pxm.MLP([3, 0, 2]), "MLP: widths must be two or more positive"),
        (lambda: pxm.MuMLP([3, 2]), "MuMLP: widths must be three or more positive"),
        (lambda: pxm.MuMLP([3, 4, 5, 2]), r"MuMLP: skips need hidden layers of one width, got \[4, 5\]"),
        (lambda: pxm.VGG((2, 2), (True,), (1, 1)), "channels, pools and padding must be of one length"),
        (lambda: pxm.VGG((1,) * 3, (True,) * 3, (0,) * 3, shape=(1, 8, 8)), r"nothing is left .* after 2 convolutions"),
    ],
)
def test_bad_arguments(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_a_sample_of_another_size_is_refused():
    with pytest.raises(ValueError, match=r"MuMLP: a sample must have 3 elements, got shape \(4,\)"):
        called(pxm.MuMLP([3, 4, 2]), jnp.zeros((2, 4)))
