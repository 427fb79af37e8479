"""Random keys: the global generator and others, inside and outside transforms."""

import jax
import jax.numpy as jnp
from record import program

import pcx as px
import pcx.functional as pxf
import pcx.nn as pxnn
import pcx.utils as pxu

ROW = "px: RandomKeyGenerator, RKG"


@program(ROW)
def key_shapes(show):
    show("one", [px.RKG(), px.RKG().shape == (2,)])
    show("one of many", px.RKG(1))
    show("three", px.RKG(3))
    show("next", px.RKG())
    show("two and five", [list(px.RKG(2).shape), list(px.RKG(5).shape)])
    show("key", px.RKG.key.get())


@program(ROW)
def key_seeds(show):
    for seed in (0, 1, 42, 2**31):
        px.RKG.seed(seed)
        show(f"seed {seed}", [px.RKG.key.get(), px.RKG(), px.RKG(2), px.RKG.key.get()])
    px.RKG.seed(3)
    a = px.RKG()
    px.RKG.seed(3)
    show("again", a == px.RKG())


@program(ROW)
def key_own_generator(show):
    rkg = px.RandomKeyGenerator(7)
    show("keys", [rkg(), rkg(2), rkg()])
    show("layer", pxnn.Linear(3, 2, rkg=rkg))
    show("the global one", px.RKG())
    show("seeded again", [rkg.seed(7), rkg()][1])
    show("default seed", px.RandomKeyGenerator(0)())


@program(ROW)
def key_param(show):
    k = px.RKG.key.get()
    show("split", px.RKG.key.split(3))
    show("after split", px.RKG.key.get())
    px.RKG.key.set(k)
    show("set", [px.RKG.key.get(), px.RKG()])


@program(ROW)
def key_in_jit(show):
    f = pxf.jit()(lambda n: jax.random.normal(px.RKG(), (2,)) + n)
    show("calls", [f(0.0), f(0.0), f(1.0)])
    show("after", px.RKG.key.get())


@program(ROW)
def key_in_vmap(show):
    f = pxf.vmap({}, in_axes=(0,), out_axes=0)(lambda x: jax.random.normal(px.RKG(), (2,)) + x)
    drawn = f(jnp.zeros(4))
    show("lanes", drawn)
    show("after", px.RKG.key.get())
    show("next", f(jnp.zeros(4)))
    show("other size", f(jnp.zeros(3)))


@program(ROW)
def key_in_vmap_two_draws(show):
    def f(x):
        return x + jax.random.normal(px.RKG(), ()), jax.random.uniform(px.RKG(2)[1], (2,))

    show("lanes", pxf.vmap({}, in_axes=(0,), out_axes=(0, 0))(f)(jnp.zeros(3)))
    show("after", px.RKG())


@program(ROW)
def key_in_nested_vmap(show):
    inner = pxf.vmap({}, in_axes=(0,), out_axes=0)(lambda x: x + jax.random.normal(px.RKG(), ()))
    outer = pxf.vmap({}, in_axes=(0,), out_axes=0)(lambda x: inner(x))
    show("lanes", outer(jnp.zeros((2, 3))))
    show("after", px.RKG.key.get())


@program(ROW)
def key_in_jitted_vmap(show):
    f = pxf.jit()(pxf.vmap({}, in_axes=(0,), out_axes=0)(lambda x: x + jax.random.normal(px.RKG(), ())))
    show("calls", [f(jnp.zeros(3)), f(jnp.zeros(3))])
    show("after", px.RKG.key.get())


@program(ROW)
def key_in_vmap_without_draws(show):
    pxf.vmap({}, in_axes=(0,), out_axes=0)(lambda x: x + 1)(jnp.zeros(3))
    show("after", px.RKG.key.get())
    pxf.jit()(lambda x: x + 1)(jnp.zeros(3))
    show("after jit", px.RKG.key.get())


@program(ROW)
def key_in_scan(show):
    def f(x, total):
        n = jax.random.normal(px.RKG(), ())
        return (total + n,), n

    show("scan", pxf.scan(f, length=3)(0.0))
    show("after", px.RKG.key.get())
    show("inside jit", pxf.jit()(lambda: pxf.scan(f, length=3)(0.0))())
    show("after jit", px.RKG.key.get())


@program(ROW)
def key_in_while_and_cond(show):
    def body(i, total):
        return i + 1, total + jax.random.normal(px.RKG(), ())

    show("while", pxf.while_loop(body, lambda i, total: i < 3)(0, 0.0))
    show("after while", px.RKG.key.get())
    draw, rest = lambda: jax.random.normal(px.RKG(), ()), lambda: jnp.zeros(())
    show("cond", [pxf.cond(draw, rest)(True), pxf.cond(draw, rest)(False)])
    show("after cond", px.RKG.key.get())
    show("switch", pxf.switch((draw, rest, lambda: draw() + draw()))(2))
    show("after switch", px.RKG.key.get())


@program(ROW)
def key_in_value_and_grad(show):
    p = px.Param(jnp.array(2.0))
    f = pxf.value_and_grad({"p": True})(lambda *, p: p * jax.random.normal(px.RKG(), ()))
    show("value", f(p=p)[0])
    show("after", px.RKG.key.get())


@program(ROW)
def key_seeded_inside(show):
    @pxf.jit()
    @pxf.vmap({}, in_axes=(0,), out_axes=0)
    def f(a):
        a = a + jax.random.uniform(px.RKG(), a.shape)
        px.RKG.seed(0)
        return a

    px.RKG.seed(5)
    f(jnp.ones((4, 1)))
    show("after a vmap", px.RKG.key.get())

    @pxf.jit()
    def g(x):
        px.RKG.seed(9)
        return x

    g(1.0)
    show("after a jit", px.RKG.key.get())


@program(ROW)
def key_after_an_exception(show):
    def f(x):
        jax.random.normal(px.RKG(), ())
        raise RuntimeError("stop")

    show.raises("vmap", lambda: pxf.vmap({}, in_axes=(0,), out_axes=0)(f)(jnp.zeros(3)))
    show("shape after vmap", list(px.RKG.key.get().shape))
    show.raises("jit", lambda: pxf.jit()(f)(1.0))
    show("a concrete key", list(jnp.asarray(px.RKG.key.get()).shape))


@program(ROW)
def key_as_a_keyword(show):
    rkg = px.RandomKeyGenerator(3)

    @pxf.jit()
    def f(*, rkg):
        return jax.random.normal(rkg(), (2,))

    show("calls", [f(rkg=rkg), f(rkg=rkg)])
    show("after", rkg.key.get())


def noise(*shape):
    return jax.random.normal(px.RKG(), shape)


@program(ROW)
def key_in_trained_dropout(show):
    drop, layer = pxnn.Dropout(0.5), pxnn.Linear(2, 2)
    drop.train()

    @pxf.jit()
    def step(x, *, drop, layer):
        @pxf.vmap({("drop", "layer"): None}, in_axes=(0,), out_axes=None, axis_name="batch")
        def loss(x, *, drop, layer):
            return jax.lax.pmean((layer(drop(x, key=px.RKG())) ** 2).sum(), "batch")

        mask = {"layer": pxu.M(pxnn.LayerParam).to((False, True)), "drop": pxu.M(None).to((False, False))}
        v, g = pxf.value_and_grad(mask)(loss)(x, drop=drop, layer=layer)
        layer.nn.weight.set(layer.nn.weight - 0.1 * g["layer"].nn.weight)
        return v

    show("losses", [step(jnp.arange(6.0).reshape(3, 2), drop=drop, layer=layer) for _ in range(3)])
    show("after", px.RKG.key.get())


@program(ROW)
def key_in_vmaps_and_loops(show):
    x = jnp.arange(6.0).reshape(3, 2)
    mapped = pxf.vmap({}, in_axes=(0,), out_axes=0)
    show("vmap in scan", pxf.scan(lambda x, c: ((c + mapped(lambda y: y * noise())(x).sum(),), None), xs=x)(0.0))
    show("after vmap in scan", px.RKG.key.get())
    show("scan in vmap", mapped(lambda y: pxf.scan(lambda _, c: ((c + noise(),), c), length=2)(y.sum())[1])(x))
    show("after scan in vmap", px.RKG.key.get())
    choice = pxf.cond(lambda y: y * noise(), lambda y: y * 0.0)
    show("cond in vmap", mapped(lambda y: choice(y.sum() > 2, y.sum()))(x))
    show("after cond in vmap", px.RKG.key.get())
    show("draws at both depths", mapped(lambda y: mapped(lambda z: z * noise())(y) + noise())(x))
    show("after both depths", px.RKG.key.get())


@program(ROW)
def key_for_layers_made_inside(show):
    x = jnp.arange(6.0).reshape(3, 2)
    show("jit", pxf.jit()(lambda: pxnn.Linear(2, 2))())
    show("vmap", pxf.vmap({}, in_axes=(0,), out_axes=0)(lambda x: pxnn.Linear(2, 2)(x))(x))
    show("after", px.RKG.key.get())
