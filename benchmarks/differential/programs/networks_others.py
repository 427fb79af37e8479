"""Networks without value nodes: learning from rewards, inversion, recurrence, ensembles."""

import jax
import jax.numpy as jnp
import jax.tree_util as jtu
import optax
from record import program

import pcx as px
import pcx.functional as pxf
import pcx.nn as pxnn
import pcx.utils as pxu
from programs.networks import ROW, WEIGHTS, data


@program(ROW)
def network_reinforcement(show):
    """Q learning with a target net, epsilon-greedy actions and a replay buffer in params."""

    class Q(px.Module):
        def __init__(self, actions):
            super().__init__()
            self.actions = px.static(actions)
            self.layers = [pxnn.Linear(3, 6), pxnn.Linear(6, self.actions.get())]

        def __call__(self, s):
            return self.layers[1](jax.nn.relu(self.layers[0](s)))

    class Buffer(px.Module):
        def __init__(self, size):
            super().__init__()
            self.size = px.static(size)
            self.s, self.r = px.Param(jnp.zeros((size, 3))), px.Param(jnp.zeros(size))
            self.a, self.n = px.Param(jnp.zeros(size, int)), px.Param(jnp.array(0))

        def add(self, s, a, r):
            i = self.n % self.size.get()
            self.s.set(self.s.at[i].set(s))
            self.a.set(self.a.at[i].set(a))
            self.r.set(self.r.at[i].set(r))
            self.n += 1

    q, target, buffer = Q(2), Q(2), Buffer(4)
    optim = pxu.Optim(lambda: optax.adam(0.05), WEIGHTS(q))

    @pxf.jit()
    def act(s, epsilon, *, q):
        greedy = q(s).argmax()
        k1, k2 = px.RKG(2)
        return jnp.where(jax.random.uniform(k1) < epsilon, jax.random.randint(k2, (), 0, q.actions.get()), greedy)

    @pxf.jit()
    def remember(s, a, r, *, buffer):
        buffer.add(s, a, r)

    @pxf.jit()
    def learn(*, q, target, buffer, optim):
        @pxf.vmap({("q", "target"): None}, in_axes=(0, 0, 0), out_axes=None, axis_name="batch")
        def loss(s, a, r, *, q, target):
            aim = r + 0.9 * jax.lax.stop_gradient(target(s).max())
            return jax.lax.pmean((q(s)[a] - aim) ** 2, "batch")

        mask = {"q": pxu.M(pxnn.LayerParam).to((False, True)), "target": pxu.M(pxnn.LayerParam).to((False, False))}
        v, g = pxf.value_and_grad(mask)(loss)(buffer.s.get(), buffer.a.get(), buffer.r.get(), q=q, target=target)
        optim.step(q, g["q"])
        jtu.tree_map(
            lambda t, p: t.set(0.8 * t.get() + 0.2 * p.get()),
            WEIGHTS(target), WEIGHTS(q), is_leaf=lambda p: isinstance(p, px.BaseParam),
        )  # fmt: skip
        return v

    s = jnp.array([0.1, -0.2, 0.3])
    for i in range(5):
        px.RKG.seed(i)  # a vmap of the published package moves the key also where nothing is drawn
        a = act(s, 0.5, q=q)
        r = jnp.where(a == 1, 1.0, -1.0) * s[0]
        remember(s, a, r, buffer=buffer)
        s = jnp.roll(s, 1) + 0.1 * r
        show(f"action and loss {i}", [a, learn(q=q, target=target, buffer=buffer, optim=optim)])
    show("buffer", buffer)
    show("target", target)
    show("key", px.RKG())


@program(ROW)
def network_residual_with_inversion(show):
    """Blocks x + f(x), inverted by fixed-point iteration in a scan of scans."""

    class Block(px.Module):
        def __init__(self, n):
            super().__init__()
            self.a, self.b = pxnn.Linear(n, n), pxnn.Linear(n, n)
            for layer in (self.a, self.b):
                layer.nn.weight.set(layer.nn.weight * 0.4)

        def f(self, x):
            return self.b(jnp.tanh(self.a(x)))

    class Net(px.Module):
        def __init__(self, n, depth):
            super().__init__()
            self.depth = px.static(depth)
            self.blocks = [Block(n) for _ in range(self.depth.get())]

        def __call__(self, x):
            for block in self.blocks:
                x = x + block.f(x)
            return x

        def inverse(self, y, steps):
            for block in reversed(self.blocks):

                def f(_, x, *, block, y=y):
                    return (y - block.f(x),), None

                (y,), _ = pxf.scan(f, length=steps)(y, block=block)
            return y

    net = Net(3, 2)
    x, _ = data(4, (3,), 1)
    run = pxf.jit()(
        pxf.vmap({"net": None}, in_axes=(0,), out_axes=(0, 0))(lambda x, *, net: (net(x), net.inverse(net(x), 20)))
    )
    y, back = run(x, net=net)
    show("there", y)
    show("and back", [back, jnp.abs(back - x).max() < 1e-4])
    net.depth.set(1)
    show("depth is a fact", len(net.blocks))


@program(ROW)
def network_recurrent(show):
    """A cell scanned over time inside a vmap over samples; the state is a carry, counts are params."""

    class RNN(px.Module):
        def __init__(self, n):
            super().__init__()
            self.n = px.static(n)
            self.x, self.h, self.out = pxnn.Linear(2, n), pxnn.Linear(n, n, bias=False), pxnn.Linear(n, 1)
            self.steps = px.Param(jnp.array(0))

        def __call__(self, xs):
            def step(x, h, *, net):
                net.steps += 1
                h = jnp.tanh(net.x(x) + net.h(h))
                return (h,), net.out(h)

            (_h,), ys = pxf.scan(step, xs=xs)(jnp.zeros(self.n.get()), net=self)
            return ys[-1]

    net = RNN(3)
    x, y = data(4, (5, 2), 1)
    optim = pxu.Optim(lambda: optax.adam(0.05), WEIGHTS(net))
    show("one sample", net(x[0]))
    show("steps", net.steps)

    @pxf.jit()
    def train(x, y, *, net, optim):
        @pxf.vmap({"net": pxu.M(px.Param).to((None, None))}, in_axes=(0, 0), out_axes=None, axis_name="batch")
        def loss(x, y, *, net):
            return jax.lax.pmean(((net(x) - y) ** 2).sum(), "batch")

        v, g = pxf.value_and_grad({"net": pxu.M(pxnn.LayerParam).to((False, True))})(loss)(x, y, net=net)
        optim.step(net, g["net"])
        return v

    show("losses", [train(x, y, net=net, optim=optim) for _ in range(3)])
    show("counted", net.steps)


@program(ROW)
def network_autoencoder_with_dropout(show):
    class Auto(px.Module):
        def __init__(self):
            super().__init__()
            self.enc, self.dec = pxnn.Linear(4, 2), pxnn.Linear(2, 4)
            self.drop = pxnn.Dropout(0.5)
            self.log = px.ParamDict({"calls": jnp.array(0)})

        def __call__(self, x):
            return self.dec(self.drop(jnp.tanh(self.enc(x)), key=px.RKG()))

    net = Auto()
    net.train()
    x, _ = data(6, (4,), 1)
    optim = pxu.Optim(lambda: optax.adam(0.05), WEIGHTS(net))

    @pxf.jit()
    def train(x, *, net, optim):
        net.log["calls"] = net.log["calls"] + 1

        @pxf.vmap({"net": None}, in_axes=(0,), out_axes=None, axis_name="batch")
        def loss(x, *, net):
            return jax.lax.pmean(((net(x) - x) ** 2).sum(), "batch")

        v, g = pxf.value_and_grad({"net": pxu.M(pxnn.LayerParam).to((False, True))})(loss)(x, net=net)
        optim.step(net, g["net"])
        return v

    show("losses", [train(x, net=net, optim=optim) for _ in range(3)])
    show("log", net.log.get())
    net.eval()
    show("evaluated", net(x[0]))
    show("key", px.RKG.key.get())


@program(ROW)
def network_hypernetwork(show):
    """One network writes the params of another, inside jit."""

    class Main(px.Module):
        def __init__(self):
            super().__init__()
            self.w = px.Param(jnp.zeros((2, 2)))

        def __call__(self, x):
            return self.w @ x

    hyper, main = pxnn.Linear(1, 4), Main()

    @pxf.jit()
    def run(z, x, *, hyper, main):
        def loss(z, x, *, hyper, main):
            main.w.set(hyper(z).reshape(2, 2))
            return (main(x) ** 2).sum()

        mask = {"hyper": pxu.M(pxnn.LayerParam).to((False, True)), "main": pxu.M(None).to((False, False))}
        v, g = pxf.value_and_grad(mask)(loss)(z, x, hyper=hyper, main=main)
        return v, g["hyper"].nn.weight.get()

    show("loss and gradient", run(jnp.ones(1), jnp.array([1.0, 2.0]), hyper=hyper, main=main))
    show("written", main.w)


@program(ROW)
def network_ensemble(show):
    """Members whose weights have an axis of their own, mapped by a mask."""
    members = [pxnn.Linear(2, 1) for _ in range(3)]
    stacked = jtu.tree_map(lambda *xs: jnp.stack(xs), *members)
    x, y = data(5, (2,), 1)
    optim = pxu.Optim(lambda: optax.sgd(0.1), WEIGHTS(stacked))

    @pxf.vmap({"net": pxu.M(pxnn.LayerParam).to((None, 0))}, in_axes=(None, None), out_axes=0)
    def losses(x, y, *, net):
        one = pxf.vmap({"net": None}, in_axes=(0,), out_axes=0)(lambda x, *, net: net(x))
        return ((one(x, net=net) - y) ** 2).mean()

    def total(x, y, *, net):
        each = losses(x, y, net=net)
        return each.sum(), each

    for i in range(3):
        (v, (each,)), g = pxf.value_and_grad({"net": pxu.M(pxnn.LayerParam).to((False, True))}, has_aux=True)(total)(
            x, y, net=stacked
        )
        optim.step(stacked, g["net"])
        show(f"losses {i}", [v, each])
    show("weights", stacked.nn.weight)
