"""Ways in which programs use transforms, masks and nodes: masks made beforehand, settings by keyword, keys by hand."""

import jax
import jax.numpy as jnp
import optax
from record import program

import pcx as px
import pcx.functional as pxf
import pcx.nn as pxnn
import pcx.predictive_coding as pxc
import pcx.utils as pxu

ROW = "ways of use"
STATE = pxc.VodeParam | pxc.VodeParam.Cache
X = jnp.arange(6.0).reshape(3, 2) * 0.3


class Net(pxc.EnergyModule):
    def __init__(self):
        super().__init__()
        self.layer = pxnn.Linear(2, 2)
        self.vode = pxc.Vode()
        self.other = pxc.Vode(pxc.zero_energy)

    def __call__(self, x):
        return self.other(jnp.tanh(self.vode(self.layer(x))))


def filled():
    net = Net()
    net.vode.h.set(X + 1)
    net.other.h.set(X - 1)
    return net


def energy(x, *, net):
    net(x)
    return jax.lax.psum(net.energy(), "batch")


@program(ROW)
def use_masks_made_beforehand(show):
    net = filled()
    mask = pxu.M(STATE).to((None, 0))(net)
    f = pxf.vmap({"net": mask}, in_axes=(0,), out_axes=None, axis_name="batch")(energy)
    show("vmap", f(X, net=net))
    net.clear_params(pxc.VodeParam.Cache)
    chosen = pxu.M(pxc.VodeParam).to((False, True))(net)
    value, grads = pxf.value_and_grad({"net": chosen})(f)(X, net=net)
    show("grad", [value, grads["net"].vode.h, grads["net"].layer.nn.weight])


@program(ROW)
def use_settings_by_keyword(show):
    p = px.Param(jnp.ones(2))

    @pxf.jit(static_argnames=("n", "act"))
    def f(x, *, p, n, act="add"):
        for _ in range(n):
            p *= 2.0
        return p + x if act == "add" else p - x

    show("static_argnames", [f(1.0, p=p, n=2), f(1.0, p=p, n=1, act="sub")])
    g = pxf.vmap(kwargs_mask={"p": None}, in_axes=(0,), out_axes=0, axis_name="b")(
        lambda x, *, p: x - jax.lax.pmean(x, "b") + p.sum()
    )
    show("vmap", g(X, p=p))
    h = pxf.value_and_grad(kwargs_mask={"p": True}, argnums=(0,), has_aux=True)(lambda x, *, p: ((p * x).sum(), x))
    show("grad", h(jnp.ones(2), p=p)[0])
    show("scan", pxf.scan(f=lambda x, c: ((c + x,), c), xs=jnp.arange(3.0), reverse=True)(0.0))


@program(ROW)
def use_gradients_of_arrays_beside_params(show):
    x = {"a": jnp.arange(2.0), "b": jnp.ones(2), "p": px.Param(jnp.array([2.0, 3.0]))}
    f = lambda *, x: (x["a"] * x["b"] * x["p"]).sum()  # noqa: E731
    show("all", pxf.value_and_grad({"x": True})(f)(x=x)[1]["x"])
    show("one", pxf.value_and_grad({"x": {"a": True, "b": False, "p": False}})(f)(x=x)[1]["x"])
    show("params", pxf.value_and_grad({"x": pxu.M(px.Param).to((False, True))})(f)(x=x)[1]["x"])
    show("an array", pxf.value_and_grad({"x": True})(lambda *, x: (x**2).sum())(x=jnp.arange(3.0))[1]["x"])


@program(ROW)
def use_in_axes(show):
    f = lambda x, y: x * y  # noqa: E731
    show("out axis 1", pxf.vmap({}, in_axes=(0, None), out_axes=1)(lambda x, y: x + y)(X, jnp.ones(2)))
    show.raises("a number", lambda: pxf.vmap({}, in_axes=0, out_axes=0)(f)(X, X))
    show.raises(
        "a dict",
        lambda: pxf.vmap({}, in_axes=({"a": 0, "b": None},), out_axes=0)(lambda d: d["a"] + d["b"])({"a": X, "b": 1.0}),
    )
    show.raises("negative", lambda: pxf.vmap({}, in_axes=(-1,), out_axes=-1)(lambda x: x * 2)(X))


@program(ROW)
def use_state_grads_in_vmap_then_weights(show):
    """The gradient of states inside the vmap, of weights outside."""
    net = filled()

    @pxf.vmap(pxu.M(STATE).to((None, 0)), in_axes=(0,), out_axes=0)
    def settle(x, *, net):
        def one(x, *, net):
            net(x)
            return net.energy()

        for _ in range(2):
            with pxu.step(net, clear_params=pxc.VodeParam.Cache):
                v, g = pxf.value_and_grad({"net": pxu.M(pxc.VodeParam).to((False, True))})(one)(x, net=net)
            net.vode.h.set(net.vode.h - 0.1 * g["net"].vode.h)
        return v

    show("energies", settle(X, net=net))
    show("states", net.vode.h)
    f = pxf.vmap(pxu.M(STATE).to((None, 0)), in_axes=(0,), out_axes=None, axis_name="batch")(energy)
    value, grads = pxf.value_and_grad({"net": pxu.M(pxnn.LayerParam).to((False, True))})(f)(X, net=net)
    show("weights", [value, grads["net"].layer.nn.weight])


@program(ROW)
def use_keys_by_hand(show):
    rkg = px.RandomKeyGenerator(4)
    tforms = {"noise": lambda n, k, u, rkg: u + jax.random.normal(rkg(), u.shape)}
    v = pxc.Vode(ruleset={"noise": ("h, u <- u:noise",)}, tforms=tforms)
    with pxu.step(v, "noise"):
        show("given to a call", v(X[0], rkg=rkg))
        show("given to a set", v.set("u", X[1], rkg=rkg).h)
        show("the global one", v(X[0]))
    own = lambda vode, rkg: jax.random.normal(rkg(), (2,)) * vode.get("h")  # noqa: E731
    w = pxc.Vode(own)
    w(X[0], h=X[1])
    show("given to an energy", w.energy(rkg=rkg))


@program(ROW)
def use_keys_of_layers(show):
    px.RKG.seed(5)
    a = [pxnn.Linear(2, 2) for _ in range(2)]
    px.RKG.seed(5)
    b = [pxnn.Linear(2, 2) for _ in range(2)]
    show("again", [x.nn.weight == y.nn.weight for x, y in zip(a, b, strict=True)])
    conv = pxnn.Conv2d(1, 1, 2, rkg=px.RandomKeyGenerator(1))
    show("of its own", conv.nn.weight)
    show("afterwards", px.RKG.key.get())


@program(ROW)
def use_one_model_in_two_roles(show):
    net = filled()
    mask = {("a", "b"): pxu.M(STATE).to((None, 0))}
    f = pxf.vmap(mask, in_axes=(0,), out_axes=None, axis_name="batch")(
        lambda x, *, a, b: energy(x, net=a) + energy(x, net=b)
    )
    show("energy", f(X, a=net, b=net))
    show("cache", sorted(net.vode.cache.get()))


@program(ROW)
def use_weights_replaced_by_hand(show):
    net = filled()
    net.layer.nn.weight.set(jnp.eye(2))
    net.layer.nn.bias.set(jnp.zeros(2))
    f = pxf.jit()(pxf.vmap(pxu.M(STATE).to((None, 0)), in_axes=(0,), out_axes=None, axis_name="batch")(energy))
    show("energy", f(X, net=net))
    px.RKG.seed(1)  # a vmap may move the global key
    net.layer = pxnn.Linear(2, 2, bias=False)
    net.clear_params(pxc.VodeParam.Cache)
    show("another layer", f(X, net=net))
    net.vode.h.set(jnp.ones((3, 2)))
    net.clear_params(pxc.VodeParam.Cache)
    show("other states", f(X, net=net))


@program(ROW)
def use_batches_of_other_sizes(show):
    net = Net()
    forward = pxf.jit()(pxf.vmap(pxu.M(STATE).to((None, 0)), in_axes=(0,), out_axes=0)(lambda x, *, net: net(x)))
    for n in (3, 2, 3, 1):
        net.clear_params(STATE)
        with pxu.step(net, (pxc.STATUS.INIT, None), clear_params=pxc.VodeParam.Cache):
            show(f"{n} samples, {len(show.shown)}", forward(X[:n], net=net))


@program(ROW)
def use_two_optimisers_in_one_step(show):
    net = filled()
    optim_h = pxu.Optim(lambda: optax.sgd(0.1), pxu.M(pxc.VodeParam)(net))
    optim_w = pxu.Optim(lambda: optax.adam(0.1), pxu.M(pxnn.LayerParam)(net))
    f = pxf.vmap(pxu.M(STATE).to((None, 0)), in_axes=(0,), out_axes=None, axis_name="batch")(energy)
    both = pxu.M(pxc.VodeParam | pxnn.LayerParam).to((False, True))

    @pxf.jit()
    def step(x, *, net, optim_h, optim_w):
        with pxu.step(net, clear_params=pxc.VodeParam.Cache):
            v, g = pxf.value_and_grad({"net": both})(f)(x, net=net)
        optim_h.step(net, g["net"])
        optim_w.step(net, g["net"], scale_by=1 / 3)
        return v

    show("energies", [step(X, net=net, optim_h=optim_h, optim_w=optim_w) for _ in range(4)])
    show("states", net.vode.h)
    show("weights", net.layer.nn.weight)


@program(ROW)
def use_rates_by_hand(show):
    p = px.Param(jnp.array([1.0, 2.0]))
    for rate in (0.1, 0.5):
        optim = pxu.Optim(lambda rate=rate: optax.sgd(rate, momentum=0.5), p)
        for _ in range(2):
            optim.step(p, px.Param(jnp.ones(2)))
        show(f"rate {rate}", p)
    labelled = pxu.Optim(
        lambda: optax.multi_transform({"a": optax.sgd(1.0), "b": optax.set_to_zero()}, {"x": "a", "y": "b"})
    )
    tree = {"x": px.Param(jnp.ones(2)), "y": px.Param(jnp.ones(2))}
    labelled.init(tree)
    labelled.step(tree, {"x": px.Param(jnp.ones(2)), "y": px.Param(jnp.ones(2))})
    show("labels", tree)
    masked = pxu.Optim(lambda: optax.adamw(0.1, weight_decay=0.5, mask={"x": True, "y": False}), tree)
    masked.step(tree, {"x": px.Param(jnp.ones(2)), "y": px.Param(jnp.ones(2))})
    show("masks", tree)


@program(ROW)
def use_counts_in_params(show):
    class Counter(px.Module):
        def __init__(self):
            super().__init__()
            self.n, self.best = px.Param(0), px.Param(float("inf"))

        def see(self, x):
            self.n += 1
            self.best.set(jnp.minimum(self.best.get(), x))

    c = Counter()
    f = pxf.jit()(lambda x, *, c: c.see(x))
    for x in (3.0, 1.0, 2.0):
        f(x, c=c)
    show("after", [c.n.get() * 1, c.best.get() * 1])
    pxf.scan(lambda x, *, c: (c.see(x), ((), None))[1], xs=jnp.array([0.5, 4.0]))(c=c)
    show("after a scan", [c.n.get() * 1, c.best.get() * 1])


@program(ROW)
def use_stop_gradient_and_where(show):
    net = filled()

    def f(x, *, net):
        u = net(x)
        h = jnp.where(net.vode.h.get() > 1.2, jax.lax.stop_gradient(net.vode.h.get()), net.vode.h.get())
        return jax.lax.psum(((h - u) ** 2).sum(), "batch")

    g = pxf.vmap(pxu.M(STATE).to((None, 0)), in_axes=(0,), out_axes=None, axis_name="batch")(f)
    value, grads = pxf.value_and_grad({"net": pxu.M(pxc.VodeParam | pxnn.LayerParam).to((False, True))})(g)(X, net=net)
    show("value", value)
    show("gradients", [grads["net"].vode.h, grads["net"].layer.nn.bias])


@program(ROW)
def use_submodels(show):
    class Outer(px.Module):
        def __init__(self):
            super().__init__()
            self.nets = [filled(), filled()]
            self.names = px.static(("first", "second"))

    outer = Outer()
    f = pxf.vmap(pxu.M(STATE).to((None, 0)), in_axes=(0,), out_axes=None, axis_name="batch")(energy)
    for name, net in zip(outer.names.get(), outer.nets, strict=True):
        show(name, f(X, net=net))
    with pxu.step(outer, "s"):
        show("statuses", [net.vode.status for net in outer.nets])
    optim = pxu.OptimTree(
        lambda: optax.sgd(0.1), lambda m: isinstance(m, pxc.EnergyModule), pxu.M(pxnn.LayerParam)(outer)
    )
    both = pxf.vmap({"outer": pxu.M(STATE).to((None, 0))}, in_axes=(0,), out_axes=None, axis_name="batch")(
        lambda x, *, outer: sum(energy(x, net=net) for net in outer.nets)
    )
    for net in outer.nets:
        net.clear_params(pxc.VodeParam.Cache)
    _, g = pxf.value_and_grad({"outer": pxu.M(pxnn.LayerParam).to((False, True))})(both)(X, outer=outer)
    optim.step(outer, g["outer"])
    show("weights", [net.layer.nn.weight for net in outer.nets])
