"""Layers against Equinox used directly; what becomes a param; keys and modes."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.core import Tracer

import pcx as px
import pcx.functional as pxf
import pcx.nn as pxnn

KEY = jax.random.PRNGKey(7)


def fresh_key(seed):
    """The key that the next layer takes from a generator with this seed."""
    return px.RandomKeyGenerator(seed)()


def both(cls, eqx_cls, args, shape, **kwargs):
    layer = cls(*args, rkg=px.RandomKeyGenerator(3), **kwargs)
    reference = eqx_cls(*args, key=fresh_key(3), **kwargs)
    x = jax.random.normal(KEY, shape)
    return layer, layer(x), reference(x)


@pytest.mark.parametrize("bias", [True, False])
def test_linear(bias):
    layer, out, expected = both(pxnn.Linear, eqx.nn.Linear, (3, 4, bias), (3,))
    np.testing.assert_array_equal(out, expected)
    assert type(layer.nn.weight) is pxnn.LayerParam
    assert layer.nn.weight.shape == (4, 3)
    assert (layer.nn.bias is None) is not bias
    assert (pxnn.Linear(3, 4, use_bias=bias).nn.bias is None) is not bias  # the name that Equinox has
    assert isinstance(layer, pxnn.Layer)


def test_linear_draws_from_the_global_generator():
    px.RKG.seed(5)
    expected = eqx.nn.Linear(2, 2, key=fresh_key(5))
    np.testing.assert_array_equal(pxnn.Linear(2, 2).nn.weight.get(), expected.weight)


def test_a_param_stands_for_its_value():
    layer = pxnn.Linear(3, 2)
    x = jnp.arange(3.0)
    np.testing.assert_array_equal(layer(px.Param(x)), layer(x))


CONVS = [
    (pxnn.Conv, eqx.nn.Conv, (2, 2, 4, 3), (2, 6, 5), {"stride": 2, "padding": "SAME"}),
    (pxnn.Conv1d, eqx.nn.Conv1d, (2, 4, 3), (2, 9), {"dilation": 2, "groups": 2}),
    (pxnn.Conv2d, eqx.nn.Conv2d, (2, 3, 3, 2, 1), (2, 7, 6), {"use_bias": False}),
    (pxnn.Conv2d, eqx.nn.Conv2d, (2, 3, (3, 2)), (2, 7, 6), {"padding": ((1, 2), (0, 1)), "padding_mode": "CIRCULAR"}),
    (pxnn.Conv3d, eqx.nn.Conv3d, (1, 2, 2), (1, 3, 4, 3), {}),
    (pxnn.ConvTranspose, eqx.nn.ConvTranspose, (2, 4, 2, 3), (4, 3, 3), {"stride": 2, "padding": 1}),
    (pxnn.ConvTranspose1d, eqx.nn.ConvTranspose1d, (4, 2, 3), (4, 5), {"groups": 2, "stride": 2, "output_padding": 1}),
    (
        pxnn.ConvTranspose2d,
        eqx.nn.ConvTranspose2d,
        (3, 2, 4, 2),
        (3, 4, 4),
        {"padding": (1, 2), "padding_mode": "ZEROS"},
    ),
    (pxnn.ConvTranspose3d, eqx.nn.ConvTranspose3d, (1, 2, 2, 2), (1, 2, 3, 2), {"use_bias": False}),
]


@pytest.mark.hasty
@pytest.mark.parametrize(("cls", "eqx_cls", "args", "shape", "kwargs"), CONVS)
def test_convolutions(cls, eqx_cls, args, shape, kwargs):
    _, out, expected = both(cls, eqx_cls, args, shape, **kwargs)
    np.testing.assert_array_equal(out, expected)


def test_convolution_with_lists_is_a_valid_program():
    layer = pxnn.Conv2d(1, 2, [3, 3], [1, 1], [[1, 1], [0, 0]])
    out = pxf.jit()(lambda x, *, layer: layer(x))(jnp.ones((1, 5, 5)), layer=layer)
    assert out.shape == (2, 5, 3)


def test_transposed_convolution_takes_the_output_padding_after_the_padding():
    layer = pxnn.ConvTranspose2d(1, 1, 3, 2, 1, 1)
    reference = eqx.nn.ConvTranspose2d(1, 1, 3, stride=2, padding=1, output_padding=1, key=KEY)
    assert layer(jnp.ones((1, 4, 4))).shape == reference(jnp.ones((1, 4, 4))).shape == (1, 8, 8)
    assert pxnn.ConvTranspose2d(1, 1, 3, 2, 0, 1)(jnp.ones((1, 4, 4))).shape == (1, 10, 10)


@pytest.mark.hasty
def test_transposed_convolution_is_the_transpose():
    down = pxnn.Conv2d(2, 3, 3, stride=2, padding=1, use_bias=False)
    up = pxnn.ConvTranspose2d(3, 2, 3, stride=2, padding=1, output_padding=1, use_bias=False)
    up.nn.weight.set(jnp.flip(down.nn.weight.get(), (2, 3)).swapaxes(0, 1))
    x, y = jax.random.normal(KEY, (2, 6, 6)), jax.random.normal(KEY, (3, 3, 3))
    np.testing.assert_allclose(jnp.vdot(down(x), y), jnp.vdot(x, up(y)), rtol=1e-5)


POOLS = [
    (pxnn.Pool(0.0, jax.lax.add, 1, 3, 2), eqx.nn.Pool(0.0, jax.lax.add, 1, 3, 2), (2, 8)),
    (pxnn.MaxPool2d(2, 2), eqx.nn.MaxPool2d(2, 2), (2, 5, 6)),
    (pxnn.MaxPool2d(2, 2, 0, True), eqx.nn.MaxPool2d(2, 2, 0, True), (2, 5, 5)),
    (pxnn.AvgPool2d((2, 3), 1, 1), eqx.nn.AvgPool2d((2, 3), 1, 1), (2, 5, 6)),
    (pxnn.AdaptivePool([3], 1, jnp.sum), eqx.nn.AdaptivePool((3,), 1, jnp.sum), (2, 7)),
    (pxnn.AdaptiveAvgPool2d(2), eqx.nn.AdaptiveAvgPool2d(2), (2, 5, 6)),
    (pxnn.AdaptiveMaxPool2d([2, 3]), eqx.nn.AdaptiveMaxPool2d((2, 3)), (2, 5, 6)),
]


@pytest.mark.parametrize(("layer", "reference", "shape"), POOLS)
def test_pooling(layer, reference, shape):
    x = jax.random.normal(KEY, shape)
    np.testing.assert_array_equal(layer(x), reference(x))
    compiled = pxf.jit()(lambda x, *, layer: layer(x))(x, layer=layer)
    np.testing.assert_allclose(compiled, reference(x), rtol=1e-6)
    assert not jax.tree.leaves(layer)


def test_average_pool_by_hand():
    out = pxnn.AvgPool2d(2, 2)(jnp.arange(16.0).reshape(1, 4, 4))
    np.testing.assert_allclose(out, [[[2.5, 4.5], [10.5, 12.5]]])


def test_pool_has_no_params_even_with_an_array_to_start_from():
    assert not px.tree_extract(pxnn.Pool(jnp.zeros(()), jax.lax.add, 1, 2))


@pytest.mark.hasty
def test_layer_norm():
    x = jax.random.normal(KEY, (3, 4))
    expected = (x - x.mean()) / jnp.sqrt(x.var() + 1e-5)
    np.testing.assert_allclose(pxnn.LayerNorm((3, 4))(x), expected, atol=1e-6)
    np.testing.assert_allclose(pxnn.LayerNorm(use_weight=False, use_bias=False)(x), expected, atol=1e-6)
    layer = pxnn.LayerNorm(4, use_bias=False)
    assert layer.nn.bias is None
    layer.nn.weight.set(jnp.full(4, 2.0))
    np.testing.assert_allclose(layer(x[0]), 2 * eqx.nn.LayerNorm(4)(x[0]), atol=1e-6)
    with pytest.raises(ValueError, match="shape"):
        pxnn.LayerNorm()
    with pytest.warns(DeprecationWarning, match="elementwise_affine"):
        assert pxnn.LayerNorm(4, elementwise_affine=False).nn.weight is None


@pytest.mark.hasty
def test_layer_takes_any_equinox_layer_and_filter():
    layer = pxnn.Layer(eqx.nn.MLP, 2, 3, 4, 1, activation=jnp.tanh, key=KEY)
    reference = eqx.nn.MLP(2, 3, 4, 1, activation=jnp.tanh, key=KEY)
    x = jnp.array([1.0, -1.0])
    np.testing.assert_array_equal(layer(x), reference(x))
    assert len(px.tree_extract(layer)) == 4
    only_matrices = pxnn.Layer(eqx.nn.Linear, 2, 3, key=KEY, filter=lambda x: eqx.is_array(x) and x.ndim == 2)
    assert len(px.tree_extract(only_matrices)) == 1
    np.testing.assert_array_equal(only_matrices(x), eqx.nn.Linear(2, 3, key=KEY)(x))


def test_layer_keeps_modules_of_ours_that_an_equinox_layer_holds():
    class Holder(eqx.Module):
        inner: pxnn.Linear

        def __call__(self, x):
            return self.inner(x)

    inner = pxnn.Linear(2, 2)
    layer = pxnn.Layer(Holder, inner)
    np.testing.assert_array_equal(layer(jnp.ones(2)), inner(jnp.ones(2)))
    assert layer.nn.inner.nn.weight is inner.nn.weight


@pytest.mark.hasty
def test_gradients_and_vmap_over_params():
    layer = pxnn.Linear(3, 2)
    reference = eqx.nn.Linear(3, 2, key=KEY)
    layer.nn.weight.set(reference.weight)
    layer.nn.bias.set(reference.bias)
    xs = jax.random.normal(KEY, (5, 3))

    @pxf.vmap({"layer": None}, in_axes=(0,), out_axes=0)
    def forward(x, *, layer):
        return layer(x)

    np.testing.assert_allclose(forward(xs, layer=layer), jax.vmap(reference)(xs), rtol=1e-6)
    value, grads = pxf.value_and_grad({"layer": True})(lambda *, layer: jnp.sum(forward(xs, layer=layer) ** 2))(
        layer=layer
    )
    expected = eqx.filter_grad(lambda m: jnp.sum(jax.vmap(m)(xs) ** 2))(reference)
    np.testing.assert_allclose(grads["layer"].nn.weight.get(), expected.weight, rtol=1e-5)
    np.testing.assert_allclose(value, jnp.sum(jax.vmap(reference)(xs) ** 2), rtol=1e-6)


def test_equal_layers_share_a_program():
    traces = 0

    def forward(x, *, layer):
        nonlocal traces
        traces += 1
        return layer(x)

    jitted = pxf.jit()(forward)
    for seed in range(3):
        layer = pxnn.Layer(eqx.nn.MLP, 2, 3, 4, 1, activation=lambda x: 2 * x, key=jax.random.PRNGKey(seed))
        jitted(jnp.ones(2), layer=layer)
    assert traces == 1


# -- dropout and modes ----------------------------------------------------------------------------------
@pytest.mark.hasty
def test_dropout_draws_its_own_key_in_training_only():
    layer = pxnn.Dropout(0.5)
    x = jnp.ones(200)
    px.RKG.seed(1)
    first, second = layer(x), layer(x)
    assert set(np.unique(first)) == {0.0, 2.0}
    assert not np.array_equal(first, second)
    px.RKG.seed(1)
    np.testing.assert_array_equal(layer(x), first)
    np.testing.assert_array_equal(layer(x, key=KEY), eqx.nn.Dropout(0.5)(x, key=KEY))
    layer.eval()
    before = px.RKG.key.get()
    np.testing.assert_array_equal(layer(x), x)
    np.testing.assert_array_equal(px.RKG.key.get(), before)
    assert (layer(x, inference=False) == 0).any()
    layer.train()
    assert (layer(x) == 0).any()
    np.testing.assert_array_equal(layer(x, inference=True), x)


def test_dropout_that_never_drops_needs_no_key():
    before = px.RKG.key.get()
    x = jnp.ones(3)
    np.testing.assert_array_equal(pxnn.Dropout(0.0)(x), x)
    np.testing.assert_array_equal(pxnn.Dropout(0.5, inference=True)(x), x)
    np.testing.assert_array_equal(px.RKG.key.get(), before)


def test_dropout_differs_over_the_lanes_of_a_vmap():
    layer = pxnn.Dropout(0.5)
    out = pxf.vmap({"layer": None}, in_axes=(0,), out_axes=0)(lambda x, *, layer: layer(x))(
        jnp.ones((4, 64)), layer=layer
    )
    assert len({row.tobytes() for row in np.asarray(out)}) == 4
    assert not isinstance(px.RKG.key.get(), Tracer)


def nested():
    return pxnn.Layer(eqx.nn.Sequential, [eqx.nn.Linear(4, 4, key=KEY), eqx.nn.Dropout(0.5), eqx.nn.Lambda(jnp.tanh)])


def test_nested_inference_flags_follow_the_mode():
    layer = nested()
    x = jnp.ones(4)
    px.RKG.seed(2)
    assert len({layer(x).tobytes() for _ in range(8)}) > 1
    layer.eval()
    np.testing.assert_array_equal(layer(x), jnp.tanh(eqx.nn.Linear(4, 4, key=KEY)(x)))
    assert layer.is_eval
    layer.train()
    assert layer.is_train
    assert len({layer(x).tobytes() for _ in range(8)}) > 1


def test_mode_of_a_model_reaches_its_layers():
    class Model(px.Module):
        def __init__(self):
            super().__init__()
            self.layers = [pxnn.Linear(2, 2), {"drop": pxnn.Dropout()}]

    model = Model()
    model.eval()
    assert model.layers[1]["drop"].nn.inference == True  # noqa: E712  (a static, not the bool itself)


def test_mode_reaches_a_bare_equinox_layer():
    class Model(px.Module):
        def __init__(self):
            super().__init__()
            self.inference = False  # an attribute of this name is the model's own affair
            self.drop = eqx.nn.Dropout(0.5)
            self.more = [{"a": eqx.nn.Dropout(0.5), 1: (nested().nn, pxnn.Linear(2, 2))}]

    model = Model()
    drop, linear = model.drop, model.more[0][1][1]
    run = pxf.jit()(lambda x, *, model: model.drop(x, key=KEY))
    x = jnp.ones(100)
    assert (run(x, model=model) == 0).any()
    model.train()
    assert model.drop is drop
    model.eval()
    np.testing.assert_array_equal(run(x, model=model), x)
    assert model.more[0]["a"].inference is True
    assert model.more[0][1][0].layers[1].inference == True  # noqa: E712  (a static, not the bool itself)
    assert model.more[0][1][1] is linear
    assert model.inference is False
    model.train()
    assert (run(x, model=model) == 0).any()


def test_an_attribute_is_replaced_only_when_the_flag_changes():
    for layer in (pxnn.Linear(2, 2), nested()):
        nn = layer.nn
        layer.train()
        assert layer.nn is nn
    weight = layer.nn.layers[0].weight
    layer.eval()
    nn = layer.nn
    layer.eval()
    assert layer.nn is nn
    layer.mode(px.Module.MODE.NONE)
    assert layer.nn is nn
    assert layer.nn.layers[0].weight is weight


def test_compiled_code_follows_the_mode():
    layer = pxnn.Dropout(0.5)
    run = pxf.jit()(lambda x, *, layer: layer(x))
    x = jnp.ones(100)
    assert (run(x, layer=layer) == 0).any()
    layer.eval()
    np.testing.assert_array_equal(run(x, layer=layer), x)
    layer.train()
    assert (run(x, layer=layer) == 0).any()


def test_attention_draws_a_key_for_the_dropout_inside():
    layer = pxnn.Layer(eqx.nn.MultiheadAttention, 2, 4, dropout_p=0.5, key=KEY)
    x = jax.random.normal(KEY, (3, 4))
    assert not np.array_equal(layer(x, x, x), layer(x, x, x))
    layer.eval()
    reference = eqx.nn.MultiheadAttention(2, 4, dropout_p=0.5, inference=True, key=KEY)
    np.testing.assert_array_equal(layer(x, x, x), reference(x, x, x))


def test_a_key_given_by_position_is_left_alone():
    class Mine(eqx.Module):
        drop: eqx.nn.Dropout

        def __call__(self, x, key):
            return self.drop(x, key=key)

    x = jnp.ones(50)
    layer = pxnn.Layer(Mine, eqx.nn.Dropout(0.5))
    np.testing.assert_array_equal(layer(x, KEY), eqx.nn.Dropout(0.5)(x, key=KEY))
    assert (layer(x) == 0).any()
