"""What networks as people write them share: data, a perceptron and its training."""

import itertools

import jax
import jax.numpy as jnp
import jax.tree_util as jtu
import numpy as np
import optax

import pcx as px
import pcx.functional as pxf
import pcx.nn as pxnn
import pcx.predictive_coding as pxc
import pcx.utils as pxu

ROW = "whole programs"
STATE = pxc.VodeParam | pxc.VodeParam.Cache
CACHE = pxc.VodeParam.Cache
# `to` of the published package changes the mask itself: these two are never asked for values.
FREE = pxu.M_hasnot(pxc.VodeParam, frozen=True)
WEIGHTS = pxu.M(pxnn.LayerParam)


def data(n, sizes, outputs, seed=0):
    rng = np.random.default_rng(seed)
    x = jnp.asarray(rng.normal(size=(n, *sizes)))
    y = jnp.asarray(rng.normal(size=(n, outputs)))
    return x, y


def norm(tree):
    return jnp.sqrt(sum(jnp.vdot(x, x) for x in jtu.tree_leaves(tree)))


class MLP(pxc.EnergyModule):
    def __init__(self, sizes, act, energy_fn=pxc.se_energy):
        super().__init__()
        self.act = px.static(act)
        self.n = px.static(len(sizes) - 1)
        self.layers = [pxnn.Linear(a, b) for a, b in itertools.pairwise(sizes)]
        self.vodes = [pxc.Vode() for _ in range(self.n.get() - 1)] + [pxc.Vode(energy_fn)]
        self.vodes[-1].h.frozen = True

    def __call__(self, x, y=None):
        for i in range(self.n.get() - 1):
            x = self.vodes[i](self.act.get()(self.layers[i](x)))
        self.vodes[-1](self.layers[-1](x))
        if y is not None:
            self.vodes[-1].set("h", y)
        return self.vodes[-1].get("u")


@pxf.vmap(pxu.M(STATE).to((None, 0)), in_axes=(0, 0), out_axes=0)
def forward(x, y, *, model):
    return model(x, y)


@pxf.vmap(pxu.M(STATE).to((None, 0)), in_axes=(0,), out_axes=(None, 0), axis_name="batch")
def energy(x, *, model):
    y_ = model(x)
    return jax.lax.psum(model.energy(), "batch"), y_


def settle(T, x, *, model, optim_h, loop="for"):
    def step(_=None, *, model, optim_h):
        with pxu.step(model, clear_params=CACHE):
            (e, _), g = pxf.value_and_grad(
                {"model": pxu.M_hasnot(pxc.VodeParam, frozen=True).to((False, True))}, has_aux=True
            )(energy)(x, model=model)
        optim_h.step(model, g["model"])
        return (), e

    if loop == "scan":
        return pxf.scan(step, length=T)(model=model, optim_h=optim_h)[1]
    return jnp.stack([step(model=model, optim_h=optim_h)[1] for _ in range(T)])


def trainer(T, loop):
    @pxf.jit()
    def train(x, y, *, model, optim_w, optim_h):
        model.train()
        with pxu.step(model, pxc.STATUS.INIT, clear_params=CACHE):
            forward(x, y, model=model)
        # No status while values settle, whatever a step leaves behind.
        with pxu.step(model, (None, None)):
            optim_h.init(FREE(model))
            energies = settle(T, x, model=model, optim_h=optim_h, loop=loop)
            with pxu.step(model, clear_params=CACHE):
                (e, y_), g = pxf.value_and_grad({"model": pxu.M(pxnn.LayerParam).to((False, True))}, has_aux=True)(
                    energy
                )(x, model=model)
            optim_w.step(model, g["model"], scale_by=1.0 / x.shape[0])
        optim_h.clear()
        return energies, e, y_

    return train


def evaluate(x, *, model):
    model.eval()
    with pxu.step(model, pxc.STATUS.INIT, clear_params=CACHE):
        return forward(x, None, model=model)


def run_mlp(
    show,
    *,
    sizes,
    act=jnp.tanh,
    energy_fn=pxc.se_energy,
    T=4,
    loop="for",
    lr_h=0.1,
    make_w=lambda: optax.adam(1e-2),
    momentum=None,
    batches=3,
):
    model = MLP(sizes, act, energy_fn)
    optim_w = pxu.Optim(make_w, WEIGHTS(model))
    optim_h = pxu.Optim(lambda: optax.sgd(lr_h, momentum=momentum))
    train = trainer(T, loop)
    x, y = data(6, (sizes[0],), sizes[-1])
    if energy_fn is pxc.ce_energy:
        y = jax.nn.softmax(y)
    for i in range(batches):
        show(f"batch {i}", train(x, y, model=model, optim_w=optim_w, optim_h=optim_h))
    show("weights", [layer.nn.weight for layer in model.layers])
    show("states", [v.h for v in model.vodes])
    show("prediction", evaluate(x, model=model))
