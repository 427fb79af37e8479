"""Value nodes: state, cache, shapes, params of one's own."""

import jax.numpy as jnp
from record import program

import pcx.functional as pxf
import pcx.predictive_coding as pxc
import pcx.utils as pxu

VODE, RULES, ENERGY, MODULE = "pxc: Vode", "pxc: Ruleset", "pxc: energies", "pxc: EnergyModule"
STATE = pxc.VodeParam | pxc.VodeParam.Cache
U = jnp.array([[1.0, -2.0, 0.5], [0.1, 0.2, 0.3]])
H = jnp.array([[0.0, 1.0, 2.0], [0.5, 0.5, 0.5]])


def batched(f, out=0, axis_name=None):
    return pxf.vmap(pxu.M(STATE).to((None, 0)), in_axes=(0,), out_axes=out, axis_name=axis_name)(f)


@program(VODE)
def vode_call(show):
    v = pxc.Vode()
    show("without a status", [v(U[0]), v.h.get(), v.get("u")])
    with pxu.step(v, pxc.STATUS.INIT, clear_params=pxc.VodeParam.Cache):
        show("when initialised", [v(U[0]), v.h.get()])
    show("cleared", v.cache.get())
    v.status = None
    show("h is kept", v(U[1]))
    show("h and u", [v.get("h"), v.get("u")])
    show("returns the node", v(U[0], output=None) is v)
    show("returns u", v(U[0], output="u"))


@program(VODE)
def vode_call_with_others(show):
    v = pxc.Vode()
    show("h is given", v(U[0], h=H[0]))
    show("both", [v.get("h"), v.get("u")])
    show("an extra name", v(U[1], output="extra", extra=jnp.ones(2)))
    show("read again", v.get("extra"))
    show("cache", sorted(v.cache.get()))
    show("no u", [v(None, h=H[1]), v.get("u")])


@program(VODE)
def vode_set_and_get(show):
    v = pxc.Vode()
    show("set returns the node", v.set("h", H[0]) is v)
    show("h", v.h)
    v.set("u", U[0])
    show("u", [v.get("u"), v.cache])
    show("missing", [v.get("nothing"), v.get("nothing", 5)])
    v.set("other", 3.0)
    show("other", v.get("other"))
    v.set("h", None)
    show("h without a value", v.h.get())
    v.h.set(H[1])
    show("h by hand", v.get("h"))
    v.cache.set(None)
    show.raises("no cache", lambda: [v.get("u"), v.get("u", 1.0)])


@program(VODE)
def vode_in_vmap(show):
    v = pxc.Vode()
    forward = batched(lambda u, *, v: v(u))
    with pxu.step(v, pxc.STATUS.INIT, clear_params=pxc.VodeParam.Cache):
        show("returned", forward(U, v=v))
    show("h", v.h)
    v.h.set(H)
    v.status = None

    @batched
    def energy(u, *, v):
        v(u)
        return v.energy()

    show("energies", energy(U, v=v))
    show("names of the cache", sorted(v.cache.get()))


@program(VODE)
def vode_params_of_ones_own(show):
    class Node(pxc.Vode):
        def __init__(self):
            super().__init__(ruleset={pxc.STATUS.INIT: ("h, h0, u <- u",)})
            self.h0 = pxc.VodeParam()
            self.h0.frozen = True

    v = Node()
    with pxu.step(v, pxc.STATUS.INIT, clear_params=pxc.VodeParam.Cache):
        v(U[0])
    v.status = None
    v.h.set(H[0])
    show("h0", [v.h0.get(), v.get("h0"), v.h.get()])
    v.set("h0", U[1])
    show("set", [v.h0.get(), v.cache.get()])


@program(VODE)
def vode_param_types(show):
    class Own(pxc.VodeParam):
        class Cache(pxc.VodeParam.Cache):
            pass

    v = pxc.Vode(param_type=Own)
    show("types", [type(v.h).__name__, type(v.cache).__name__])
    v.set("u", U[0])
    show("cache", v.get("u"))
    show("default", [type(pxc.Vode().h).__name__, type(pxc.Vode().cache).__name__])


@program(VODE)
def vode_values_for_params(show):
    show("value", pxc.Vode(pxc.se_energy, {}, {}, pxc.VodeParam, H[0]).h)
    show.raises("by keyword", lambda: pxc.Vode(value=H[0]).h)


@program(VODE)
def vode_shapes(show):
    v = pxc.Vode()
    show("before", v.shape.get())
    v(U)
    show("after a call", list(v.shape.get()))
    show("equal", v.shape == (2, 3))
    batched(lambda u, *, v: v(u))(U, v=v)
    show("after a vmap", list(v.shape.get()))
    w = pxc.Vode()
    w.set("u", U)
    show("after a set", w.shape.get())


@program(VODE)
def vode_frozen_masks(show):
    vodes = [pxc.Vode() for _ in range(3)]
    vodes[-1].h.frozen = True
    for i, v in enumerate(vodes):
        v.h.set(jnp.full(2, float(i)))
    kept = pxu.M_hasnot(pxc.VodeParam, frozen=True)(vodes)
    show("not frozen", [v.h is not None for v in kept])
    show("frozen", [v.h is not None for v in pxu.M_has(pxc.VodeParam, frozen=True)(vodes)])
