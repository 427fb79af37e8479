"""Networks as programs write them with the pcx interface, for any package that has it."""

import itertools

import jax
import jax.numpy as jnp

import pcx as px
import pcx.functional as pxf
import pcx.nn as pxnn
import pcx.predictive_coding as pxc
import pcx.utils as pxu

AXES = pxu.M(pxc.VodeParam | pxc.VodeParam.Cache).to((None, 0))


class MLP(pxc.EnergyModule):
    def __init__(self, widths, energy=pxc.se_energy, act=jnp.tanh):
        super().__init__()
        self.act = px.static(act)
        self.layers = [pxnn.Linear(a, b) for a, b in itertools.pairwise(widths)]
        self.vodes = [pxc.Vode() for _ in widths[2:]] + [pxc.Vode(energy_fn=energy)]
        self.vodes[-1].h.frozen = True

    def __call__(self, x, y):
        for layer, vode in zip(self.layers[:-1], self.vodes[:-1], strict=True):
            x = vode(self.act(layer(x)))
        self.vodes[-1](self.layers[-1](x))
        if y is not None:
            self.vodes[-1].set("h", y)
        return self.vodes[-1].get("u")


class VGG5(pxc.EnergyModule):
    def __init__(self):
        super().__init__()
        self.act = px.static(jax.nn.gelu)
        self.pool = pxnn.MaxPool2d(2, 2)
        self.layers = [pxnn.Conv2d(a, b, 3, padding=1) for a, b in itertools.pairwise([3, 128, 256, 512, 512])]
        self.layers.append(pxnn.Linear(512 * 2 * 2, 10))
        self.vodes = [pxc.Vode() for _ in self.layers]
        self.vodes[-1].h.frozen = True

    def __call__(self, x, y):
        for layer, vode in zip(self.layers[:-1], self.vodes[:-1], strict=True):
            x = vode(self.pool(self.act(layer(x))))
        self.vodes[-1](self.layers[-1](x.reshape(-1)))
        if y is not None:
            self.vodes[-1].set("h", y)
        return self.vodes[-1].get("u")


@pxf.vmap(AXES, in_axes=(0, 0), out_axes=0)
def forward(x, y, *, model):
    return model(x, y)


@pxf.vmap(AXES, in_axes=(0,), out_axes=(None, 0), axis_name="batch")
def energy(x, *, model):
    y = model(x, None)
    return jax.lax.psum(model.energy(), "batch"), y
