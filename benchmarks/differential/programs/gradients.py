"""Gradients: masks, aux, argnums, shared params, nesting."""

import jax.numpy as jnp
from record import program

import pcx as px
import pcx.functional as pxf
import pcx.nn as pxnn
import pcx.predictive_coding as pxc
import pcx.utils as pxu
from programs.transforms import GRAD, Net, X


@program(GRAD)
def grad_of_masks(show):
    net = Net()
    f = lambda x, *, net: (net.w @ x).sum() * net.s.sum()  # noqa: E731
    for name, mask in {
        "weights": pxu.M(pxnn.LayerParam).to((False, True)),
        "others": pxu.M(lambda p: isinstance(p, px.Param) and not isinstance(p, pxnn.LayerParam)).to((False, True)),
        "all": pxu.M(px.Param).to((False, True)),
        "none": pxu.M(pxc.VodeParam).to((False, True)),
    }.items():
        value, grads = pxf.value_and_grad({"net": mask})(f)(X[1], net=net)
        show(name, [value, grads["net"]])
    show("one mask for all", pxf.value_and_grad(pxu.M(pxnn.LayerParam).to([False, True]))(f)(X[1], net=net)[1]["net"])


@program(GRAD)
def grad_of_mask_edited_by_hand(show):
    net = Net()
    mask = pxu.M(None).to((False, False))(net, is_pytree=True)
    mask.s = True
    v, g = pxf.value_and_grad({"net": mask})(lambda *, net: (net.s**2).sum() * net.w.sum())(net=net)
    show("value", v)
    show("gradients", g["net"])


@program(GRAD)
def grad_with_aux(show):
    net = Net()
    mask = {"net": pxu.M(pxnn.LayerParam).to((False, True))}
    one = pxf.value_and_grad(mask, has_aux=True)(lambda x, *, net: ((net.w @ x).sum(), x * 2))
    show("one", one(X[1], net=net)[0])
    two = pxf.value_and_grad(mask, has_aux=True)(lambda x, *, net: ((net.w @ x).sum(), x * 2, {"y": x}))
    show("two", two(X[1], net=net)[0])
    (value, aux), g = two(X[1], net=net)
    show("gradient", [value, g["net"].w])
    show("kind", type(aux).__name__)
    none = pxf.value_and_grad(mask, has_aux=True)(lambda x, *, net: ((net.w @ x).sum(), None))
    show("None", none(X[1], net=net)[0])


@program(GRAD)
def grad_of_a_tuple_without_aux(show):
    f = pxf.value_and_grad({"p": True})(lambda *, p: ((p * 2.0).sum(), p * 1.0))
    show.raises("value", lambda: f(p=px.Param(jnp.ones(2)))[0])


@program(GRAD)
def grad_with_argnums(show):
    net = Net()
    mask = {"net": pxu.M(pxnn.LayerParam).to((False, True))}
    f = lambda x, y, *, net: (net.w @ x * y).sum()  # noqa: E731
    for argnums in ((0,), (1,), (0, 1)):
        v, g = pxf.value_and_grad(mask, argnums=argnums)(f)(X[1], X[2], net=net)
        show(f"argnums {argnums}", [v, g[0], g[1]["net"].w])
    show("positional alone", pxf.value_and_grad(argnums=(0,))(lambda x: (x**2).sum())(X)[1][0])
    show.raises("a number", lambda: pxf.value_and_grad(argnums=0)(lambda x: (x**2).sum())(X)[1][0])


@program(GRAD)
def grad_of_params_given_by_position(show):
    p = px.Param(jnp.array([1.0, 2.0]))
    v, g = pxf.value_and_grad(argnums=(0,))(lambda p: (p**2).sum())(p)
    show("value", v)
    show("gradient", g[0])
    show("after", p)


@program(GRAD)
def grad_changes_params(show):
    net = Net()

    def f(x, *, net):
        net.n += 1.0
        return (net.w @ x).sum()

    g = pxf.value_and_grad({"net": pxu.M(pxnn.LayerParam).to((False, True))})(f)
    g(X[1], net=net)
    g(X[1], net=net)
    show("counted", net.n)


@program(GRAD)
def grad_of_shared_params(show):
    p = px.Param(jnp.array([1.0, 2.0]))
    both = {"a": p, "b": [p], "c": px.Param(jnp.ones(2))}
    f = pxf.value_and_grad({"both": pxu.M(px.Param).to((False, True))})(
        lambda *, both: (both["a"] * both["b"][0] * both["c"]).sum()
    )
    v, g = f(both=both)
    show("value", v)
    show("gradients", g["both"])


@program(GRAD)
def grad_of_two_keywords(show):
    a, b = Net(), Net()
    mask = {"a": pxu.M(pxnn.LayerParam).to((False, True)), "b": pxu.M(None).to((False, False))}
    v, g = pxf.value_and_grad(mask)(lambda *, a, b: (a.w @ b.w).sum())(a=a, b=b)
    show("value", v)
    show("gradients", [g["a"], g["b"]])
    tuples = {("a", "b"): pxu.M(pxnn.LayerParam).to((False, True))}
    v, g = pxf.value_and_grad(tuples)(lambda *, a, b: (a.w @ b.w).sum())(a=a, b=b)
    show("tuple keys", [g["a"], g["b"]])


@program(GRAD)
def grad_of_grad(show):
    net = Net()
    mask = {"net": pxu.M(pxnn.LayerParam).to((False, True))}

    def inner(x, *, net):
        _v, g = pxf.value_and_grad(mask)(lambda x, *, net: ((net.w @ x) ** 3).sum())(x, net=net)
        return (g["net"].w ** 2).sum()

    show("second order", pxf.value_and_grad(mask)(inner)(X[1], net=net)[1]["net"].w)
    show(
        "under jit", pxf.jit()(lambda x, *, net: pxf.value_and_grad(mask)(inner)(x, net=net)[1]["net"].w)(X[1], net=net)
    )


@program(GRAD)
def grad_inside_vmap(show):
    net = {"w": pxnn.LayerParam(jnp.eye(2)), "h": pxc.VodeParam(X)}

    @pxf.vmap(pxu.M(pxc.VodeParam).to((None, 0)), in_axes=(0,), out_axes=0)
    def f(x, *, net):
        v, g = pxf.value_and_grad({"net": pxu.M(pxc.VodeParam).to((False, True))})(
            lambda x, *, net: ((net["h"] - net["w"] @ x) ** 2).sum()
        )(x, net=net)
        return v, g["net"]["h"].get()

    show("per sample", f(X + 1, net=net))


@program(GRAD)
def grad_exceptions(show):
    net = Net()
    mask = {"net": pxu.M(pxnn.LayerParam).to((False, True))}
    show.raises("no scalar", lambda: pxf.value_and_grad(mask)(lambda x, *, net: net.w @ x)(X[1], net=net))
    show("w after", net.w)
    integers = {"p": px.Param(jnp.array([1, 2]))}
    all_of = {"p": pxu.M(px.Param).to((False, True))}
    show.raises("integers", lambda: pxf.value_and_grad(all_of)(lambda *, p: p["p"].sum() * 1.0)(p=integers))
