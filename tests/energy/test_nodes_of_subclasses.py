"""Value nodes with params of their own, shapes that broadcast, and energies that take keys by name, under the rules."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import pcx as px
import pcx.learning as pxl
import pcx.nn as pxnn
import pcx.predictive_coding as pxc

RULES = {
    "pc": lambda: pxl.pc(optax.sgd(0.1), optax.sgd(0.1), T=4),
    "ipc": lambda: pxl.ipc(optax.sgd(0.1), optax.sgd(0.1), T=4),
    "zil": lambda: pxl.zil(optax.sgd(0.1)),
    "fpa": lambda: pxl.fpa(optax.sgd(0.1), optax.sgd(0.5), T=4),
    "epc": lambda: pxl.epc(optax.sgd(0.1), optax.sgd(0.1), T=4),
    "backprop": lambda: pxl.backprop(optax.sgd(0.1)),
}
X, Y = jax.random.normal(jax.random.key(0), (5, 3)), jax.random.normal(jax.random.key(1), (5, 2))


class Net(pxc.EnergyModule):
    def __init__(self, node):
        super().__init__()
        rkg = px.RandomKeyGenerator(0)
        self.layers = [pxnn.Linear(3, 4, rkg=rkg), pxnn.Linear(4, 2, rkg=rkg)]
        self.vodes = [node(), pxc.Vode(output=True)]

    def __call__(self, x):
        h = self.vodes[0](jnp.tanh(self.layers[0](x)))
        return self.vodes[1](self.layers[1](h))


class Node(pxc.Vode):
    """A node that keeps the prediction it started at, and maybe the one that it has."""

    def __init__(self, keeps_u=False):
        super().__init__(ruleset={pxc.STATUS.INIT: ("h, h0, u <- u",)})
        self.h0 = pxc.VodeParam()
        if keeps_u:
            self.u = pxc.VodeParam()


class Homesick(Node):
    def energy(self, rkg=px.RKG):
        return super().energy(rkg) + 0.1 * jnp.sum((self.h.get() - self.get("h0")) ** 2)


class Twice(Node):
    """A node that sets its own param in every call, and reads it."""

    def __call__(self, u, *args, **kwargs):
        self.h0.set(2 * u)
        return super().__call__(u, *args, **kwargs)

    def energy(self, rkg=px.RKG):
        return 0.5 * jnp.sum((2 * self.h.get() - self.h0.get()) ** 2)


def by_keyword(vode, *, rkg):
    return 0.5 * (vode.get("h") - vode.get("u")) ** 2


def learned(rule, model):
    made = RULES[rule]()
    state, info = jax.jit(made.step)(made.init(model, (X, Y)), (X, Y))
    state.write_to(model)
    return info.energy, model.layers[0].nn.weight.get(), made.predict(model, X)


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("node", [Node, lambda: Node(True), lambda: pxc.Vode(by_keyword)], ids=["h0", "u", "keyword"])
def test_such_nodes_learn_as_others(rule, node):
    for got, expected in zip(learned(rule, Net(node)), learned(rule, Net(pxc.Vode)), strict=True):
        np.testing.assert_allclose(got, expected, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("rule", RULES)
def test_a_param_of_a_node_that_is_not_kept_is_refused_where_it_is_read(rule):
    with pytest.raises(ValueError, match=r"vodes\[0\]\.h0 is read before it is set: of a value node, learning rules"):
        learned(rule, Net(Homesick))


def test_a_param_of_a_node_may_be_read_after_it_was_set():
    energy, *_ = learned("pc", Net(Twice))
    assert np.isfinite(energy)


@pytest.mark.hasty
@pytest.mark.parametrize("energy_fn", [pxc.se_energy, by_keyword, pxc.Huber(0.3)])
def test_a_prediction_that_broadcasts_has_the_gradients_of_the_sum(energy_fn):
    first = {"first": lambda vode, key, value, rkg: value[:1]}
    model = Net(lambda: pxc.Vode(energy_fn, {"init": ("h <- u", "u <- u:first"), "": ("u <- u:first",)}, first))
    bound = pxl.bind(model, (X, Y))
    h = {"vodes[0]": jax.random.normal(jax.random.key(2), (5, 4))}
    landscape = bound.landscape(bound.start().targets)
    made = landscape.gradient(h)(h)["vodes[0]"]
    w, b = (model.layers[1].nn.weight.get(), model.layers[1].nn.bias.get())
    u = jnp.tanh(X @ model.layers[0].nn.weight.get().T + model.layers[0].nn.bias.get())

    def total(h):
        e = jnp.abs(h - u[:, :1])
        hidden = jnp.where(e <= 0.3, 0.5 * e**2, 0.3 * (e - 0.15)) if isinstance(energy_fn, pxc.Huber) else 0.5 * e**2
        return jnp.sum(hidden) + 0.5 * jnp.sum((Y - h @ w.T - b) ** 2)

    np.testing.assert_allclose(made, jax.grad(total)(h["vodes[0]"]), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("y", [Y[:, :1], jnp.ones((5, 1, 2))])
def test_targets_that_only_broadcast_are_refused(rule, y):
    made = RULES[rule]()
    with pytest.raises(ValueError, match=r"the target of vodes\[1\] has shape"):
        made.init(Net(pxc.Vode), (X, y))
