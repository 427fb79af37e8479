"""Params: values in boxes, their operators; dicts of them; statics."""

import operator

import jax
import jax.numpy as jnp
import jax.tree_util as jtu
import numpy as np
from record import program

import pcx as px
import pcx.functional as pxf
import pcx.nn as pxnn
import pcx.predictive_coding as pxc
from pcx.core._static import StaticParam

ROW = "px: Param"
A = jnp.array([1.5, -2.0, 3.25])
N = jnp.array([6, 3, 5])

BINARY = {
    "float": (A, "add sub mul truediv floordiv mod pow lt le gt ge eq ne"),
    "int": (N, "add sub mul floordiv mod and_ or_ xor lshift rshift"),
}


@program(ROW)
def param_get_and_set(show):
    p = px.Param(A)
    show("value", p.get())
    show("set returns the param", p.set(A + 1) is p)
    show("after", p)
    show("nothing", px.Param().get())
    show("other values", [px.Param(3).get(), px.Param("a").get(), px.Param((1, 2)).get()])


@program(ROW)
def param_binary_operators(show):
    for kind, (value, names) in BINARY.items():
        for name in names.split():
            op = getattr(operator, name)
            show(f"{kind} {name} param", op(px.Param(value), px.Param(value[::-1])))
            show(f"{kind} {name} array", op(px.Param(value), value[::-1]))
            show(f"{kind} {name} reflected", op(value[::-1], px.Param(value)))
            show(f"{kind} {name} number", op(px.Param(value), 2))
            show(f"{kind} {name} number reflected", op(2, px.Param(value)))
    show("matmul", px.Param(A) @ A)
    show("matmul reflected", A @ px.Param(A))
    show("divmod", divmod(px.Param(A), 2.0))
    show("divmod reflected", divmod(2.0, px.Param(A)))


@program(ROW)
def param_augmented_operators(show):
    for kind, (value, names) in BINARY.items():
        for name in names.split():
            in_place = getattr(operator, "i" + name.rstrip("_"), None)
            if in_place is None:
                continue
            p = px.Param(value)
            q = in_place(p, 2)
            show(f"{kind} {name}", [q is p, p])
    p = px.Param(A)
    p @= jnp.eye(3)
    show("matmul", p)


@program(ROW)
def param_unary_operators(show):
    show("neg", -px.Param(A))
    show("pos", +px.Param(A))
    show("abs", abs(px.Param(A)))
    show("invert", ~px.Param(N))
    show("round", round(px.Param(A)))
    show("round to digits", round(px.Param(A), 1))
    show.raises("float", lambda: float(px.Param(jnp.array(2.5))))
    show.raises("int", lambda: int(px.Param(jnp.array(2))))
    show.raises("complex", lambda: str(complex(px.Param(jnp.array(2.5)))))
    show.raises("len", lambda: len(px.Param(A)))
    show.raises("iter", lambda: list(px.Param(A)))
    show("index", px.Param(A)[1])
    show("slice", px.Param(A)[1:])
    show.raises("index of a list", lambda: [10, 20, 30][px.Param(jnp.array(1))])


@program(ROW)
def param_attributes_reach_through(show):
    p = px.Param(A)
    show("shape", list(p.shape))
    show("dtype", str(p.dtype))
    show("ndim", p.ndim)
    show("size", p.size)
    show("methods", [p.sum(), p.mean(), p.reshape(3, 1), p.astype(jnp.float32)])
    show("at", p.at[0].set(9.0))
    show("T", px.Param(jnp.eye(2)).T)
    show("numpy", np.asarray(p))
    show.raises("no such attribute", lambda: p.nonsense)
    show.raises("no such attribute of None", lambda: px.Param().shape)


@program(ROW)
def param_in_jax_functions(show):
    p = px.Param(A)
    show("jnp.sin", jnp.sin(p.get()))
    show.raises("jnp.sum of the param", lambda: jnp.sum(p))
    show.raises("jnp.exp of the param", lambda: jnp.exp(p))
    show.raises("jnp.dot of the param", lambda: jnp.dot(p, A))
    show.raises("jnp.asarray of the param", lambda: jnp.asarray(p))
    show.raises("jnp.where of the param", lambda: jnp.where(p > 0, p, 0.0))
    show.raises("nn.relu of the param", lambda: jax.nn.relu(p))
    show.raises("stack of params", lambda: jnp.stack([p, p]))


@program(ROW)
def param_truth(show):
    show.raises("bool of an array", lambda: bool(px.Param(A)))
    show.raises("bool of one number", lambda: bool(px.Param(jnp.array(1.0))))
    show.raises("bool of a bool", lambda: bool(px.Param(True)))
    show.raises("bool of None", lambda: bool(px.Param()))
    show.raises("not", lambda: not px.Param(True))


@program(ROW)
def param_user_attributes(show):
    p = px.Param(A)
    p.frozen = True
    p.tag = "x"
    show("attributes", [p.frozen, p.tag])
    show("hasattr", [hasattr(p, "frozen"), hasattr(p, "other")])
    leaves, treedef = jtu.tree_flatten(p)
    show("leaves", leaves)
    q = jtu.tree_unflatten(treedef, [A * 2])
    show("kept when unflattened", [q.frozen, q.tag, q])
    show("equal structures", jtu.tree_structure(p) == jtu.tree_structure(q))
    q.frozen = False
    show("unequal structures", jtu.tree_structure(p) == jtu.tree_structure(q))
    mapped = jtu.tree_map(lambda x: x + 1, p)
    show("tree_map", [mapped, mapped.frozen])


@program(ROW)
def param_as_a_tree(show):
    show("leaves", jtu.tree_leaves(px.Param(A)))
    show("leaves of None", jtu.tree_leaves(px.Param()))
    show("leaves of a dict", jtu.tree_leaves(px.Param({"a": A, "b": [N]})))
    show("paths", [jtu.keystr(k) for k, _ in jtu.tree_flatten_with_path({"p": px.Param(A)})[0]])
    show(
        "types are kept",
        [type(jtu.tree_map(lambda x: x, c(A))).__name__ for c in (px.Param, pxnn.LayerParam, pxc.VodeParam)],
    )
    show("subclasses", [issubclass(c, px.BaseParam) for c in (px.Param, px.ParamDict, px.ParamCache, StaticParam)])
    show("subclasses of Param", [issubclass(c, px.Param) for c in (pxnn.LayerParam, pxc.VodeParam, pxnn.LayerState)])
    show("cache classes", [issubclass(pxc.VodeParam.Cache, c) for c in (px.Param, px.ParamCache, px.ParamDict)])
    show("params of params", [issubclass(px.ParamCache, px.ParamDict), issubclass(px.ParamDict, px.Param)])


@program(ROW)
def param_subclasses_of_ones_own(show):
    class Scale(px.Param):
        pass

    class Cell(px.Param):
        def __init__(self, size):
            super().__init__(jnp.zeros(size))
            self.note = "cell"

        def grow(self):
            return self.set(self.get() + 1)

    class Box(px.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b = Scale(A), Cell(2)

    @pxf.jit()
    def f(*, box):
        box.b.grow()
        box.a *= 2
        return box.b.sum()

    box = Box()
    show("returned", f(box=box))
    show("after", box)
    show("static facts", box.b.note)


@program("px: get, set")
def functions_get_and_set(show):
    p = px.Param(A)
    show("get of a param", px.get(p))
    show("get of a value", px.get(A))
    show("get of None", px.get(None))
    show("set a param", [px.set(p, N) is p, p])
    show("set with a param", [px.set(p, px.Param(A)) is p, p])
    show.raises("set a value", lambda: px.set(A, N))
    show.raises("set None", lambda: px.set(None, N))
    show.raises("set gives a param", lambda: px.set(None, px.Param(N)))


@program("px: ParamDict")
def param_dict_items(show):
    d = px.ParamDict({"a": A})
    show("item", d["a"])
    d["b"] = N
    show("in", ["a" in d, "b" in d, "c" in d])
    show("get of a key", d.get("b"))
    show("get of no key", d.get("c"))
    show("get of no key with a default", d.get("c", 3))
    show("get of all", d.get())
    show.raises("missing key", lambda: d["c"])
    show("set", [d.set({"z": A}) is d, d.get()])
    show("leaves", jtu.tree_leaves(d))


@program("px: ParamDict")
def param_dict_cleared(show):
    d = px.ParamDict()
    show.raises("in", lambda: "a" in d)
    show.raises("get", lambda: [d.get("a"), d.get("a", 1)])
    show.raises("item", lambda: d["a"])
    d["a"] = A
    show("written", d.get())
    d.set(None)
    show.raises("cleared", lambda: ["a" in d, d.get("a", 2)])
    d["b"] = N
    show("written again", d.get())
    c = pxc.VodeParam.Cache()
    c["x"] = A
    show("cache", c)


@program("px: ParamDict")
def param_dict_in_transforms(show):
    d = px.ParamDict({"a": A})

    @pxf.jit()
    def f(x, *, d):
        d["b"] = d["a"] * x
        return "b" in d

    show("returned", f(2.0, d=d))
    show("after", d)
    c = pxc.VodeParam.Cache()

    @pxf.jit()
    def g(x, *, c):
        c["n"] = (c["n"] if c.get() is not None and "n" in c else jnp.zeros(())) + x

    g(1.0, c=c)
    g(1.5, c=c)
    show("counted", c)

    @pxf.jit()
    def forget(*, c):
        c.set(None)

    forget(c=c)
    show.raises("forgotten", lambda: ["n" in c, c.get("n")])


@program("px: static")
def static_values(show):
    s = px.static(5)
    show("types", [type(s).__name__, isinstance(s, StaticParam), isinstance(s, px.BaseParam)])
    show("get", s.get())
    show("leaves", jtu.tree_leaves(s))
    show("idempotent", [px.static(s) is s, px.static(s).get()])
    show("call", px.static(lambda x: x + 1)(2))
    show("index", px.static([4, 5])[1])
    show("iteration", list(px.static((4, 5))))
    show("len", len(px.static("abc")))
    show("equality", [px.static(5) == 5, px.static(5) == 6, px.static((1, 2)) == (1, 2)])
    show("attributes", px.static("abc").upper())
    show.raises("truth", lambda: [bool(px.static(False)), bool(px.static([])), bool(px.static(3))])
    show("set", [s.set(7) is s, s.get()])
    show("strings", [px.static("a").get(), px.static(None).get()])


@program("px: static")
def static_trees(show):
    s = px.static(A.tolist())
    leaves, treedef = jtu.tree_flatten({"s": s})
    show("no leaves", leaves)
    show("the same object", jtu.tree_unflatten(treedef, leaves)["s"] is s)
    show("mapped", jtu.tree_map(lambda x: x, {"s": s})["s"] is s)
    f = jax.nn.relu
    show("function", px.static(f).get() is f)
    one, two = ({"s": px.static(n)} for n in (1, 2))
    show("unequal structures", jtu.tree_structure(one) == jtu.tree_structure(two))


@program("px: static")
def static_in_programs(show):
    class Net(px.Module):
        def __init__(self, n, act):
            super().__init__()
            self.n, self.act = px.static(n), px.static(act)
            self.layers = [pxnn.Linear(self.n.get(), self.n.get()) for _ in range(self.n.get())]

        def __call__(self, x):
            for i in range(self.n.get()):
                x = self.act.get()(self.layers[i](x))
            return self.act(x)

    net = Net(3, jnp.tanh)
    show("outside", net(A))
    show("jit", pxf.jit()(lambda x, *, net: net(x))(A, net=net))
    show("vmap", pxf.vmap({"net": None}, in_axes=(0,), out_axes=0)(lambda x, *, net: net(x))(jnp.eye(3), net=net))
    net.n.set(2)
    show("other program", pxf.jit()(lambda x, *, net: net(x))(A, net=net))


@program("px: static")
def static_set_between_calls(show):
    box = {"x": px.Param(1.0), "up": px.static(True)}

    @pxf.jit()
    def f(*, box):
        box["x"] += 1.0 if box["up"].get() else -1.0

    f(box=box)
    show("up", box["x"].get())
    box["up"].set(False)
    f(box=box)
    f(box=box)
    show("down", box["x"].get())
