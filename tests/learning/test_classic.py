"""Rules take the steps of programs that are written out with the interface of objects."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import pcx.functional as pxf
import pcx.learning as pxl
import pcx.models as pxm
import pcx.nn as pxnn
import pcx.predictive_coding as pxc
import pcx.utils as pxu

from .problems import enable_x64, error, jit, seeded, weights

STATE = pxc.VodeParam | pxc.VodeParam.Cache
BATCHED = pxu.M(STATE).to((None, 0))
T = 8


@pxf.vmap(BATCHED, in_axes=(0, 0), out_axes=0)
def forward(x, y, *, model):
    return model(x, y)


@pxf.vmap(BATCHED, in_axes=(0,), out_axes=None, axis_name="batch")
def energy(x, *, model):
    model(x)
    return jax.lax.psum(model.energy(), "batch")


def start(x, y, model, optim_h):
    with pxu.step(model, pxc.STATUS.INIT, clear_params=pxc.VodeParam.Cache):
        forward(x, y, model=model)
    optim_h.init(pxu.M_hasnot(pxc.VodeParam, frozen=True)(model))


def slopes(mask, x, model):
    with pxu.step(model, clear_params=pxc.VodeParam.Cache):
        return pxf.value_and_grad({"model": mask})(energy)(x, model=model)[1]["model"]


def learning(mask, model, layer):
    mask.layers[layer] = pxu.M(pxnn.LayerParam).to((False, True))(model.layers[layer], is_pytree=True)
    return mask


def zil(x, y, *, model, optim_w, optim_h):
    start(x, y, model, optim_h)
    n = len(model.layers)
    for t in range(n):
        mask = learning(pxu.M(None).to((False, False))(model, is_pytree=True), model, n - 1 - t)
        if t < n - 1:
            mask.vodes[n - 2 - t].h = True
        grads = slopes(mask, x, model)
        if t < n - 1:
            optim_h.step(model, grads)
        optim_w.step(model, grads, scale_by=1 / x.shape[0])
    optim_h.clear()
    model.clear_params(STATE)


def hil(x, y, *, model, optim_w, optim_h):
    start(x, y, model, optim_h)
    n = len(model.layers)
    for t in range(T):
        mask = pxu.M_hasnot(pxc.VodeParam, frozen=True).to((False, True))(model, is_pytree=True)
        for unreached in range(n - 2 - t):
            mask.vodes[unreached].h = False
        if t < n:
            mask = learning(mask, model, n - 1 - t)
        grads = slopes(mask, x, model)
        optim_h.step(model, grads)
        if t < n:
            optim_w.step(model, grads, scale_by=1 / x.shape[0])
    optim_w.step(model, slopes(pxu.M(pxnn.LayerParam).to((False, True)), x, model), scale_by=1 / x.shape[0])
    optim_h.clear()
    model.clear_params(STATE)


PROGRAMS = {"zil": (zil, pxl.zil, 1.0), "hil": (hil, pxl.hil, optax.linear_schedule(1.0, 0.1, 1))}


@pytest.mark.parametrize(("dtype", "tolerance"), [("float32", 1e-6), ("float64", 1e-13)])
@pytest.mark.parametrize("name", PROGRAMS)
@pytest.mark.hasty
def test_several_batches_in_a_row(name, dtype, tolerance):
    program, factory, rate = PROGRAMS[name]
    with enable_x64(dtype == "float64"):
        model = seeded(pxm.MLP, [2, 8, 8, 3], jax.nn.leaky_relu, pxc.ce_energy)
        rng = np.random.default_rng(0)
        x = jnp.asarray(rng.normal(size=(6, 16, 2)), dtype)
        labels = jnp.asarray(rng.integers(0, 3, (6, 16)))
        y = jax.nn.one_hot(labels, 3, dtype=dtype)
        rule = factory(optax.sgd(0.2, momentum=0.9, nesterov=True), *([optax.sgd(rate), T] if name == "hil" else []))
        state, step = rule.init(model, (x[0], labels[0])), jit(rule.step)
        first = weights(model)
        for xs, ls in zip(x, labels, strict=True):
            state, info = step(state, (xs, ls))
            assert int(info.result) == 0

        optim_w = pxu.OptimTree(
            lambda: optax.sgd(0.2, momentum=0.9, nesterov=True),
            lambda node: isinstance(node, pxnn.Layer),
            pxu.M(pxnn.LayerParam)(model),
        )
        optim_h = pxu.OptimTree(lambda: optax.sgd(rate), lambda node: isinstance(node, pxc.Vode))
        written_out = pxf.jit()(program)
        for xs, ys in zip(x, y, strict=True):
            written_out(xs, ys, model=model, optim_w=optim_w, optim_h=optim_h)
        expected = weights(model)
        assert all(w.dtype == dtype for w in [*expected.values(), *state.weights.values()])
        assert error(state.weights, expected) <= tolerance
        assert error(first, expected) > 1e-2
