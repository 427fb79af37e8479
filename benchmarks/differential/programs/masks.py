"""Masks: what they select, how they combine, trees that programs edit by hand."""

import jax.numpy as jnp
from record import program

import pcx as px
import pcx.functional as pxf
import pcx.nn as pxnn
import pcx.predictive_coding as pxc
import pcx.utils as pxu

ROW = "pxu: M, M_is, M_has, M_hasnot"


class Net(pxc.EnergyModule):
    def __init__(self):
        super().__init__()
        self.layers = [pxnn.Linear(2, 3), pxnn.Linear(3, 2, bias=False)]
        self.vodes = [pxc.Vode(), pxc.Vode(pxc.ce_energy)]
        self.vodes[-1].h.frozen = True
        self.layers[0].nn.bias.frozen = True
        self.layers[0].nn.bias.kind = "bias"
        self.scale = px.Param(jnp.array(2.0))
        self.state = {"n": px.Param(), "fixed": px.static(3)}
        for i, v in enumerate(self.vodes):
            v.h.set(jnp.full(2, float(i)))
            v.set("u", jnp.zeros(2))


PLACES = {
    "w0": lambda m: m.layers[0].nn.weight,
    "b0": lambda m: m.layers[0].nn.bias,
    "w1": lambda m: m.layers[1].nn.weight,
    "h0": lambda m: m.vodes[0].h,
    "h1": lambda m: m.vodes[1].h,
    "c0": lambda m: m.vodes[0].cache,
    "c1": lambda m: m.vodes[1].cache,
    "scale": lambda m: m.scale,
    "n": lambda m: m.state["n"],
}


def held(tree):
    """What a masked tree holds in each place: the kind of a param, or the value put there."""
    found = {name: place(tree) for name, place in PLACES.items()}
    return {name: type(x).__name__ if isinstance(x, px.BaseParam) else x for name, x in found.items()}


BY_TYPE = {
    "none": None,
    "layer": pxnn.LayerParam,
    "vode": pxc.VodeParam,
    "cache": pxc.VodeParam.Cache,
    "param": px.Param,
    "base": px.BaseParam,
    "union": pxc.VodeParam | pxnn.LayerParam,
    "union_of_three": pxc.VodeParam | pxc.VodeParam.Cache | pxnn.LayerParam,
    "predicate": lambda p: isinstance(p, px.Param) and p.get() is not None and p.ndim == 1,
    "mask": pxu.M(pxnn.LayerParam),
}


def one_mask(mask):
    def run(show):
        net = Net()
        show("kept", held(pxu.M(mask)(net)))
        show("the same objects", pxu.M(mask)(net).scale in (None, net.scale))
        show("mapped", held(pxu.M(mask).to((False, True))(net)))
        show("mapped to axes", held(pxu.M(mask).to([None, 0])(net)))
        show("as a pytree", held(pxu.M(mask).to((False, True))(net, is_pytree=True)))

    return run


for _name, _mask in BY_TYPE.items():
    program(ROW, f"mask_by_{_name}")(one_mask(_mask))

HAS = {
    "has": lambda: pxu.M(px.Param).has(frozen=True),
    "hasnot": lambda: pxu.M(px.Param).hasnot(frozen=True),
    "has_false": lambda: pxu.M(px.Param).has(frozen=False),
    "has_two": lambda: pxu.M(px.Param).has(frozen=True, kind="bias"),
    "hasnot_two": lambda: pxu.M(px.Param).hasnot(frozen=True, kind="bias"),
    "has_function": lambda: pxu.M_has(pxc.VodeParam, frozen=True),
    "hasnot_function": lambda: pxu.M_hasnot(pxc.VodeParam, frozen=True),
    "hasnot_function_two": lambda: pxu.M_hasnot(pxnn.LayerParam, frozen=True, kind="weight"),
    "has_union": lambda: pxu.M_has(pxc.VodeParam | pxnn.LayerParam, frozen=True),
    "is": lambda: pxu.M_is(px.Param, pxnn.LayerParam),
    "is_three": lambda: pxu.M_is(px.Param, pxnn.LayerParam, pxu.M(px.Param).hasnot(frozen=True)),
    "is_predicate": lambda: pxu.M_is(pxnn.LayerParam, lambda p: p.ndim == 2),
    "and": lambda: pxu.M(px.Param) & pxu.M(pxc.VodeParam),
    "or": lambda: pxu.M(pxnn.LayerParam) | pxu.M(pxc.VodeParam),
    "or_has": lambda: pxu.M(pxnn.LayerParam).has(frozen=True) | pxu.M(pxc.VodeParam).hasnot(frozen=True),
    "and_type": lambda: pxu.M(px.Param) & pxc.VodeParam,
    "not": lambda: ~pxu.M(pxnn.LayerParam),
    "and_not": lambda: pxu.M(px.Param) & ~pxu.M(pxc.VodeParam),
}


def one_combination(make):
    def run(show):
        net = Net()
        show.raises("kept", lambda: held(make()(net)))
        show.raises("mapped", lambda: held(make().to((False, True))(net)))

    return run


for _name, _make in HAS.items():
    program(ROW, f"mask_{_name}")(one_combination(_make))


@program(ROW)
def mask_edited_by_hand(show):
    net = Net()
    mask = pxu.M(None).to([False, False])(net, is_pytree=True)
    show("nothing", held(mask))
    mask.vodes[0].h = True
    mask.layers[1] = pxu.M(pxnn.LayerParam).to([False, True])(net.layers[1], is_pytree=True)
    show("edited", held(mask))

    def f(*, net):
        net.vodes[0].set("u", net.layers[1](jnp.ones(3)) * net.scale)
        return net.vodes[0].energy().sum() + (net.layers[0].nn.bias ** 2).sum()

    value, grads = pxf.value_and_grad({"net": mask})(f)(net=net)
    show("value", value)
    show("gradients", [grads["net"].vodes[0].h, grads["net"].layers[1].nn.weight])
    show("others", [grads["net"].vodes[1].h, grads["net"].layers[0].nn.bias, grads["net"].scale])


@program(ROW)
def mask_replaced_by_hand(show):
    net = Net()
    mask = pxu.M_hasnot(pxc.VodeParam, frozen=True).to([False, True])(net, is_pytree=True)
    for j in range(len(net.vodes)):
        mask.vodes[j].h = j == 1
    mask.scale = True
    show("edited", held(mask))


@program(ROW)
def mask_to_makes_a_new_one(show):
    net = Net()
    mask = pxu.M(pxc.VodeParam)
    mask.to((False, True))
    show("the first one", held(mask(net)))


@program(ROW)
def mask_of_other_values(show):
    net = Net()
    show("strings", held(pxu.M(pxc.VodeParam).to(("a", "b"))(net)))
    show("tuples", held(pxu.M(pxc.VodeParam).to(((1, 2), (3, 4)))(net)))
    show("None", held(pxu.M(pxc.VodeParam).to((None, None))(net)))
    show("again", held(pxu.M(pxc.VodeParam).to((False, True)).to((0, 1))(net)))


@program(ROW)
def mask_of_shared_params(show):
    p = pxnn.LayerParam(jnp.ones(2))
    tree = {"a": p, "b": [p], "c": px.Param(1.0)}
    kept = pxu.M(pxnn.LayerParam)(tree)
    show("kept", [kept["a"] is p, kept["b"], kept["c"]])
    show("mapped", pxu.M(pxnn.LayerParam).to((False, True))(tree))


@program(ROW)
def mask_of_one_param(show):
    p = pxnn.LayerParam(jnp.ones(2))
    show("kept", pxu.M(pxnn.LayerParam)(p) is p)
    show("not kept", pxu.M(pxc.VodeParam)(p))
    show("mapped", [pxu.M(pxc.VodeParam).to((1, 2))(p), pxu.M(pxnn.LayerParam).to((1, 2))(p)])
    show("a list", pxu.M(pxnn.LayerParam)([p, px.Param(1.0), 3, None]))


@program(ROW)
def mask_predicates_see_values(show):
    net = Net()
    by_rank = pxu.M(lambda p: isinstance(p, pxnn.LayerParam) and p.get() is not None and p.ndim == 2)
    f = lambda *, net: sum((layer(jnp.ones(n)) ** 2).sum() for layer, n in zip(net.layers, (2, 3), strict=True))  # noqa: E731
    for name, call in {"plainly": lambda g: g, "under jit": lambda g: pxf.jit()(g)}.items():
        value, grads = call(lambda *, net: pxf.value_and_grad({"net": by_rank.to((False, True))})(f)(net=net))(net=net)
        show(name, [value, grads["net"].layers[0].nn.weight, grads["net"].layers[0].nn.bias])
    tree = {"a": px.Param(jnp.arange(6.0).reshape(3, 2)), "b": px.Param(jnp.ones(2))}
    by_size = pxu.M(lambda p: isinstance(p, px.Param) and p.shape[0] == 3).to((None, 0))
    show("in vmap", pxf.vmap({"t": by_size}, out_axes=0)(lambda *, t: t["a"] * t["b"])(t=tree))
