"""Calls that are compiled or mapped: jit, vmap with its masks."""

import jax
import jax.numpy as jnp
from record import program

import pcx as px
import pcx.functional as pxf
import pcx.nn as pxnn
import pcx.predictive_coding as pxc
import pcx.utils as pxu

JIT, VMAP, GRAD = "pxf: jit", "pxf: vmap", "pxf: value_and_grad"
X = jnp.arange(6.0).reshape(3, 2)


class Net(px.Module):
    def __init__(self):
        super().__init__()
        self.w = pxnn.LayerParam(jnp.array([[1.0, 2.0], [3.0, 5.0]]))
        self.s = px.Param(jnp.ones((3, 2)))
        self.n = px.Param(jnp.array(0.0))

    def __call__(self, x):
        self.n += 1.0
        return self.w @ x


@program(JIT)
def jit_tracks_keywords(show):
    f = pxf.jit()(lambda x, *, net: net(x))
    net = Net()
    show("returned", [f(X[1], net=net), f(X[2], net=net)])
    show("after", net)


@program(JIT)
def jit_positional_params_stay(show):
    p = px.Param(jnp.array(1.0))

    @pxf.jit()
    def f(p):
        p.set(p + 1)
        return p * 3

    show("returned", f(p))
    show("after", p)


@program(JIT)
def jit_static_arguments(show):
    @pxf.jit(static_argnums=0)
    def f(n, x, *, p):
        for _ in range(n):
            p += x
        return n

    p = px.Param(jnp.array(0.0))
    show("returned", [f(2, 1.5, p=p), f(3, 1.0, p=p)])
    show("after", p)
    g = pxf.jit(static_argnums=(0, 2))(lambda a, x, b: x * a if b == "times" else x + a)
    show("two", [g(2, 3.0, "times"), g(2, 3.0, "plus")])


@program(JIT)
def jit_returns_objects(show):
    @pxf.jit()
    def f(x, *, p):
        return {"x": x, "p": p.get(), "none": None, "n": 3}, (x * 2,)

    show("tree", f(X, p=px.Param(jnp.ones(2))))

    @pxf.jit()
    def g(x):
        return px.Param(x * 2)

    show("param", g(X))


@program(JIT)
def jit_retraces_for_statics(show):
    traced = []

    @pxf.jit()
    def f(x, *, net):
        traced.append(1)
        return x + net["n"].get()

    net = {"n": px.static(1), "p": px.Param(jnp.ones(1))}
    f(1.0, net=net)
    f(2.0, net=net)
    show("traces of equal ones", len(traced))
    net["n"].set(2)
    show("value", f(1.0, net=net))
    show("traces", len(traced))


@program(JIT)
def jit_calls_jit(show):
    inner = pxf.jit()(lambda x, *, net: net(x))

    @pxf.jit()
    def outer(x, *, net):
        return inner(inner(x, net=net), net=net)

    net = Net()
    show("returned", outer(X[0], net=net))
    show("count", net.n)


@program(JIT)
def jit_exceptions(show):
    net = Net()

    @pxf.jit()
    def f(x, *, net):
        net.n += 1.0
        if x > 0:
            return x
        return -x

    show.raises("branch on a tracer", lambda: f(1.0, net=net))
    show.raises("wrong shapes", lambda: pxf.jit()(lambda x, *, net: net(x))(jnp.ones(3), net=net))

    @pxf.jit()
    def g(*, net):
        raise KeyError("stop")

    show.raises("raised inside", lambda: g(net=net))
    show("w is whole", net.w)


@program(VMAP)
def vmap_positional(show):
    net = Net()
    f = pxf.vmap({"net": None}, in_axes=(0,), out_axes=0)(lambda x, *, net: net.w @ x)
    show("one axis", f(X, net=net))
    g = pxf.vmap({"net": None}, in_axes=(0, None), out_axes=0)(lambda x, y, *, net: net.w @ x + y)
    show("None axis", g(X, jnp.ones(2), net=net))
    h = pxf.vmap({"net": None}, in_axes=(1, 0), out_axes=1)(lambda x, y, *, net: x.sum() * y)
    show("axis 1", h(X, jnp.ones((2, 4)), net=net))
    k = pxf.vmap({"net": None}, in_axes=(0, 0), out_axes=(0, None))(lambda x, y, *, net: (x, 1.0 if y is None else y))
    show("None as an argument", k(X, None, net=net))
    t = pxf.vmap({"net": None}, in_axes=((0, None),), out_axes=(0, 1))(lambda x, *, net: (x[0] + x[1], x[0]))
    show("tuple axes", t((X, 1.0), net=net))


@program(VMAP)
def vmap_masks_of_params(show):
    net = Net()
    mask = pxu.M(px.Param).to((None, 0))

    @pxf.vmap(
        {
            "net": lambda tree: pxu.M(lambda p: p.get() is not None and p.ndim == 2 and p.shape[0] == 3).to((None, 0))(
                tree
            )
        },
        in_axes=(0,),
        out_axes=0,
    )
    def f(x, *, net):
        net.s += x
        return net.s * 2

    show("chosen by shape", f(X, net=net))
    show("after", net)
    net = {"w": pxnn.LayerParam(jnp.eye(2)), "h": pxc.VodeParam(X)}

    @pxf.vmap(pxu.M(pxc.VodeParam).to((None, 0)), in_axes=(0,), out_axes=0)
    def g(x, *, net):
        net["h"] += net["w"] @ x
        return net["h"].sum()

    show("by type", g(X, net=net))
    show("after the second", net["h"])
    show("a mask is reused", [type(mask).__name__, g(X, net=net)])


@program(VMAP)
def vmap_dict_masks(show):
    a, b, c = px.Param(X), px.Param(X.T), px.Param(jnp.ones(2))

    @pxf.vmap({"a": 0, "b": 1, "c": None}, out_axes=0)
    def f(*, a, b, c):
        a *= 2.0
        b += 1.0
        return a + b + c

    show("returned", f(a=a, b=b, c=c))
    show("after", [a, b, c])


@program(VMAP)
def vmap_tuple_keys(show):
    a, b, c = px.Param(X), px.Param(X + 1), px.Param(jnp.ones(2))

    @pxf.vmap({("a", "b"): 0, "c": None}, out_axes=0)
    def f(*, a, b, c):
        b += a.get()
        return b + c

    show("returned", f(a=a, b=b, c=c))
    show("after", [a, b, c])
    mask = pxu.M(pxc.VodeParam).to((None, 0))
    m, n = ({"w": px.Param(jnp.ones(2)), "h": pxc.VodeParam(X * k)} for k in (1, 2))
    g = pxf.vmap({("m", "n"): mask}, out_axes=0)(lambda *, m, n: m["h"] * m["w"] + n["h"])
    show("with a mask", g(m=m, n=n))


@program(VMAP)
def vmap_axis_names(show):
    net = Net()

    @pxf.vmap({"net": None}, in_axes=(0,), out_axes=None, axis_name="batch")
    def f(x, *, net):
        return jax.lax.psum(net.w @ x, "batch"), jax.lax.pmean(x, "batch"), jax.lax.pmax(x, "batch")

    show("collectives", f(X, net=net))


@program(VMAP)
def vmap_creates_states(show):
    vode = pxc.Vode()

    @pxf.vmap(pxu.M(pxc.VodeParam | pxc.VodeParam.Cache).to((None, 0)), in_axes=(0,), out_axes=0)
    def f(x, *, vode):
        return vode(x * 2)

    with pxu.step(vode, pxc.STATUS.INIT, clear_params=pxc.VodeParam.Cache):
        show("returned", f(X, vode=vode))
    show("h", vode.h)
    with pxu.step(vode, clear_params=pxc.VodeParam.Cache):
        show("moved", f(X + 1, vode=vode))
        show("u", vode.get("u"))


@program(VMAP)
def vmap_keywords_alone(show):
    p = px.Param(X)
    show("no in_axes", pxf.vmap({"p": 0}, out_axes=0)(lambda *, p: p.sum())(p=p))
    show("no out", pxf.vmap({"p": 0})(lambda *, p: p.set(p + 1) and None)(p=p))
    show("after", p)


@program(VMAP)
def vmap_nested(show):
    p = px.Param(jnp.arange(12.0).reshape(2, 3, 2))
    inner = pxf.vmap({"p": 0}, in_axes=(None,), out_axes=0)(lambda x, *, p: p.set(p * x).sum())
    outer = pxf.vmap({"p": 0}, in_axes=(0,), out_axes=0)(lambda x, *, p: inner(x, p=p))
    show("returned", outer(jnp.array([1.0, 10.0]), p=p))
    show("after", p)


@program(VMAP)
def vmap_exceptions(show):
    p = px.Param(X)
    f = pxf.vmap({"p": 0}, in_axes=(0,), out_axes=0)(lambda x, *, p: p + x)
    show.fails("sizes that differ", lambda: f(jnp.ones((4, 2)), p=p))
    show("after", p)
    show.fails("nothing to map", lambda: pxf.vmap({"p": None}, in_axes=(None,), out_axes=0)(lambda x, *, p: x)(X, p=p))
    g = pxf.vmap({"p": 0}, in_axes=(0,), out_axes=None)(lambda x, *, p: x)
    show.fails("mapped, but out_axes None", lambda: g(X, p=p))
