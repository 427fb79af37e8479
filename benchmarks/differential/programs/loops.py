"""Loops and branches: scan, while_loop, cond, switch, with tracked keywords."""

import jax
import jax.numpy as jnp
from record import program

import pcx as px
import pcx.functional as pxf
import pcx.nn as pxnn
import pcx.predictive_coding as pxc
import pcx.utils as pxu

SCAN, WHILE, COND, SWITCH = "pxf: scan", "pxf: while_loop", "pxf: cond", "pxf: switch"
X = jnp.arange(6.0).reshape(3, 2)


@program(SCAN)
def scan_over_arrays(show):
    p = px.Param(jnp.zeros(2))

    def f(x, *, p):
        p += x
        return (), p * 2

    show("returned", pxf.scan(f, xs=X)(p=p))
    show("after", p)


@program(SCAN)
def scan_carries(show):
    def f(x, a, b, *, p):
        p *= 1.5
        return (a + x.sum(), b * 2), {"a": a, "p": p.get()}

    p = px.Param(jnp.array(1.0))
    show("two carries", pxf.scan(f, xs=X)(0.0, jnp.ones(2), p=p))
    show("after", p)


@program(SCAN)
def scan_lengths(show):
    def f(x, n, *, p):
        p += n
        return (n + 1,), x

    p = px.Param(jnp.array(0.0))
    show("length", pxf.scan(f, length=4)(0.0, p=p))
    show("after", p)
    show("reversed", pxf.scan(f, xs=jnp.arange(3.0), reverse=True)(0.0, p=p))
    show("unrolled", pxf.scan(f, xs=jnp.arange(3.0), unroll=3)(0.0, p=p))
    show("p", p)


@program(SCAN)
def scan_over_trees(show):
    def f(x, total, *, p):
        p += x["a"]
        return (total + x["b"][0],), None

    p = px.Param(jnp.zeros(2))
    show("returned", pxf.scan(f, xs={"a": X, "b": (X + 1,)})(jnp.zeros(2), p=p))
    show("after", p)


@program(SCAN)
def scan_in_scan(show):
    p, q = px.Param(jnp.array(1.0)), px.Param(jnp.array(0.0))

    def inner(x, *, p, q):
        q += p * x
        return (), q.get()

    def outer(x, *, p, q):
        _, ys = pxf.scan(inner, xs=jnp.arange(3.0))(p=p, q=q)
        p *= 2.0
        return (), ys.sum()

    show("returned", pxf.scan(outer, length=3)(p=p, q=q))
    show("after", [p, q])
    show("under jit", pxf.jit()(lambda *, p, q: pxf.scan(outer, length=2)(p=p, q=q)[1])(p=p, q=q))
    show("after jit", [p, q])


@program(SCAN)
def scan_in_vmap_and_grad(show):
    h = pxc.VodeParam(X)

    def f(x, *, h):
        h *= 0.5
        return (), h.sum()

    @pxf.vmap({"h": 0}, in_axes=(0,), out_axes=0)
    def g(x, *, h):
        _, ys = pxf.scan(f, length=3)(h=h)
        return ys * x

    show("vmap", g(jnp.arange(3.0), h=h))
    show("after", h)
    mask = {"h": pxu.M(pxc.VodeParam).to((False, True))}
    k = pxf.value_and_grad(mask)(lambda *, h: pxf.scan(f, length=2)(h=h)[1].sum())
    value, grads = k(h=h)
    show("grad", [value, grads["h"]])
    show("after grad", h)


@program(SCAN)
def scan_with_optim(show):
    import optax

    p = px.Param(jnp.array([3.0, -2.0]))
    optim = pxu.Optim(lambda: optax.adam(0.1), p)

    def f(_, *, p, optim):
        v, g = pxf.value_and_grad({"p": pxu.M(px.Param).to((False, True))})(lambda *, p: (p**2).sum())(p=p)
        optim.step(p, g["p"])
        return (), v

    show("losses", pxf.scan(f, length=5)(p=p, optim=optim)[1])
    show("after", p)
    show("under jit", pxf.jit()(lambda *, p, optim: pxf.scan(f, length=5)(p=p, optim=optim)[1])(p=p, optim=optim))


@program(SCAN)
def scan_exceptions(show):
    p = px.Param(jnp.array(1.0))

    def grows(x, *, p):
        p.set(jnp.stack([p.get(), p.get()]))
        return (), None

    show.fails("a shape that changes", lambda: pxf.scan(grows, length=2)(p=p))
    show.fails("no length", lambda: pxf.scan(lambda x, *, p: ((), None))(p=p))
    show.fails("other carries", lambda: pxf.scan(lambda x, a: ((a, a), None), length=2)(1.0))
    show("after", p)


@program(WHILE)
def while_counts(show):
    p = px.Param(jnp.array(1.0))

    def body(i, *, p):
        p *= 2.0
        return i + 1

    show("returned", pxf.while_loop(body, lambda i, *, p: i < 3)(0, p=p))
    show("after", p)


@program(WHILE)
def while_by_keyword(show):
    p = px.Param(jnp.array(1.0))

    def body(i, total, *, p):
        p *= 3.0
        return i + 1, total + p

    show("returned", pxf.while_loop(body, lambda i, total, *, p: p.get() < 50.0)(0, 0.0, p=p))
    show("after", p)
    show("none at all", pxf.while_loop(body, lambda i, total, *, p: p.get() < 1.0)(0, 0.0, p=p))


@program(WHILE)
def while_newton(show):
    """The fixed point of a layer, found inside jit."""
    layer, z = pxnn.Linear(3, 3), px.Param(jnp.zeros(3))

    @pxf.jit()
    def solve(x, *, layer, z):
        def body(n, err, *, layer, z):
            new = jnp.tanh(0.3 * layer(z.get()) + x)
            err = jnp.abs(new - z.get()).max()
            z.set(new)
            return n + 1, err

        return pxf.while_loop(body, lambda n, err, *, layer, z: (err > 1e-9) & (n < 100))(0, jnp.inf, layer=layer, z=z)

    show("steps and error", solve(jnp.array([0.1, -0.4, 0.3]), layer=layer, z=z))
    show("fixed point", z)


@program(COND)
def cond_branches(show):
    p, q = px.Param(jnp.array(1.0)), px.Param(jnp.array(5.0))

    def up(x, *, p, q):
        p += x
        return p * 1.0

    def down(x, *, p, q):
        p -= x
        q *= 2.0
        return q * 1.0

    f = pxf.cond(up, down)
    show("true", f(True, 2.0, p=p, q=q))
    show("after true", [p, q])
    show("false", f(False, 3.0, p=p, q=q))
    show("after false", [p, q])
    show("of an array", f(jnp.array(1) > 0, 1.0, p=p, q=q))
    g = pxf.jit()(lambda c, x, *, p, q: f(c, x, p=p, q=q))
    show("under jit", [g(True, 1.0, p=p, q=q), g(False, 1.0, p=p, q=q)])
    show("at the end", [p, q])


@program(COND)
def cond_in_vmap(show):
    h = pxc.VodeParam(X)

    @pxf.vmap({"h": 0}, in_axes=(0,), out_axes=0)
    def f(x, *, h):
        def a(x, *, h):
            h += x
            return h.sum()

        return pxf.cond(a, lambda x, *, h: h.sum() * 0)(x > 1, x, h=h)

    show("returned", f(jnp.arange(3.0), h=h))
    show("after", h)


@program(SWITCH)
def switch_branches(show):
    p = px.Param(jnp.array(1.0))

    def times(k):
        def f(x, *, p):
            p *= k
            return p + x

        return f

    f = pxf.switch((times(2.0), times(3.0), times(5.0)))
    for i in (0, 1, 2):
        show(f"branch {i}", [f(i, 0.5, p=p), p.get()])
    show("beyond the last", f(7, 0.5, p=p))
    show("under jit", pxf.jit()(lambda i, *, p: f(i, 0.5, p=p))(1, p=p))
    show("after", p)


@program(SWITCH)
def switch_list(show):
    show.raises("a list of branches", lambda: pxf.switch([lambda x: x + 1, lambda x: x])(0, 1.0))


@program(COND)
def cond_makes_a_state(show):
    p = px.Param(jnp.array(1.0))
    f = lambda x, *, p: jnp.asarray(x)  # noqa: E731
    g = lambda x, *, p: p * 2.0  # noqa: E731
    show.fails("types that differ", lambda: pxf.cond(lambda x, *, p: (x, x), g)(True, 1.0, p=p))
    show("alike", pxf.cond(f, g)(False, jnp.array(1.0), p=p))


@program(SCAN)
def scan_of_vode_inference(show):
    vode = pxc.Vode()
    vode.h.set(X)
    optim = jnp.array(0.1)

    def f(_, *, vode):
        with pxu.step(vode, clear_params=pxc.VodeParam.Cache):
            (e, g) = pxf.value_and_grad(pxu.M(pxc.VodeParam).to((False, True)))(energy)(vode=vode)
        vode.h.set(vode.h - optim * g["vode"].h)
        return (), e

    @pxf.vmap(pxu.M(pxc.VodeParam | pxc.VodeParam.Cache).to((None, 0)), out_axes=None, axis_name="batch")
    def energy(*, vode):
        vode(jnp.ones(2))
        return jax.lax.psum(vode.energy(), "batch")

    show("energies", pxf.scan(f, length=4)(vode=vode)[1])
    show("h", vode.h)
