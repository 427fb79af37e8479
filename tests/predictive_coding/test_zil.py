"""Z-IL, written with the interface, gives the gradients of backpropagation."""

import itertools

import jax
import jax.experimental
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import pcx as px
import pcx.functional as pxf
import pcx.nn as pxnn
import pcx.predictive_coding as pxc
import pcx.utils as pxu

# Under this name from JAX 0.8 on.
enable_x64 = jax.enable_x64 if hasattr(jax, "enable_x64") else jax.experimental.enable_x64  # pyright: ignore

SIZES = (4, 6, 5, 6, 3)
BATCH = 7
ACTIVATIONS = {"tanh": jnp.tanh, "gelu": jax.nn.gelu, "relu": jax.nn.relu}
BATCHED = pxu.M(pxc.VodeParam | pxc.VodeParam.Cache).to((None, 0))


class Net(pxc.EnergyModule):
    """`order` says whether a vode stands before or after the activation."""

    def __init__(self, act, energy_fn, order, dtype):
        super().__init__()
        rkg = px.RandomKeyGenerator(1)
        self.act = px.static(act)
        self.order = px.static(order)
        self.layers = [pxnn.Linear(m, n, rkg=rkg, dtype=dtype) for m, n in itertools.pairwise(SIZES)]
        for layer in self.layers:  # unit variance from layer to layer: errors of the size of the states, in float32 too
            layer.nn.weight.set(layer.nn.weight * 3**0.5)
        self.vodes = [pxc.Vode() for _ in self.layers[:-1]] + [pxc.Vode(energy_fn)]
        self.vodes[-1].h.frozen = True

    def __call__(self, x, y=None):
        *hidden, last = zip(self.layers, self.vodes, strict=True)
        for layer, vode in hidden:
            x = vode(self.act(layer(x))) if self.order == "after" else self.act(vode(layer(x)))
        last[1](last[0](x))
        if y is not None:
            last[1].set("h", y)
        return last[1].get("u")


@pxf.vmap(BATCHED, in_axes=(0, 0), out_axes=0)
def forward(x, y, *, model):
    return model(x, y)


@pxf.vmap(BATCHED, in_axes=(0,), out_axes=None, axis_name="batch")
def energy(x, *, model):
    model(x)
    return jax.lax.psum(model.energy(), "batch")


def zil_gradients(model, x, y, step_size=1.0):
    """At step t take the gradients of layer L - t, then move the nodes by `step_size` times their gradient."""
    n_layers = len(model.layers)
    with pxu.step(model, pxc.STATUS.INIT, clear_params=pxc.VodeParam.Cache):
        forward(x, y, model=model)
    found = {}
    for t in range(n_layers):
        mask = pxu.M_hasnot(pxc.VodeParam, frozen=True).to((False, True))(model, is_pytree=True)
        mask.layers[n_layers - t - 1] = pxu.M(pxnn.LayerParam).to((False, True))(model.layers[n_layers - t - 1])
        with pxu.step(model, clear_params=pxc.VodeParam.Cache):
            _, grads = pxf.value_and_grad({"model": mask})(energy)(x, model=model)
        layer = grads["model"].layers[n_layers - t - 1].nn
        found[n_layers - t - 1] = layer.weight.get(), layer.bias.get()
        for vode, grad in zip(model.vodes[:-1], grads["model"].vodes[:-1], strict=True):
            vode.h -= step_size * grad.h
    return [found[i] for i in range(n_layers)]


@pxf.jit()
def compiled_zil_gradients(x, y, *, model):
    return zil_gradients(model, x, y)


def plain_gradients(model, x, y, act, cross_entropy):
    """The same network in plain JAX."""

    def loss(weights):
        def one(x, y):
            for w, b in weights[:-1]:
                x = act(w @ x + b)
            u = weights[-1][0] @ x + weights[-1][1]
            return -jnp.sum(y * jax.nn.log_softmax(u)) if cross_entropy else 0.5 * jnp.sum((y - u) ** 2)

        return jax.vmap(one)(x, y).sum()

    return jax.jit(jax.grad(loss))([(layer.nn.weight.get(), layer.nn.bias.get()) for layer in model.layers])


def data(dtype):
    rng = np.random.default_rng(0)
    x = jnp.asarray(rng.normal(size=(BATCH, SIZES[0])), dtype)
    y = jax.nn.one_hot(rng.integers(0, SIZES[-1], BATCH), SIZES[-1], dtype=dtype)
    return x, y


def relative_errors(found, expected):
    """For each layer and each of its arrays."""
    return [
        [float(jnp.linalg.norm(a - b) / jnp.linalg.norm(b)) for a, b in zip(one, two, strict=True)]
        for one, two in zip(found, expected, strict=True)
    ]


@pytest.mark.parametrize("order", ["after", "before"])
@pytest.mark.parametrize("energy_fn", [pxc.se_energy, pxc.ce_energy])
@pytest.mark.parametrize("act", ACTIVATIONS)
@pytest.mark.parametrize(
    ("dtype", "tolerance"), [("float64", 1e-12), pytest.param("float32", 1e-6, marks=pytest.mark.hasty)]
)
def test_zil_is_backpropagation_layer_by_layer(act, energy_fn, order, dtype, tolerance):
    with enable_x64(dtype == "float64"):
        model = Net(ACTIVATIONS[act], energy_fn, order, dtype)
        x, y = data(dtype)
        assert all(p.dtype == dtype for p in px.tree_extract(model.layers))
        expected = plain_gradients(model, x, y, ACTIVATIONS[act], energy_fn is pxc.ce_energy)
        found = compiled_zil_gradients(x, y, model=model)
        assert all(g.dtype == dtype for pair in found for g in pair)
        assert np.max(relative_errors(found, expected)) <= tolerance


@pytest.mark.hasty
def test_it_is_the_same_without_compilation():
    with enable_x64(True):
        model = Net(jnp.tanh, pxc.ce_energy, "after", "float64")
        x, y = data("float64")
        found = zil_gradients(model, x, y)
        assert np.max(relative_errors(found, plain_gradients(model, x, y, jnp.tanh, True))) <= 1e-12


@pytest.mark.hasty
def test_a_smaller_state_step_scales_each_layer_by_its_power():
    with enable_x64(True):
        model = Net(jnp.tanh, pxc.se_energy, "after", "float64")
        x, y = data("float64")
        found = zil_gradients(model, x, y, 0.5)
        expected = plain_gradients(model, x, y, jnp.tanh, False)
        scaled = [tuple(g * 0.5 ** (len(expected) - 1 - i) for g in layer) for i, layer in enumerate(expected)]
        assert np.max(relative_errors(found, scaled)) <= 1e-12
        assert np.max(relative_errors(found, expected)) > 0.4


def test_taking_all_weight_gradients_at_the_end_is_something_else():
    with enable_x64(True):
        model = Net(jnp.tanh, pxc.se_energy, "after", "float64")
        x, y = data("float64")
        zil_gradients(model, x, y)
        mask = pxu.M(pxnn.LayerParam).to((False, True))
        _, grads = pxf.value_and_grad({"model": mask})(energy)(x, model=model)
        found = [(g.nn.weight.get(), g.nn.bias.get()) for g in grads["model"].layers]
        assert np.max(relative_errors(found, plain_gradients(model, x, y, jnp.tanh, False))) > 1e-3


@pytest.mark.hasty
def test_before_the_wave_arrives_a_nodes_gradient_is_exactly_zero():
    model = Net(jnp.tanh, pxc.se_energy, "after", "float32")
    x, y = data("float32")
    with pxu.step(model, pxc.STATUS.INIT, clear_params=pxc.VodeParam.Cache):
        forward(x, y, model=model)
    n = len(model.vodes)
    moved = []
    for _ in range(n - 1):
        with pxu.step(model, clear_params=pxc.VodeParam.Cache):
            mask = pxu.M_hasnot(pxc.VodeParam, frozen=True).to((False, True))
            _, grads = pxf.value_and_grad({"model": mask})(energy)(x, model=model)
        moved.append([bool(jnp.any(g.h.get() != 0)) for g in grads["model"].vodes[:-1]])
        for vode, grad in zip(model.vodes[:-1], grads["model"].vodes[:-1], strict=True):
            vode.h -= grad.h
    # Node l is first moved at step L - 1 - l.
    for node in range(n - 1):
        assert [step[node] for step in moved].index(True) == n - 2 - node


def test_two_optimisers_make_the_same_step_as_backpropagation():
    model = Net(jnp.tanh, pxc.ce_energy, "after", "float32")
    x, y = data("float32")
    expected = [
        tuple(p - 0.1 * g / BATCH for p, g in zip((layer.nn.weight.get(), layer.nn.bias.get()), grads, strict=True))
        for layer, grads in zip(model.layers, plain_gradients(model, x, y, jnp.tanh, True), strict=True)
    ]
    optim_w = pxu.OptimTree(
        lambda: optax.sgd(0.1), lambda node: isinstance(node, pxnn.Layer), pxu.M(pxnn.LayerParam)(model)
    )
    optim_h = pxu.OptimTree(lambda: optax.sgd(1.0), lambda node: isinstance(node, pxc.Vode))

    @pxf.jit()
    def train(x, y, *, model, optim_w, optim_h):
        with pxu.step(model, pxc.STATUS.INIT, clear_params=pxc.VodeParam.Cache):
            forward(x, y, model=model)
        optim_h.init(pxu.M_hasnot(pxc.VodeParam, frozen=True)(model))
        n = len(model.vodes)
        for t in range(n):
            with pxu.step(model, clear_params=pxc.VodeParam.Cache):
                mask = pxu.M(None).to((False, False))(model, is_pytree=True)
                mask.vodes[n - t - 2].h = True
                mask.layers[n - t - 1] = pxu.M(pxnn.LayerParam).to((False, True))(model.layers[n - t - 1])
                _, grads = pxf.value_and_grad({"model": mask})(energy)(x, model=model)
            optim_h.step(model, grads["model"])
            optim_w.step(model, grads["model"], scale_by=1.0 / BATCH)
        optim_h.clear()

    train(x, y, model=model, optim_w=optim_w, optim_h=optim_h)
    for layer, (weight, bias) in zip(model.layers, expected, strict=True):
        np.testing.assert_allclose(layer.nn.weight.get(), weight, rtol=1e-5, atol=1e-7)
        np.testing.assert_allclose(layer.nn.bias.get(), bias, rtol=1e-5, atol=1e-7)
    assert optim_h.state.get() is None
