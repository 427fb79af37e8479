"""Stateful layers: the state as a plain tree of arrays; batch normalisation against the formula."""

import warnings

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import pcx as px
import pcx.functional as pxf
import pcx.learning as pxl
import pcx.nn as pxnn
import pcx.predictive_coding as pxc
import pcx.utils as pxu


class Counter(eqx.Module):
    """Adds up what it has seen."""

    index: eqx.nn.StateIndex
    scale: jax.Array

    def __init__(self):
        self.index = eqx.nn.StateIndex((jnp.array(0), jnp.zeros(2)))
        self.scale = jnp.array(2.0)

    def __call__(self, x, state):
        n, total = state.get(self.index)
        total = total + self.scale * x
        return total, state.set(self.index, (n + 1, total))


def counts(layer):
    ((n, total),) = layer.state.get().values()
    return int(n), np.asarray(total)


def test_state_is_a_param_of_arrays_and_moves_with_the_calls():
    layer = pxnn.StatefulLayer(Counter)
    assert type(layer.state) is pxnn.StateParam
    assert not isinstance(layer, pxnn.Layer)
    assert not isinstance(layer.state, (pxnn.LayerParam, pxnn.LayerState))
    assert all(isinstance(x, jax.Array) for x in jax.tree.leaves(layer.state.get()))
    first = layer.state.get()
    layer(jnp.ones(2))
    np.testing.assert_array_equal(layer(jnp.ones(2)), [4.0, 4.0])
    assert counts(layer)[0] == 2
    layer.state.set(first)  # an old state can be used again
    assert counts(layer)[0] == 0
    np.testing.assert_array_equal(layer(jnp.ones(2)), [2.0, 2.0])
    layer.nn.scale.set(jnp.array(3.0))
    np.testing.assert_array_equal(layer(jnp.ones(2)), [5.0, 5.0])


def test_state_through_jax_itself():
    layer = pxnn.StatefulLayer(Counter)

    @jax.jit
    def step(layer, x):
        layer(x)
        return layer

    layer = step(step(layer, jnp.ones(2)), jnp.ones(2))
    n, total = counts(layer)
    assert n == 2
    np.testing.assert_array_equal(total, [4.0, 4.0])
    lanes = jax.vmap(lambda x, layer: (layer(x), layer)[1], in_axes=(0, None))(jnp.ones((3, 2)), layer)
    assert all(x.shape[0] == 3 for x in jax.tree.leaves(lanes.state))


def test_state_through_our_transforms():
    layer = pxnn.StatefulLayer(Counter)
    run = pxf.jit()(lambda x, *, layer: layer(x))
    for _ in range(3):
        run(jnp.ones(2), layer=layer)
    n, total = counts(layer)
    assert n == 3
    np.testing.assert_array_equal(total, [6.0, 6.0])


def test_a_layer_without_state_is_refused():
    layer = pxnn.StatefulLayer(lambda: eqx.nn.Lambda(lambda x: x))
    with pytest.raises(TypeError):
        layer(jnp.ones(2))


# -- batch normalisation --------------------------------------------------------------------------------
EPS = 1e-5


@pxf.vmap({"bn": None}, in_axes=(0,), out_axes=0, axis_name="batch")
def over_batch(x, *, bn):
    return bn(x)


def normalised(x, mean, var, axes):
    expand = [1 if a in axes else -1 for a in range(x.ndim)]
    return (x - mean.reshape(expand)) / np.sqrt(var.reshape(expand) + EPS)


def batches(n, shape=(16, 3, 4)):
    rng = np.random.default_rng(0)
    return [(1 + i + (3 + i) * rng.standard_normal(shape)).astype(np.float32) for i in range(n)]


@pytest.mark.hasty
@pytest.mark.parametrize("momentum", [0.1, 0.8, 0.0])
@pytest.mark.parametrize("mode", ["ema", "batch", None])
def test_batch_norm_by_hand(mode, momentum):
    # The momentum is the weight of the old value in both modes, and "ema" with 0.1 is what one gets by saying nothing.
    chosen = {} if mode is None else {"mode": mode}
    bn = pxnn.BatchNorm(3, "batch", **chosen, **({} if momentum == 0.1 else {"momentum": momentum}))
    axes = (0, 2)
    *training, x = batches(4)
    mean, var, total = np.zeros(3), np.zeros(3), 0.0
    for n, batch in enumerate(training):
        m, v = batch.mean(axes), batch.var(axes)
        old = 0.0 if n == 0 and mode != "batch" else momentum
        mean, var, total = [old * a + (1 - old) * b for a, b in ((mean, m), (var, v), (total, 1.0))]
        used = (m, v) if mode == "batch" else (mean, var)
        np.testing.assert_allclose(over_batch(batch, bn=bn), normalised(batch, *used, axes), atol=1e-5)
    bn.eval()
    before = bn.state.get()
    assert mode == "batch" or total == pytest.approx(1.0)
    expected = normalised(x, mean / total, var / total, axes)
    np.testing.assert_allclose(over_batch(x, bn=bn), expected, atol=1e-5)
    np.testing.assert_allclose(bn(x[0]), expected[0], atol=1e-5)  # needs no batch axis
    assert bn.state.get() is before
    bn.train()
    with pytest.raises(NameError):
        bn(x[0])


@pytest.mark.parametrize("mode", ["ema", "batch"])
def test_batch_norm_before_the_first_training_call(mode):
    x = jnp.arange(3.0)
    np.testing.assert_allclose(pxnn.BatchNorm(3, "batch", inference=True, mode=mode)(x), x, rtol=1e-4)
    several = pxnn.StatefulLayer(
        lambda: eqx.nn.Sequential([eqx.nn.BatchNorm(3, "batch", inference=True, mode=mode) for _ in range(3)])
    )
    np.testing.assert_allclose(several(x), x, rtol=1e-4)  # Equinox's own, wherever they stand


def test_an_untrained_network_with_batch_norm_can_be_looked_at():
    class Net(pxc.EnergyModule):
        def __init__(self):
            super().__init__()
            self.norms = [pxnn.BatchNorm(3, "batch") for _ in range(4)]
            self.layer, self.vode = pxnn.Linear(3, 3), pxc.Vode()
            self.vode.h.frozen = True

        def __call__(self, x):
            for norm in self.norms:
                x = norm(x)
            return self.vode(self.layer(x))

    model, x = Net(), batches(1, (8, 3))[0]
    model.layer.nn.weight.set(jnp.eye(3))
    model.layer.nn.bias.set(jnp.zeros(3))
    np.testing.assert_allclose(pxl.backprop(optax.sgd(0.1)).predict(model, x), x, rtol=1e-3)


def test_batch_norm_scales_and_shifts():
    bn = pxnn.BatchNorm(3, "batch")
    x = batches(1, (8, 3))[0]
    plain = over_batch(x, bn=pxnn.BatchNorm(3, "batch", channelwise_affine=False))
    bn.nn.weight.set(jnp.array([1.0, 2.0, 3.0]))
    bn.nn.bias.set(jnp.array([0.0, -1.0, 1.0]))
    np.testing.assert_allclose(over_batch(x, bn=bn), plain * np.array([1, 2, 3]) + np.array([0, -1, 1]), atol=1e-5)
    learned = [p for p in px.tree_extract(bn) if isinstance(p, pxnn.LayerParam)]
    assert {id(p) for p in learned} == {id(bn.nn.bias), id(bn.nn.weight)}


def test_batch_norm_under_jit_and_grad():
    bn = pxnn.BatchNorm(3, "batch")
    x = batches(1, (8, 3))[0]

    def loss(*, bn):
        return jnp.sum(over_batch(x, bn=bn) ** 3)

    mask = pxu.M(pxnn.LayerParam).to((False, True))
    step = pxf.jit()(lambda *, bn: pxf.value_and_grad(mask)(loss)(bn=bn))
    value, grads = step(bn=bn)
    eager = pxnn.BatchNorm(3, "batch")
    np.testing.assert_allclose(value, loss(bn=eager), rtol=1e-5)
    for a, b in zip(jax.tree.leaves(bn.state), jax.tree.leaves(eager.state), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5)
    z = normalised(x, x.mean(0), x.var(0), (0,))
    np.testing.assert_allclose(grads["bn"].nn.weight.get(), (3 * z**3).sum(0), rtol=1e-4, atol=1e-4)


def test_batch_norm_is_equinox_in_mode_ema():
    bn = pxnn.BatchNorm(3, "batch", momentum=0.25)
    reference, state = eqx.nn.make_with_state(eqx.nn.BatchNorm)(3, "batch", momentum=0.25, mode="ema")
    run = jax.vmap(reference, in_axes=(0, None), out_axes=(0, None), axis_name="batch")
    for x in batches(3, (8, 3)):
        expected, state = run(jnp.asarray(x), state)
        np.testing.assert_allclose(over_batch(x, bn=bn), expected, rtol=1e-5, atol=1e-6)


def test_batch_norm_says_what_is_wrong():
    with pytest.raises(ValueError, match="momentum"):
        pxnn.BatchNorm(3, "batch", momentum=1.0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        pxnn.BatchNorm(3, "batch")
