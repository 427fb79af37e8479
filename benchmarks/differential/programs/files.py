"""Files of params. Those that one package writes, the other reads."""

import jax.numpy as jnp
import numpy as np
from record import program

import pcx as px
import pcx.nn as pxnn
import pcx.predictive_coding as pxc
import pcx.utils as pxu

ROW = "pxu: save_params, load_params"


class Net(pxc.EnergyModule):
    def __init__(self):
        super().__init__()
        self.conv = pxnn.Conv2d(1, 2, 3)
        self.layers = [pxnn.Linear(8, 4), pxnn.Linear(4, 2, bias=False)]
        self.heads = {"a": pxnn.Linear(2, 2), "b": (pxnn.LayerNorm((2,)),)}
        self.vodes = [pxc.Vode()]
        self.scale = px.Param(jnp.array([2.0, 3.0]))
        self.n = px.static(3)


class Shared(px.Module):
    def __init__(self):
        super().__init__()
        self.a = pxnn.Linear(3, 3)
        self.b = self.a
        self.c = [pxnn.shared(self.a)]


def made(seed):
    px.RKG.seed(seed)
    net = Net()
    net.vodes[0].h.set(jnp.full(2, float(seed)))
    net.scale.set(net.scale * seed)
    return net


def path(show, name):
    return str(show.own / name)


@program(ROW)
def files_names(show):
    pxu.save_params(made(1), path(show, "net.npz"))
    with np.load(path(show, "net.npz")) as f:
        show("keys", sorted(f.keys()))
        show("values", {k: f[k] for k in sorted(f.keys())})
    pxu.save_params(made(1), path(show, "ending"))
    show("ending", sorted(p.name for p in show.own.iterdir() if p.name.startswith("ending")))


@program(ROW)
def files_come_back(show):
    pxu.save_params(made(1), path(show, "back"))
    net = made(2)
    pxu.load_params(net, path(show, "back"))
    show("net", net)
    net = made(3)
    pxu.load_params(net, path(show, "back") + ".npz")
    show("with its ending", net.layers[0].nn.weight)


@program(ROW)
def files_of_other_params(show):
    filters = {
        "vodes": pxc.VodeParam,
        "params": px.Param,
        "predicate": lambda p: isinstance(p, px.Param) and p.get() is not None and p.ndim == 1,
    }
    for name, f in filters.items():
        pxu.save_params(made(1), path(show, f"{name}.npz"), f)
        with np.load(path(show, f"{name}.npz")) as file:
            show(name, sorted(file.keys()))
        net = made(2)
        pxu.load_params(net, path(show, f"{name}.npz"), f)
        show(f"{name} loaded", net)


@program(ROW)
def files_of_shared_params(show):
    px.RKG.seed(1)
    net = Shared()
    pxu.save_params(net, path(show, "shared.npz"))
    with np.load(path(show, "shared.npz")) as f:
        show("keys", sorted(f.keys()))
    px.RKG.seed(2)
    other = Shared()
    show.fails("load", lambda: pxu.load_params(other, path(show, "shared.npz")))
    show("still shared", [other.a.nn.weight is other.b.nn.weight, other.a.nn.weight is other.c[0].nn.weight])


@program(ROW)
def files_that_do_not_fit(show):
    pxu.save_params(made(1).layers[0], path(show, "layer.npz"))
    show.raises("missing keys", lambda: pxu.load_params(made(2), path(show, "layer.npz")))
    show.raises("no file", lambda: pxu.load_params(made(2), path(show, "nothing.npz")))
    show.raises("other shape", lambda: pxu.load_params(pxnn.Linear(5, 4), path(show, "layer.npz")))


@program(ROW)
def reads_files_of_the_other(show):
    for name in ("net.npz", "net", "back"):
        net = made(7)
        pxu.load_params(net, str(show.other / name))
        show(name, net)
    net = made(7)
    pxu.load_params(net, str(show.other / "params.npz"), px.Param)
    show("params", [net.scale, net.vodes[0].h, net.heads["b"][0].nn.weight])
    net = made(7)
    pxu.load_params(net, str(show.other / "vodes.npz"), pxc.VodeParam)
    show("vodes", net.vodes[0].h)
