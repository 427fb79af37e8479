"""Modules in the hands of JAX, Equinox, Optax and the standard library: trees like any other."""

import copy
import pickle
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.tree_util as jtu
import optax
from jax.flatten_util import ravel_pytree
from record import program

import pcx as px
import pcx.functional as pxf
import pcx.nn as pxnn
import pcx.predictive_coding as pxc
import pcx.utils as pxu

ROW = "modules as pytrees"


class Pair(NamedTuple):
    first: object
    second: object


class Net(px.Module):
    def __init__(self):
        super().__init__()
        self.a = pxnn.Linear(2, 3)
        self.b = {"x": Pair(pxnn.Linear(3, 1), px.Param(jnp.array(0.5))), "y": (None, [px.static("s")])}

    def __call__(self, x):
        return self.b["x"].first(jnp.tanh(self.a(x))) * self.b["x"].second


def weights(net):
    return [net.a.nn.weight, net.a.nn.bias, net.b["x"].first.nn.weight, net.b["x"].second]


X = jnp.array([1.0, -0.5])


@program(ROW)
def pytree_containers(show):
    net = Net()
    show("value", net(X))
    show("jit", pxf.jit()(lambda x, *, net: net(x))(X, net=net))
    mapped = jtu.tree_map(lambda x: x * 2, net)
    show("mapped", [weights(mapped), type(mapped.b["x"]).__name__, mapped.b["y"][1][0].get()])
    show("count", len(jtu.tree_leaves(net)))


@program(ROW)
def pytree_plain_jax(show):
    net = Net()
    show("jit", jax.jit(lambda net, x: net(x))(net, X))
    grads = jax.grad(lambda net, x: net(x).sum())(net, X)
    show("grad", weights(grads))
    stacked = jtu.tree_map(lambda *xs: jnp.stack(xs), net, jtu.tree_map(lambda x: x * 0.5, net))
    show("vmap", jax.vmap(lambda net, x: net(x), in_axes=(0, None))(stacked, X))
    show("after", weights(net))


@program(ROW)
def pytree_flat_vectors(show):
    net = {"w": pxnn.LayerParam(jnp.arange(4.0).reshape(2, 2)), "b": pxnn.LayerParam(jnp.ones(2))}
    flat, back = ravel_pytree(net)
    show("vector", flat)
    show("back", back(flat * 2))


@program(ROW)
def pytree_equinox(show):
    net = Net()
    arrays, rest = eqx.partition(net, eqx.is_array)
    show("arrays", weights(arrays))
    show("combined", eqx.combine(arrays, rest)(X))
    show("filtered", weights(eqx.filter(net, lambda x: eqx.is_array(x) and x.ndim == 2)))
    changed = eqx.tree_at(lambda n: n.a.nn.bias, net, replace_fn=lambda p: pxnn.LayerParam(p.get() + 1))
    show("tree_at", weights(changed))


@program(ROW)
def pytree_optax(show):
    net = Net()
    opt = optax.adam(0.1)
    params = pxu.M(pxnn.LayerParam)(net)
    state = opt.init(params)
    grads = pxf.value_and_grad({"net": pxu.M(pxnn.LayerParam).to((False, True))})(lambda *, net: (net(X) ** 2).sum())(
        net=net
    )[1]["net"]
    show("norm", optax.global_norm(grads))
    show("clipped", optax.clip_by_global_norm(0.1).update(grads, optax.EmptyState())[0].a.nn.weight)
    show.raises("updated", lambda: weights(opt.update(grads, state)[0]))


@program(ROW)
def pytree_gradient_arithmetic(show):
    net = Net()
    mask = {"net": pxu.M(pxnn.LayerParam).to((False, True))}
    g = pxf.value_and_grad(mask)(lambda *, net: (net(X) ** 2).sum())
    one, two = g(net=net)[1]["net"], g(net=net)[1]["net"]
    total = jtu.tree_map(lambda a, b: a + 0.5 * b, one, two)
    show("sum", [total.a.nn.weight, total.b["x"].first.nn.bias])
    optim = pxu.Optim(lambda: optax.sgd(0.1), pxu.M(pxnn.LayerParam)(net))
    optim.step(net, total)
    show("stepped", weights(net))


@program(ROW)
def pytree_copies(show):
    net = Net()

    def deep():
        other = copy.deepcopy(net)
        other.a.nn.weight.set(other.a.nn.weight * 0)
        return [net(X), other(X)]

    show.raises("a deep copy", deep)
    shallow = copy.copy(net.b)
    show("shallow", shallow["x"] is net.b["x"])


@program(ROW)
def pytree_pickles(show):
    show.raises("a param", lambda: pickle.loads(pickle.dumps(px.Param(X))))
    show.raises("a layer", lambda: pickle.loads(pickle.dumps(pxnn.Linear(2, 2)))(X))


@program(ROW)
def pytree_modules_by_position(show):
    net = Net()
    v, (g, _) = pxf.value_and_grad(argnums=(0,))(lambda net, x: (net(x) ** 2).sum())(net, X)
    show("value", v)
    show("gradient", weights(g[0]))
    f = pxf.vmap({}, in_axes=(None, 0), out_axes=0)(lambda net, x: net(x))
    show("vmap", f(net, jnp.stack([X, X * 2])))
    show("jit", pxf.jit()(lambda net, x: net(x))(net, X))
    show("returned from jit", weights(pxf.jit()(lambda net: jtu.tree_map(lambda x: x + 1, net))(net)))


@program(ROW)
def pytree_carried_by_scan(show):
    net = Net()

    def step(_, net):
        return (jtu.tree_map(lambda x: x * 0.9, net),), net(X)

    (last,), ys = pxf.scan(step, length=3)(net)
    show("values", ys)
    show("carried", weights(last))
    show("the first", weights(net))


@program(ROW)
def pytree_nodes_twice(show):
    class Twice(pxc.EnergyModule):
        def __init__(self):
            super().__init__()
            self.vodes = [pxc.Vode(), pxc.Vode()]
            self.out = self.vodes[-1]

        def __call__(self, x):
            self.vodes[0](x, h=x * 2)
            self.vodes[1](x, h=x * 3)

    m = Twice()
    f = pxf.vmap(pxu.M(pxc.VodeParam | pxc.VodeParam.Cache).to((None, 0)), in_axes=(0,), out_axes=0)(
        lambda x, *, m: (m(x), m.energy())[1]
    )
    show("energy", f(jnp.stack([X, X]), m=m))
    show("children", len(list(m.submodules())))
