"""Optimisers: a step, gradients that are missing, one per node."""

import jax
import jax.numpy as jnp
import optax
from record import program

import pcx as px
import pcx.functional as pxf
import pcx.nn as pxnn
import pcx.predictive_coding as pxc
import pcx.utils as pxu

ONE, TREE = "pxu: Optim", "pxu: OptimTree"

FACTORIES = {
    "sgd": lambda: optax.sgd(0.1),
    "momentum": lambda: optax.sgd(0.1, momentum=0.9, nesterov=True),
    "adam": lambda: optax.adam(0.05),
    "adamw": lambda: optax.adamw(0.05, weight_decay=0.1),
    "rmsprop": lambda: optax.rmsprop(0.01),
    "clipped": lambda: optax.chain(optax.clip_by_global_norm(0.5), optax.sgd(0.5)),
    "scheduled": lambda: optax.sgd(optax.linear_schedule(1.0, 0.1, 3)),
    "decayed": lambda: optax.chain(optax.add_decayed_weights(0.1), optax.sgd(0.1)),
}


class Net(px.Module):
    def __init__(self):
        super().__init__()
        self.layers = [pxnn.Linear(2, 2), pxnn.Linear(2, 1)]
        self.scale = pxnn.LayerParam(jnp.array([2.0]))

    def __call__(self, x):
        return self.layers[1](jnp.tanh(self.layers[0](x))) * self.scale


def loss(*, net):
    return ((net(jnp.array([1.0, -0.5])) - 1.0) ** 2).sum()


def grads_of(net, select=pxnn.LayerParam):
    return pxf.value_and_grad({"net": pxu.M(select).to((False, True))})(loss)(net=net)[1]["net"]


def weights(net):
    return [net.layers[0].nn.weight.get(), net.layers[0].nn.bias.get(), net.layers[1].nn.weight.get(), net.scale.get()]


def one_factory(make, kind):
    def run(show):
        net = Net()
        params = pxu.M(pxnn.LayerParam)(net)
        tree = lambda: pxu.OptimTree(make, lambda x: isinstance(x, pxnn.Layer), params)  # noqa: E731
        optim = pxu.Optim(make, params) if kind == "one" else tree()
        for i in range(3):
            optim.step(net, grads_of(net))
            show(f"step {i}", weights(net))

        @pxf.jit()
        def train(*, net, optim):
            v, g = pxf.value_and_grad({"net": pxu.M(pxnn.LayerParam).to((False, True))})(loss)(net=net)
            optim.step(net, g["net"], scale_by=0.5)
            return v

        show("under jit", [train(net=net, optim=optim) for _ in range(3)])
        show("after jit", weights(net))

    return run


for _name, _make in FACTORIES.items():
    program(ONE, f"optim_{_name}")(one_factory(_make, "one"))
    program(TREE, f"optim_tree_{_name}")(one_factory(_make, "tree"))


@program(ONE)
def optim_arguments_of_step(show):
    net = Net()
    optim = pxu.Optim(lambda: optax.sgd(0.1), pxu.M(pxnn.LayerParam)(net))
    g = grads_of(net)
    updates = optim.step(net, g, apply_updates=False)
    show("updates", [updates.scale, updates.layers[1].nn.bias])
    show("nothing moves", weights(net))
    show.fails("to the whole module", lambda: optim.apply_updates(net, updates))
    px.RKG.seed(0)
    net = Net()
    optim.apply_updates(pxu.M(pxnn.LayerParam)(net), updates)
    show("applied", weights(net))
    updates = optim.step(net, g, scale_by=0.25)
    show("scaled", [updates.scale, weights(net)])
    show("gradients stay", [g.scale, g.layers[0].nn.bias])
    optim.step(net, grads_of(net), 2.0)
    show("scaled by position", weights(net))


@program(ONE)
def optim_with_fewer_params(show):
    net = Net()
    optim = pxu.Optim(lambda: optax.adam(0.1), pxu.M(pxnn.LayerParam)(net.layers[0]))
    optim.step(net.layers[0], grads_of(net).layers[0])
    show("a part of a module", weights(net))
    matrices = lambda p: isinstance(p, pxnn.LayerParam) and p.get() is not None and p.ndim == 2  # noqa: E731
    optim = pxu.Optim(lambda: optax.adam(0.1), pxu.M(matrices)(net))
    updates = optim.step(net, grads_of(net))
    show("matrices alone", weights(net))
    show("updates", [updates.layers[0].nn.weight is None, updates.layers[0].nn.bias is None, updates.scale is None])


@program(ONE)
def optim_missing_gradients(show):
    net = Net()
    optim = pxu.Optim(lambda: optax.adam(0.1), pxu.M(pxnn.LayerParam)(net))
    g = grads_of(net)
    g.scale = None
    show.raises("refused", lambda: optim.step(net, g))
    show("nothing moves", weights(net))
    show.fails("allowed", lambda: optim.step(net, g, allow_none=True))
    show("the one without", net.scale)
    show("those with one", weights(net))


@program(ONE)
def optim_inits_and_clears(show):
    net = Net()
    optim = pxu.Optim(lambda: optax.sgd(0.1, momentum=0.9))
    show.fails("before init", lambda: optim.step(net, grads_of(net)))
    optim.init(pxu.M(pxnn.LayerParam)(net))
    optim.step(net, grads_of(net))
    optim.step(net, grads_of(net))
    optim.init(pxu.M(pxnn.LayerParam)(net))
    optim.step(net, grads_of(net))
    show("anew", weights(net))
    optim.clear()
    show.fails("after clear", lambda: optim.step(net, grads_of(net)))


@program(ONE)
def optim_params_without_a_value(show):
    h = pxc.VodeParam()
    for name, make in {"sgd": lambda: optax.sgd(0.1), "adam": lambda: optax.adam(0.1)}.items():
        h.set(None)
        optim = pxu.Optim(make, {"h": h, "w": pxnn.LayerParam(jnp.ones(2))})
        tree = {"h": h, "w": pxnn.LayerParam(jnp.ones(2))}
        h.set(jnp.ones(2))
        g = {"h": pxc.VodeParam(jnp.ones(2)), "w": pxnn.LayerParam(jnp.ones(2))}
        show.fails(name, lambda optim=optim, tree=tree, g=g: optim.step(tree, g))
        show(f"{name}, h", h)


@program(ONE)
def optim_factory_is_kept(show):
    optim = pxu.Optim(lambda: optax.sgd(0.5, momentum=0.9))
    opt = optim.optax_opt_fn()
    z = jnp.ones(3)
    updates, _ = opt.update(z, opt.init(z))
    show("made by hand", optax.apply_updates(z, updates))
    show("a function", callable(optim.optax_opt_fn.get()))


@program(ONE)
def optim_factory_with_noise(show):
    p = pxc.VodeParam(jnp.zeros(3))
    optim = pxu.Optim(lambda: optax.chain(optax.add_noise(1.0, 0.0, px.RKG()[0]), optax.scale(-1.0)))

    @pxf.jit()
    def settle(*, p, optim):
        optim.init(p)
        p.set(jnp.zeros(3))
        for _ in range(2):
            optim.step(p, pxc.VodeParam(jnp.zeros(3)))
        optim.clear()

    for i in range(3):
        settle(p=p, optim=optim)
        show(f"batch {i}", p)


@program(ONE)
def optim_factory_calls(show):
    calls = []

    def make():
        calls.append(1)
        return optax.sgd(0.1)

    optim = pxu.Optim(make)
    show("made", len(calls))
    net = Net()
    optim.init(pxu.M(pxnn.LayerParam)(net))
    optim.init(pxu.M(pxnn.LayerParam)(net))
    show("initialised twice", len(calls))
    optim.step(net, grads_of(net))
    optim.step(net, grads_of(net))
    show("two steps", len(calls))


@program(ONE)
def optim_shared_params(show):
    p = pxnn.LayerParam(jnp.array([1.0, 2.0]))
    net = {"a": p, "b": p}
    optim = pxu.Optim(lambda: optax.sgd(0.1), pxu.M(pxnn.LayerParam)(net))
    _v, g = pxf.value_and_grad({"net": pxu.M(pxnn.LayerParam).to((False, True))})(
        lambda *, net: (net["a"] * net["b"]).sum()
    )(net=net)
    optim.step(net, g["net"])
    show("one step", p)


@program(ONE)
def optim_of_other_trees(show):
    p, q = px.Param(jnp.ones(2)), px.Param(jnp.full(2, 3.0))
    optim = pxu.Optim(lambda: optax.adam(0.1), [p, {"q": q}])
    optim.step([p, {"q": q}], [px.Param(jnp.ones(2)), {"q": px.Param(-jnp.ones(2))}])
    show("lists", [p, q])
    one = pxu.Optim(lambda: optax.sgd(0.1), p)
    one.step(p, px.Param(jnp.ones(2)))
    show("one param", p)


@program(TREE)
def optim_tree_skips_nodes(show):
    net = Net()
    optim = pxu.OptimTree(
        lambda: optax.adam(0.1), lambda x: isinstance(x, pxnn.Layer), pxu.M(pxnn.LayerParam)(net.layers)
    )
    g = grads_of(net).layers
    last = [pxu.M(None).to((None, None))(g[0]), g[1]]
    optim.step(net.layers, g)
    show("both", weights(net))
    optim.step(net.layers, last)
    show("the last", weights(net))
    optim.step(net.layers, g)
    show("both again", weights(net))


@program(TREE)
def optim_tree_of_vodes(show):
    vodes = [pxc.Vode() for _ in range(3)]
    for i, v in enumerate(vodes):
        v.h.set(jnp.full(2, float(i)))
    optim = pxu.OptimTree(lambda: optax.sgd(0.5, momentum=0.5), lambda x: isinstance(x, pxc.Vode))
    optim.init(pxu.M(pxc.VodeParam)(vodes))
    f = lambda *, vodes: sum((v.h**2).sum() for v in vodes)  # noqa: E731
    for i in range(2):
        _, g = pxf.value_and_grad({"vodes": pxu.M(pxc.VodeParam).to((False, True))})(f)(vodes=vodes)
        optim.step(vodes, g["vodes"], scale_by=0.5)
        show(f"step {i}", [v.h for v in vodes])


@program(TREE)
def optim_tree_params_outside_of_nodes(show):
    for name, leaf in {"layers": lambda x: isinstance(x, pxnn.Layer), "no node": lambda x: False}.items():
        px.RKG.seed(0)
        net = Net()
        optim = pxu.OptimTree(lambda: optax.adam(0.1), leaf, pxu.M(pxnn.LayerParam)(net))
        optim.step(net, grads_of(net))
        show(name, weights(net))
    for name, leaf in {
        "params": lambda x: isinstance(x, pxnn.LayerParam),
        "the whole": lambda x: isinstance(x, Net),
    }.items():
        px.RKG.seed(0)
        net = Net()
        optim = pxu.OptimTree(lambda: optax.adam(0.1), leaf, pxu.M(pxnn.LayerParam)(net))
        optim.step(net, grads_of(net))
        show(name, weights(net))


@program(TREE)
def optim_tree_some_gradients_of_a_node(show):
    net = Net()
    optim = pxu.OptimTree(lambda: optax.adam(0.1), lambda x: isinstance(x, pxnn.Layer), pxu.M(pxnn.LayerParam)(net))
    g = grads_of(net, lambda p: isinstance(p, pxnn.LayerParam) and p.get() is not None and p.shape != (2,))
    show.fails("step", lambda: optim.step(net, g))
    show("weights", weights(net))


@program(TREE)
def optim_tree_inits_and_clears(show):
    net = Net()
    optim = pxu.OptimTree(lambda: optax.sgd(0.1, momentum=0.9), lambda x: isinstance(x, pxnn.Layer))
    optim.init(pxu.M(pxnn.LayerParam)(net))
    for _ in range(2):
        optim.step(net, grads_of(net))
    optim.clear()
    optim.init(pxu.M(pxnn.LayerParam)(net))
    updates = optim.step(net, grads_of(net), apply_updates=False)
    show("updates", [updates.layers[0].nn.weight, updates.layers[1].nn.bias])
    optim.apply_updates(pxu.M(pxnn.LayerParam)(net), updates)
    show("anew", weights(net))


@program(TREE)
def optim_inside_scan(show):
    net = Net()
    optim = pxu.OptimTree(lambda: optax.adam(0.1), lambda x: isinstance(x, pxnn.Layer), pxu.M(pxnn.LayerParam)(net))

    def step(_, *, net, optim):
        v, g = pxf.value_and_grad({"net": pxu.M(pxnn.LayerParam).to((False, True))})(loss)(net=net)
        optim.step(net, g["net"])
        return (), v

    run = pxf.jit()(lambda *, net, optim: pxf.scan(step, length=6)(net=net, optim=optim)[1])
    show("losses", run(net=net, optim=optim))
    show("weights", weights(net))
    show("leaves are numbers", all(jnp.isfinite(x).all() for x in jax.tree_util.tree_leaves(net)))
