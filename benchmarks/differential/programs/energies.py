"""Energies of nodes and of modules; what modules clear; their statuses."""

import jax
import jax.numpy as jnp
from record import program

import pcx as px
import pcx.functional as pxf
import pcx.nn as pxnn
import pcx.predictive_coding as pxc
import pcx.utils as pxu
from programs.vodes import ENERGY, MODULE, STATE, H, U, batched


@program(ENERGY)
def energies_on_a_sample(show):
    for name, fn in {"se": pxc.se_energy, "ce": pxc.ce_energy, "zero": pxc.zero_energy}.items():
        v = pxc.Vode(fn)
        v(U[0], h=H[0])
        show(f"{name} unreduced", fn(v, px.RKG))
        show(f"{name} by default", fn(v))
        f = batched(lambda u, *, v: (v(u), v.energy())[1])
        w = pxc.Vode(fn)
        w.h.set(H)
        show(f"{name} in a vmap", f(U, v=w))


@program(ENERGY)
def energies_outside_a_vmap(show):
    v = pxc.Vode()
    v(U, h=H)
    show("after a call", v.energy())
    w = pxc.Vode()
    w.set("u", U).set("h", H)
    show("after a set", w.energy())


@program(ENERGY)
def energies_are_cached(show):
    calls = []

    def own(vode, rkg=px.RKG):
        calls.append(1)
        return (vode.get("h") - vode.get("u")) ** 2

    @batched
    def f(u, *, v):
        v(u)
        return v.energy() + v.energy()

    v = pxc.Vode(own)
    v.h.set(H)
    show("twice", f(U, v=v))
    show("evaluated", len(calls))
    show("under E", v.cache.get()["E"])


@program(ENERGY)
def energies_of_ones_own(show):
    @batched
    def f(u, *, v):
        v(u)
        return v.energy()

    for name, own in {
        "positional": lambda vode, rkg: jnp.abs(vode.get("h") - vode.get("u")),
        "keyword": lambda vode, *, rkg: vode.get("h") * vode.get("u"),
        "scalar": lambda vode, rkg: (vode.get("h") - vode.get("u")).sum() ** 2,
        "noise": lambda vode, rkg: jax.random.normal(rkg(), (3,)) + vode.get("h"),
        "constant": lambda vode, rkg: jnp.ones(()),
    }.items():
        v = pxc.Vode(own)
        v.h.set(H)
        px.RKG.seed(1)  # a vmap may move the global key
        show(name, f(U, v=v))


@program(ENERGY)
def energies_none(show):
    v = pxc.Vode(energy_fn=None)
    v(U[0], h=H[0])
    show("value", v.energy())

    class Two(pxc.EnergyModule):
        def __init__(self):
            super().__init__()
            self.a, self.b = pxc.Vode(None), pxc.Vode()

        def __call__(self, x):
            self.a(x, h=x)
            self.b(x + 1, h=x)

    m = Two()

    @batched
    def f(u, *, m):
        m(u)
        return m.energy()

    show("in a module", f(U, m=m))


@program(ENERGY)
def energies_that_broadcast(show):
    v = pxc.Vode()

    @pxf.vmap(pxu.M(STATE).to((None, 0)), in_axes=(0, 0), out_axes=0)
    def f(h, u, *, v):
        v(u)
        v.set("h", h)
        return v.energy()

    show("1 against 3", f(jnp.ones((4, 1)), jnp.zeros((4, 3)), v=v))
    show.raises("a number against 3", lambda: f(jnp.ones(4), jnp.zeros((4, 3)), v=pxc.Vode()))


@program(ENERGY)
def energies_before_values(show):
    show.fails("nothing is set", lambda: pxc.Vode().energy())
    v = pxc.Vode()
    v.set("u", U[0])
    show.fails("h is not set", lambda: v.energy())


class Chain(pxc.EnergyModule):
    def __init__(self, energies):
        super().__init__()
        self.vodes = [pxc.Vode(e) for e in energies]
        self.layers = [pxnn.Linear(3, 3) for _ in energies]

    def __call__(self, x):
        for v, layer in zip(self.vodes, self.layers, strict=True):
            x = v(layer(x))
        return x


@program(MODULE)
def energy_module_sums(show):
    m = Chain([pxc.se_energy, pxc.zero_energy, pxc.ce_energy])
    with pxu.step(m, pxc.STATUS.INIT, clear_params=pxc.VodeParam.Cache):
        batched(lambda x, *, m: m(x))(U, m=m)
    m.status = None
    for v in m.vodes:
        v.status = None
        v.h.set(v.h * 0.5)

    @batched
    def f(x, *, m):
        m(x)
        return m.energy(), [v.energy() for v in m.vodes]

    show("energies", pxf.vmap(pxu.M(STATE).to((None, 0)), in_axes=(0,), out_axes=0)(
        lambda x, *, m: (m(x), m.energy())[1])(U, m=m))  # fmt: skip
    show("of each", [v.cache.get()["E"] for v in m.vodes])


@program(MODULE)
def energy_module_nested(show):
    class Outer(pxc.EnergyModule):
        def __init__(self):
            super().__init__()
            self.parts = {"a": Chain([pxc.se_energy]), "b": [Chain([pxc.se_energy, None])]}
            self.other = pxnn.Linear(2, 2)

        def __call__(self, x):
            return self.parts["b"][0](self.parts["a"](x))

    m = Outer()
    with pxu.step(m, pxc.STATUS.INIT, clear_params=pxc.VodeParam.Cache):
        batched(lambda x, *, m: m(x))(U, m=m)
    m.parts["a"].vodes[0].h.set(H)
    with pxu.step(m, None, clear_params=pxc.VodeParam.Cache):
        pass
    for v in (m.parts["a"].vodes[0], *m.parts["b"][0].vodes):
        v.status = None
    show("energies", batched(lambda x, *, m: (m(x), m.energy())[1])(U, m=m))


@program(MODULE)
def energy_module_without_children(show):
    class Empty(pxc.EnergyModule):
        pass

    show.raises("energy", lambda: float(Empty().energy()))
    show("status", Empty().status)


@program(MODULE)
def energy_module_clear_params(show):
    for name, what in {
        "type": pxc.VodeParam,
        "cache": pxc.VodeParam.Cache,
        "union": STATE,
        "predicate": lambda p: isinstance(p, pxc.VodeParam) and p.get() is not None and bool(p.get()[0] > 0),
    }.items():
        m = Chain([pxc.se_energy, pxc.se_energy])
        for i, v in enumerate(m.vodes):
            v(U[0], h=U[i] * (1, -1)[i])
        m.clear_params(what)
        show(name, [[v.h.get(), v.cache.get()] for v in m.vodes])
        show(f"{name}, weights", m.layers[0].nn.bias.get())


@program(MODULE)
def energy_module_statuses(show):
    m = Chain([pxc.se_energy, pxc.se_energy])
    seen = lambda: [m.status, *(v.status for v in m.vodes)]  # noqa: E731
    show("at first", seen())
    with pxu.step(m, "a"):
        show("inside", seen())
    m.status = "by hand"
    show("by hand", seen())
    show("names", [pxc.STATUS.NONE, pxc.STATUS.ALL, pxc.STATUS.INIT])


@program(MODULE)
def energy_module_status_in_jit(show):
    m = Chain([pxc.se_energy])
    m.vodes[0].h.set(H[0])

    @pxf.jit()
    def f(x, *, m):
        return m(x), m.status

    f2 = pxf.jit()(lambda x, *, m: m(x))
    with pxu.step(m, pxc.STATUS.INIT):
        show("init", f2(U[0], m=m))
    with pxu.step(m, None):
        m.vodes[0].h.set(H[0])
        show("none", f2(U[0], m=m))
