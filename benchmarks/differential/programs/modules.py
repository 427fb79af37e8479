"""Modules as trees, their modes, walking their params; references to params that stand in two places."""

import jax
import jax.numpy as jnp
import jax.tree_util as jtu
from record import program

import pcx as px
import pcx.functional as pxf
import pcx.nn as pxnn
import pcx.predictive_coding as pxc

ROW = "px: BaseModule, Module"
TREES = "px: tree_apply, tree_extract, tree_inject, tree_ref, tree_unref"


class Pair(px.Module):
    def __init__(self, a, b):
        super().__init__()
        self.a, self.b = a, b


class Bare(px.BaseModule):
    def __init__(self, *values):
        self.values = list(values)


def pair(a=1.0, b=2.0):
    return Pair(px.Param(jnp.array(a)), pxnn.LayerParam(jnp.array(b)))


@program(ROW)
def module_paths(show):
    nested = Pair(pair(), {"x": [px.Param(jnp.ones(2))], "y": (px.static(3), None)})
    show("leaves", jtu.tree_leaves(nested))
    show("params", nested)
    show("bare", Bare(px.Param(jnp.zeros(1)), px.Param(jnp.ones(1))))
    show("rebuilt", jtu.tree_unflatten(jtu.tree_structure(nested), jtu.tree_leaves(nested)))
    show("mapped", jtu.tree_map(lambda x: x * 2, nested))


@program(ROW)
def module_structures(show):
    def made(order):
        m = Bare()
        for name in order:
            setattr(m, name, px.Param(jnp.array(float(ord(name)))))
        return m

    show("order of leaves", jtu.tree_leaves(made("xyz")))
    show("same", jtu.tree_structure(made("xyz")) == jtu.tree_structure(made("xyz")))
    show("other attributes", jtu.tree_structure(made("xy")) == jtu.tree_structure(made("xyz")))
    show("other statics", jtu.tree_structure(Bare(px.static(1))) == jtu.tree_structure(Bare(px.static(2))))
    show("whatever the order", jtu.tree_structure(made("xyz")) == jtu.tree_structure(made("zyx")))


@program(ROW)
def module_submodules(show):
    inner = pair()
    m = Pair([inner, pxnn.Linear(2, 2)], {"k": pxc.Vode(), "p": px.Param(1.0)})
    show("children", [type(c).__name__ for c in m.submodules()])
    show("of a class", [type(c).__name__ for c in m.submodules(cls=pxnn.Layer)])
    show("none of a class", list(m.submodules(cls=pxnn.Conv)))
    show("only direct ones", [type(c).__name__ for c in Pair(Pair(inner, None), None).submodules()])


@program(ROW)
def module_modes(show):
    class Net(px.Module):
        def __init__(self):
            super().__init__()
            self.parts = [pair(), pxnn.Dropout(0.5)]

    def modes(m):
        return [m.is_train, m.is_eval, [c.is_train for c in m.submodules()], [c.is_eval for c in m.submodules()]]

    m = Net()
    show("at first", modes(m))
    m.train()
    show("train", modes(m))
    m.eval()
    show("eval", modes(m))
    show("one part", [m.parts[1].train(), modes(m)][1])
    x = jnp.ones(6)
    m.eval()
    show("dropout when evaluated", m.parts[1](x, key=px.RKG()))
    m.train()
    show("dropout when trained", m.parts[1](x, key=px.RKG()))
    m.mode(m.MODE.EVAL)
    show("by mode", modes(m))
    show("dropout by mode", m.parts[1](x, key=px.RKG()))
    m.mode(None)
    show("no mode", modes(m))


@program(ROW)
def module_mode_at_first(show):
    show.raises("no mode", lambda: pair().mode() == None)  # noqa: E711
    show("its names", [hasattr(px.Module.MODE, name) for name in ("NONE", "TRAIN", "EVAL")])


@program(ROW)
def module_mode_inside_transforms(show):
    net = Pair(pxnn.Dropout(0.5), pxnn.Linear(3, 3))

    @pxf.jit()
    def train(x, *, net):
        net.train()
        return net.a(net.b(x), key=px.RKG())

    @pxf.jit()
    def evaluate(x, *, net):
        return net.a(net.b(x), key=px.RKG())

    x = jnp.ones(3)
    show("train", train(x, net=net))
    show("kept by jit", [net.is_train, net.a.is_train])
    net.eval()
    show("evaluate", evaluate(x, net=net))
    net.train()
    show("train again", evaluate(x, net=net))


@program(ROW)
def module_attributes_change(show):
    m = pair()

    @pxf.jit()
    def f(*, m):
        return m.a + m.b

    show("first", f(m=m))
    m.a = px.Param(jnp.ones((2, 1)))
    show("other shape", f(m=m))
    m.c = px.Param(jnp.zeros(1))
    show("one more", [f(m=m), m])
    del m.c
    m.b = None
    show("None", m)


@program(ROW)
def module_params_made_inside(show):
    class Memory(px.Module):
        def __init__(self):
            super().__init__()
            self.seen = px.Param()

        def __call__(self, x):
            self.seen.set(x if self.seen.get() is None else self.seen + x)
            return self.seen.get()

    m = Memory()
    f = pxf.jit()(lambda x, *, m: m(x))
    show("calls", [f(jnp.ones(2), m=m), f(jnp.ones(2), m=m)])
    show("after", m)
    m.seen.set(None)
    show("again", f(jnp.ones(3), m=m))


@program(TREES)
def tree_apply_params(show):
    m = Pair(pair(), [pxc.VodeParam(jnp.ones(2)), px.static(3)])
    seen = []
    px.tree_apply(lambda p: seen.append(type(p).__name__), lambda x: isinstance(x, px.BaseParam), m)
    show("every param", sorted({name for name in seen if name != "StaticParam"}))
    px.tree_apply(lambda p: p.set(p.get() * 10), lambda x: isinstance(x, pxnn.LayerParam), m)
    show("changed in place", m)
    px.tree_apply(lambda v: v.h.set(jnp.zeros(1)), lambda x: isinstance(x, pxc.Vode), {"v": (v := pxc.Vode())})
    show("modules", v.h)


@program(TREES)
def tree_apply_places(show):
    p, q = px.Param(jnp.array(0.0)), px.Param(jnp.array(5.0))
    seen = []
    px.tree_apply(lambda x: seen.append(float(x.get())), lambda x: isinstance(x, px.Param), [p, q, p, {"p": p}])
    show("a visit for each place", seen)


def bush():
    return {
        "a": [px.Param(jnp.array(1.0)), px.static(3)],
        "k": pxc.VodeParam(jnp.ones(2)),
        "l": pxnn.LayerParam(jnp.zeros(1)),
    }


@program(TREES)
def tree_extract_params(show):
    m = bush()
    show("kinds", [type(p).__name__ for p in px.tree_extract(m, is_pytree=True)])
    show("values", px.tree_extract(m, extract_fn=lambda p: p.get(), is_pytree=True))
    weights = lambda p: isinstance(p, pxnn.LayerParam)  # noqa: E731
    show("filtered", px.tree_extract(m, filter_fn=weights, is_pytree=True))
    show("of two trees", px.tree_extract(m, bush(), extract_fn=lambda a, b: a + b, is_pytree=True))
    show("the same objects", px.tree_extract(m, is_pytree=True)[0] is m["a"][0])
    show.raises("objects", lambda: [type(p).__name__ for p in px.tree_extract(m)])


@program(TREES)
def tree_extract_shared(show):
    p = px.Param(jnp.array(1.0))
    tree = px.tree_ref([p, p, {"p": p}])
    show("once", px.tree_extract(tree, extract_fn=lambda p: p.get(), is_pytree=True))


@program(TREES)
def tree_inject_values(show):
    m = bush()
    show.raises("values", lambda: px.tree_inject(m, values=[jnp.full(1, float(i)) for i in range(3)], is_pytree=True))
    m = bush()
    px.tree_inject(m, values=[px.Param(jnp.full(1, float(i))) for i in range(3)], is_pytree=True)
    show("params as values", m)
    other = bush()
    px.tree_inject(other, params=[px.Param(jnp.full(1, 7.0 + i)) for i in range(3)], is_pytree=True)
    show("params", other)
    third = bush()
    px.tree_inject(third, params=m, is_pytree=True)
    show("of another tree", third)
    show.raises("objects", lambda: px.tree_inject(bush(), values=[1.0, 2.0, 3.0]))


@program(TREES)
def tree_inject_some(show):
    m = bush()
    weights = lambda p: isinstance(p, pxnn.LayerParam)  # noqa: E731
    px.tree_inject(m, values=[px.Param(jnp.array(9.0))], filter_fn=weights, is_pytree=True)
    show("filtered", m)
    show.raises("filtered params", lambda: px.tree_inject(m, params=[px.Param(8.0)], filter_fn=weights, is_pytree=True))
    m = bush()
    px.tree_inject(m, params=[pxnn.LayerParam(jnp.array(8.0))], filter_fn=weights, is_pytree=True)
    show("filtered params, of the same type", m)
    show.raises("too many", lambda: px.tree_inject(bush(), values=[px.Param(1.0)] * 9, is_pytree=True))
    show.raises("too few", lambda: px.tree_inject(bush(), values=[px.Param(1.0)], is_pytree=True))
    few = bush()
    show.raises(
        "too few, not strict", lambda: px.tree_inject(few, values=[px.Param(5.0)], is_pytree=True, strict=False)
    )
    show("too few, after", few)
    twice = bush()
    values = [px.Param(jnp.full(1, float(i))) for i in range(3)]
    inject = lambda p, v: p.set(v * 2)  # noqa: E731
    px.tree_inject(twice, values=values, inject_fn=inject, is_pytree=True)
    show("by a function", twice)
    px.tree_inject(twice, params=bush(), inject_fn=inject, is_pytree=True)
    show("by a function, of another tree", twice)


@program(TREES)
def tree_refs(show):
    p = px.Param(jnp.array(3.0))
    m = Pair(p, [p, px.Param(jnp.array(1.0))])
    r = px.tree_ref(m)
    show("leaves", jtu.tree_leaves(r))
    u = px.tree_unref(r)
    show("one object again", [u.a is u.b[0], u])
    show("same objects", [r.a is p, u.a is p])
    mapped = px.tree_unref(jtu.tree_map(lambda x: x + 1, r))
    show("mapped", [mapped.a is mapped.b[0], mapped])
    once = pair()
    show("no repeats", jtu.tree_leaves(px.tree_ref(once)))
    show("twice", jtu.tree_leaves(px.tree_ref(px.tree_ref(m))))


@program(TREES)
def shared_params_in_transforms(show):
    p = px.Param(jnp.array([1.0, 2.0]))
    m = Pair(p, [p])

    @pxf.jit()
    def f(*, m):
        m.a += 1.0
        return m.b[0] * 1.0

    show("seen at both places", f(m=m))
    show("after", m)
    show("still shared", m.a is m.b[0])

    @pxf.jit()
    def g(*, m, other):
        m.a *= 2.0
        return other.get() * 1.0

    show("by two keywords", g(m=m, other=p))


@program(TREES)
def target_net_by_tree_map(show):
    online, target = pxnn.Linear(3, 2), pxnn.Linear(3, 2)
    copied = jtu.tree_map(lambda x: x, online)
    show("copy", copied(jnp.ones(3)))
    mixed = jtu.tree_map(lambda a, b: 0.9 * a + 0.1 * b, online, target)
    show("polyak", mixed)
    online.nn.weight.set(online.nn.weight * 0)
    show("the copy stays", copied)
    jtu.tree_map(
        lambda a, b: a.set(0.5 * a.get() + 0.5 * b.get()),
        target,
        online,
        is_leaf=lambda x: isinstance(x, pxnn.LayerParam),
    )
    show("in place", target)


@program(TREES)
def target_net_under_jit(show):
    online, target = pxnn.Linear(3, 2), pxnn.Linear(3, 2)

    @pxf.jit()
    def update(tau, *, online, target):
        for name in ("weight", "bias"):
            a, b = getattr(target.nn, name), getattr(online.nn, name)
            a.set((1 - tau) * a + tau * b)

    for _ in range(3):
        update(0.25, online=online, target=target)
    show("target", target)
    show("online", online)
    leaves = jax.tree_util.tree_leaves(target)
    show("norm", sum(jnp.vdot(x, x) for x in leaves))
