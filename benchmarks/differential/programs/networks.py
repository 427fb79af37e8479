"""Networks as people write them: training loops, whole, small."""

import jax
import jax.numpy as jnp
import jax.tree_util as jtu
import numpy as np
import optax
from record import program

import pcx as px
import pcx.functional as pxf
import pcx.nn as pxnn
import pcx.predictive_coding as pxc
import pcx.utils as pxu

ROW = "whole programs"
STATE = pxc.VodeParam | pxc.VodeParam.Cache
CACHE = pxc.VodeParam.Cache
# `to` of the published package changes the mask itself: these two are never asked for values.
FREE = pxu.M_hasnot(pxc.VodeParam, frozen=True)
WEIGHTS = pxu.M(pxnn.LayerParam)


def data(n, sizes, outputs, seed=0):
    rng = np.random.default_rng(seed)
    x = jnp.asarray(rng.normal(size=(n, *sizes)))
    y = jnp.asarray(rng.normal(size=(n, outputs)))
    return x, y


def norm(tree):
    return jnp.sqrt(sum(jnp.vdot(x, x) for x in jtu.tree_leaves(tree)))


class MLP(pxc.EnergyModule):
    def __init__(self, sizes, act, energy_fn=pxc.se_energy):
        super().__init__()
        self.act = px.static(act)
        self.n = px.static(len(sizes) - 1)
        self.layers = [pxnn.Linear(a, b) for a, b in zip(sizes[:-1], sizes[1:], strict=True)]
        self.vodes = [pxc.Vode() for _ in range(self.n.get() - 1)] + [pxc.Vode(energy_fn)]
        self.vodes[-1].h.frozen = True

    def __call__(self, x, y=None):
        for i in range(self.n.get() - 1):
            x = self.vodes[i](self.act.get()(self.layers[i](x)))
        self.vodes[-1](self.layers[-1](x))
        if y is not None:
            self.vodes[-1].set("h", y)
        return self.vodes[-1].get("u")


@pxf.vmap(pxu.M(STATE).to((None, 0)), in_axes=(0, 0), out_axes=0)
def forward(x, y, *, model):
    return model(x, y)


@pxf.vmap(pxu.M(STATE).to((None, 0)), in_axes=(0,), out_axes=(None, 0), axis_name="batch")
def energy(x, *, model):
    y_ = model(x)
    return jax.lax.psum(model.energy(), "batch"), y_


def settle(T, x, *, model, optim_h, loop="for"):
    def step(_=None, *, model, optim_h):
        with pxu.step(model, clear_params=CACHE):
            (e, _), g = pxf.value_and_grad({"model": pxu.M_hasnot(pxc.VodeParam, frozen=True).to((False, True))}, has_aux=True)(energy)(x, model=model)
        optim_h.step(model, g["model"])
        return (), e

    if loop == "scan":
        return pxf.scan(step, length=T)(model=model, optim_h=optim_h)[1]
    return jnp.stack([step(model=model, optim_h=optim_h)[1] for _ in range(T)])


def trainer(T, loop):
    @pxf.jit()
    def train(x, y, *, model, optim_w, optim_h):
        model.train()
        with pxu.step(model, pxc.STATUS.INIT, clear_params=CACHE):
            forward(x, y, model=model)
        # A step ends without its status on both sides only where the next one says so.
        with pxu.step(model, (None, None)):
            optim_h.init(FREE(model))
            energies = settle(T, x, model=model, optim_h=optim_h, loop=loop)
            with pxu.step(model, clear_params=CACHE):
                (e, y_), g = pxf.value_and_grad({"model": pxu.M(pxnn.LayerParam).to((False, True))}, has_aux=True)(energy)(x, model=model)
            optim_w.step(model, g["model"], scale_by=1.0 / x.shape[0])
        optim_h.clear()
        return energies, e, y_

    return train


def evaluate(x, *, model):
    model.eval()
    with pxu.step(model, pxc.STATUS.INIT, clear_params=CACHE):
        return forward(x, None, model=model)


def run_mlp(show, *, sizes, act=jnp.tanh, energy_fn=pxc.se_energy, T=4, loop="for", lr_h=0.1, make_w=lambda: optax.adam(1e-2), momentum=None, batches=3):
    model = MLP(sizes, act, energy_fn)
    optim_w = pxu.Optim(make_w, WEIGHTS(model))
    optim_h = pxu.Optim(lambda: optax.sgd(lr_h, momentum=momentum))
    train = trainer(T, loop)
    x, y = data(6, (sizes[0],), sizes[-1])
    if energy_fn is pxc.ce_energy:
        y = jax.nn.softmax(y)
    for i in range(batches):
        show(f"batch {i}", train(x, y, model=model, optim_w=optim_w, optim_h=optim_h))
    show("weights", [layer.nn.weight for layer in model.layers])
    show("states", [v.h for v in model.vodes])
    show("prediction", evaluate(x, model=model))


@program(ROW)
def network_mlp(show):
    run_mlp(show, sizes=(3, 5, 2))


@program(ROW)
def network_mlp_scan(show):
    run_mlp(show, sizes=(3, 5, 4, 2), loop="scan", momentum=0.9)


@program(ROW)
def network_classifier(show):
    run_mlp(show, sizes=(3, 4, 3), energy_fn=pxc.ce_energy, act=jax.nn.gelu)


@program(ROW)
def network_convolutional(show):
    class Net(pxc.EnergyModule):
        def __init__(self, classes):
            super().__init__()
            self.classes = px.static(classes)
            self.act = px.static(jax.nn.leaky_relu)
            self.features = [(pxnn.Conv2d(1, 3, 3, padding=(1, 1)), pxnn.MaxPool2d(2, 2)), (pxnn.Conv2d(3, 4, (3, 3), padding=1), pxnn.AvgPool2d(2, 1))]
            self.head = [pxnn.Linear(16, 5), pxnn.Linear(5, self.classes.get())]
            self.vodes = [pxc.Vode() for _ in range(3)] + [pxc.Vode(pxc.ce_energy)]
            self.vodes[-1].h.frozen = True

        def __call__(self, x, y=None):
            for (conv, pool), v in zip(self.features, self.vodes[:2], strict=True):
                x = v(pool(self.act(conv(x))))
            x = self.vodes[2](self.act(self.head[0](x.flatten())))
            self.vodes[3](self.head[1](x))
            if y is not None:
                self.vodes[3].set("h", y)
            return self.vodes[3].get("u")

    model = Net(3)
    x, _ = data(4, (1, 7, 7), 1)
    x = x[:, :, :6, :6]
    y = jax.nn.one_hot(jnp.array([0, 2, 1, 1]), model.classes.get())
    optim_w = pxu.Optim(lambda: optax.adamw(1e-2), WEIGHTS(model))
    optim_h = pxu.Optim(lambda: optax.sgd(0.05))
    train = trainer(3, "scan")
    for i in range(2):
        show(f"batch {i}", train(x, y, model=model, optim_w=optim_w, optim_h=optim_h))
    show("kernels", [conv.nn.weight for conv, _ in model.features])
    show("logits", evaluate(x, model=model))


@program(ROW)
def network_zero_divergence(show):
    """Weights of a layer learn at the step at which the error arrives there; masks are edited by hand."""
    model = MLP((3, 4, 4, 2), jax.nn.leaky_relu, pxc.ce_energy)
    x, y = data(5, (3,), 2)
    y = jax.nn.softmax(y)
    optim_w = pxu.OptimTree(lambda: optax.sgd(0.2, momentum=0.9), lambda m: isinstance(m, pxnn.Layer), WEIGHTS(model))
    optim_h = pxu.OptimTree(lambda: optax.sgd(1.0), lambda m: isinstance(m, pxc.Vode))

    @pxf.jit()
    def train(x, y, *, model, optim_w, optim_h):
        with pxu.step(model, pxc.STATUS.INIT, clear_params=CACHE):
            forward(x, y, model=model)
        optim_h.init(FREE(model))
        n, energies = len(model.vodes), []
        for t in range(n):
            with pxu.step(model, clear_params=CACHE):
                mask = pxu.M(None).to([False, False])(model, is_pytree=True)
                mask.vodes[n - t - 2].h = True
                mask.layers[n - t - 1] = pxu.M(pxnn.LayerParam).to([False, True])(model.layers[n - t - 1], is_pytree=True)
                (e, _), g = pxf.value_and_grad({"model": mask}, has_aux=True)(energy)(x, model=model)
            optim_h.step(model, g["model"])
            optim_w.step(model, g["model"], scale_by=1.0 / x.shape[0])
            energies.append(e)
        optim_h.clear()
        return energies

    for i in range(2):
        show(f"batch {i}", train(x, y, model=model, optim_w=optim_w, optim_h=optim_h))
    show("weights", [layer.nn.weight for layer in model.layers])
    show("prediction", evaluate(x, model=model))


@program(ROW)
def network_deep_equilibrium(show):
    """A layer whose value node predicts itself, settled by a while loop, learned at the fixed point."""

    class Cell(pxc.EnergyModule):
        def __init__(self, n):
            super().__init__()
            self.n = px.static(n)
            self.w, self.u = pxnn.Linear(n, n, bias=False), pxnn.Linear(2, n)
            self.z = pxc.Vode()
            self.out = pxnn.Linear(n, 1)

        def f(self, z, x):
            return jnp.tanh(0.4 * self.w(z) + self.u(x))

        def __call__(self, x):
            self.z(self.f(self.z.get("h"), x))
            return self.out(self.z.get("h"))

    x, y = data(4, (2,), 1)
    model = Cell(3)
    model.z.h.set(jnp.zeros((4, model.n.get())))

    @pxf.vmap(pxu.M(STATE).to((None, 0)), in_axes=(0,), out_axes=(None, 0), axis_name="batch")
    def energy(x, *, model):
        y_ = model(x)
        return jax.lax.psum(model.energy(), "batch"), y_

    @pxf.jit()
    def fixed_point(x, *, model):
        def body(i, err, *, model):
            with pxu.step(model, clear_params=CACHE):
                (e, _), g = pxf.value_and_grad({"model": pxu.M(pxc.VodeParam).to((False, True))}, has_aux=True)(energy)(x, model=model)
            model.z.h.set(model.z.h - 0.5 * g["model"].z.h)
            return i + 1, jnp.asarray(e)

        return pxf.while_loop(body, lambda i, err, *, model: (err > 1e-8) & (i < 60))(0, jnp.inf, model=model)

    optim = pxu.Optim(lambda: optax.adam(0.05), WEIGHTS(model))

    @pxf.jit()
    def learn(x, y, *, model, optim):
        @pxf.vmap(pxu.M(STATE).to((None, 0)), in_axes=(0, 0), out_axes=None, axis_name="batch")
        def loss(x, y, *, model):
            z = model.f(model.z.get("h"), x)
            return jax.lax.pmean(((model.out(z) - y) ** 2).sum(), "batch")

        v, g = pxf.value_and_grad({"model": pxu.M(pxnn.LayerParam).to((False, True))})(loss)(x, y, model=model)
        optim.step(model, g["model"])
        return v

    for i in range(3):
        show(f"steps {i}", fixed_point(x, model=model))
        show(f"loss {i}", learn(x, y, model=model, optim=optim))
    show("fixed point", model.z.h)
    show("weights", model.w.nn.weight)


@program(ROW)
def network_equilibrium_propagation(show):
    """Two phases, free and nudged; the difference of their gradients moves the weights."""
    model = MLP((2, 4, 2), jnp.tanh)
    model.vodes[-1].h.frozen = False
    x, y = data(4, (2,), 2)
    beta = px.Param(jnp.array(0.0))

    @pxf.vmap({"model": pxu.M(STATE).to((None, 0)), "beta": None}, in_axes=(0, 0), out_axes=None, axis_name="batch")
    def total(x, y, *, model, beta):
        model(x)
        cost = 0.5 * ((model.vodes[-1].get("h") - y) ** 2).sum()
        return jax.lax.psum(model.energy() + beta * cost, "batch")

    def phase(T, *, model, beta, x, y):
        def step(_, *, model, beta):
            with pxu.step(model, clear_params=CACHE):
                e, g = pxf.value_and_grad({"model": pxu.M(pxc.VodeParam).to((False, True)), "beta": False})(total)(x, y, model=model, beta=beta)
            for v, d in zip(model.vodes, g["model"].vodes, strict=True):
                v.h.set(v.h - 0.2 * d.h)
            return (), e

        return pxf.scan(step, length=T)(model=model, beta=beta)[1]

    @pxf.jit()
    def train(x, y, *, model, beta, optim):
        with pxu.step(model, pxc.STATUS.INIT, clear_params=CACHE):
            forward(x, None, model=model)
        with pxu.step(model, (None, None)):
            grads = []
            for b in (0.0, 0.5):
                beta.set(jnp.array(b))
                phase(5, model=model, beta=beta, x=x, y=y)
                with pxu.step(model, clear_params=CACHE):
                    e, g = pxf.value_and_grad({"model": pxu.M(pxnn.LayerParam).to((False, True)), "beta": False})(total)(x, y, model=model, beta=beta)
                grads.append(g["model"])
            delta = jtu.tree_map(lambda a, b: (b - a) / 0.5, *grads)
            optim.step(model, delta, scale_by=1.0 / x.shape[0])
        return e

    optim = pxu.Optim(lambda: optax.sgd(0.1), WEIGHTS(model))
    for i in range(3):
        show(f"energy {i}", train(x, y, model=model, beta=beta, optim=optim))
    show("weights", [layer.nn.weight for layer in model.layers])
    show("states", [v.h for v in model.vodes])


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
    run = pxf.jit()(pxf.vmap({"net": None}, in_axes=(0,), out_axes=(0, 0))(lambda x, *, net: (net(x), net.inverse(net(x), 20))))
    y, back = run(x, net=net)
    show("there", y)
    show("and back", [back, jnp.abs(back - x).max() < 1e-4])
    net.depth.set(1)
    show("depth is a fact", len(net.blocks))


@program(ROW)
def network_residual_pc(show):
    class Net(pxc.EnergyModule):
        def __init__(self, n, depth):
            super().__init__()
            self.layers = [pxnn.Linear(n, n) for _ in range(depth)]
            self.norm = pxnn.LayerNorm((n,))
            self.vodes = [pxc.Vode() for _ in range(depth)]
            self.vodes[-1].h.frozen = True

        def __call__(self, x, y=None):
            for i, (layer, v) in enumerate(zip(self.layers, self.vodes, strict=True)):
                x = v(layer(jax.nn.silu(self.norm(x))) + (x if i else 0.0))
            if y is not None:
                self.vodes[-1].set("h", y)
            return self.vodes[-1].get("u")

    model = Net(4, 3)
    x, y = data(5, (4,), 4)
    optim_w, optim_h = pxu.Optim(lambda: optax.adam(1e-2), WEIGHTS(model)), pxu.Optim(lambda: optax.sgd(0.1))
    train = trainer(3, "for")
    for i in range(2):
        show(f"batch {i}", train(x, y, model=model, optim_w=optim_w, optim_h=optim_h))
    show("shared norm", model.norm)
    show("prediction", evaluate(x, model=model))


@program(ROW)
def network_causal(show):
    """A graph of nodes; interventions clamp a node by hand and cut its parents."""

    class Graph(pxc.EnergyModule):
        def __init__(self, edges, n):
            super().__init__()
            self.parents = px.static({i: tuple(a for a, b in edges if b == i) for i in range(n)})
            self.maps = {f"{a}-{b}": pxnn.Linear(1, 1, bias=False) for a, b in edges}
            self.bias = [pxnn.LayerParam(jnp.full((1,), 0.1 * i)) for i in range(n)]
            self.vodes = [pxc.Vode() for _ in range(n)]
            self.done = px.static(())

        def __call__(self, x=None):
            for i, v in enumerate(self.vodes):
                u = self.bias[i].get()
                if i not in self.done.get():
                    for a in self.parents.get()[i]:
                        u = u + self.maps[f"{a}-{i}"](self.vodes[a].get("h"))
                v(u)
            return jnp.concatenate([v.get("u") for v in self.vodes])

    model = Graph([(0, 1), (0, 2), (1, 3), (2, 3)], 4)
    x, _ = data(6, (4, 1), 1)
    free = pxu.M(pxc.VodeParam)

    @pxf.vmap(pxu.M(STATE).to((None, 0)), out_axes=(None, 0), axis_name="batch")
    def energy(*, model):
        u = model()
        return jax.lax.psum(model.energy(), "batch"), u

    def observe(values):
        for i, v in enumerate(model.vodes):
            v.h.set(values[:, i])

    @pxf.jit()
    def learn(*, model, optim):
        with pxu.step(model, clear_params=CACHE):
            (e, u), g = pxf.value_and_grad({"model": pxu.M(pxnn.LayerParam).to((False, True))}, has_aux=True)(energy)(model=model)
        optim.step(model, g["model"], scale_by=1 / 6)
        return e

    @pxf.jit()
    def infer(*, model):
        def step(_, *, model):
            with pxu.step(model, clear_params=CACHE):
                (e, _), g = pxf.value_and_grad({"model": pxu.M_hasnot(pxc.VodeParam, frozen=True).to((False, True))}, has_aux=True)(energy)(model=model)
            for v, d in zip(model.vodes, g["model"].vodes, strict=True):
                if not getattr(v.h, "frozen", False):
                    v.h.set(v.h - 0.3 * d.h)
            return (), e

        return pxf.scan(step, length=8)(model=model)[1]

    observe(x)
    optim = pxu.Optim(lambda: optax.adam(0.1), WEIGHTS(model))
    show("learned", [learn(model=model, optim=optim) for _ in range(3)])
    show("maps", {k: layer.nn.weight for k, layer in model.maps.items()})
    model.vodes[1].h.set(jnp.ones((6, 1)))
    model.vodes[1].h.frozen = True
    show("given node 1", [infer(model=model), free(model).vodes[3].h])
    model.done.set((1,))
    show("done to node 1", [infer(model=model), [v.h for v in model.vodes]])


@program(ROW)
def network_monte_carlo(show):
    """Langevin noise on the states, drawn by the factory, and by a transformation of the ruleset."""

    class Net(pxc.EnergyModule):
        def __init__(self):
            super().__init__()
            self.layer = pxnn.Linear(2, 1)
            noise = lambda n, k, v, rkg: v + jax.random.normal(rkg(), v.shape)  # noqa: E731
            self.vodes = [pxc.Vode(ruleset={pxc.STATUS.INIT: ("h, u <- u:noise",)}, tforms={"noise": noise}), pxc.Vode()]
            self.vodes[-1].h.frozen = True

        def __call__(self, y=None):
            self.vodes[1](self.layer(self.vodes[0](jnp.zeros(2))))
            if y is not None:
                self.vodes[1].set("h", y)

    model = Net()
    _, y = data(4, (1,), 1)
    optim_h = pxu.Optim(lambda: optax.chain(optax.add_noise(0.1, 0.0, px.RKG()[0]), optax.sgd(0.1)))
    optim_w = pxu.Optim(lambda: optax.adam(0.05), WEIGHTS(model))

    @pxf.vmap(pxu.M(STATE).to((None, 0)), in_axes=(0,), out_axes=None, axis_name="batch")
    def init(y, *, model):
        model(y)

    @pxf.vmap(pxu.M(STATE).to((None, 0)), out_axes=None, axis_name="batch")
    def energy(*, model):
        model()
        return jax.lax.psum(model.energy(), "batch")

    @pxf.jit()
    def train(y, *, model, optim_h, optim_w):
        with pxu.step(model, pxc.STATUS.INIT, clear_params=CACHE):
            init(y, model=model)
        px.RKG.seed(11)  # as above
        with pxu.step(model, (None, None)):
            optim_h.init(FREE(model))
            for _ in range(3):
                with pxu.step(model, clear_params=CACHE):
                    e, g = pxf.value_and_grad({"model": pxu.M_hasnot(pxc.VodeParam, frozen=True).to((False, True))})(energy)(model=model)
                optim_h.step(model, g["model"])
            with pxu.step(model, clear_params=CACHE):
                e, g = pxf.value_and_grad({"model": pxu.M(pxnn.LayerParam).to((False, True))})(energy)(model=model)
            optim_w.step(model, g["model"], scale_by=0.25)
        return e

    for i in range(2):
        px.RKG.seed(i)
        show(f"batch {i}", [train(y, model=model, optim_h=optim_h, optim_w=optim_w), model.vodes[0].h])


@program(ROW)
def network_associative_memory(show):
    """A generative net: a learned start, the image clamped below, half of it hidden afterwards."""

    class Memory(pxc.EnergyModule):
        def __init__(self, latent, n):
            super().__init__()
            self.start = pxnn.LayerParam(jnp.zeros(latent))
            self.layers = [pxnn.Linear(latent, 5), pxnn.Linear(5, n)]
            self.vodes = [pxc.Vode() for _ in range(3)]
            self.vodes[-1].h.frozen = True

        def __call__(self, y=None):
            x = self.vodes[0](self.start.get())
            for v, layer in zip(self.vodes[1:], self.layers, strict=True):
                x = v(layer(jnp.tanh(x)))
            if y is not None:
                self.vodes[-1].set("h", y)
            return self.vodes[-1].get("u")

    model = Memory(2, 4)
    _, y = data(3, (1,), 4)
    init = pxf.vmap(pxu.M(STATE).to((None, 0)), in_axes=(0,), out_axes=0)(lambda y, *, model: model(y))

    @pxf.vmap(pxu.M(STATE).to((None, 0)), out_axes=(None, 0), axis_name="batch")
    def energy(*, model):
        u = model()
        return jax.lax.psum(model.energy(), "batch"), u

    @pxf.jit(static_argnums=(0,))
    def settle(T, *, model, optim_h):
        def step(_, *, model, optim_h):
            with pxu.step(model, clear_params=CACHE):
                (e, u), g = pxf.value_and_grad({"model": pxu.M_hasnot(pxc.VodeParam, frozen=True).to((False, True))}, has_aux=True)(energy)(model=model)
            optim_h.step(model, g["model"])
            return (), e

        return pxf.scan(step, length=T)(model=model, optim_h=optim_h)[1]

    optim_w, optim_h = pxu.Optim(lambda: optax.adam(0.02), WEIGHTS(model)), pxu.Optim(lambda: optax.adam(0.1))
    for i in range(2):
        with pxu.step(model, (pxc.STATUS.INIT, None), clear_params=CACHE):
            init(y, model=model)
        optim_h.init(FREE(model))
        show(f"settled {i}", settle(4, model=model, optim_h=optim_h))
        with pxu.step(model, clear_params=CACHE):
            (e, u), g = pxf.value_and_grad({"model": pxu.M(pxnn.LayerParam).to((False, True))}, has_aux=True)(energy)(model=model)
        optim_w.step(model, g["model"], scale_by=1 / 3)
        show(f"learned {i}", [e, u, norm(WEIGHTS(model))])
    hidden = jnp.array([1.0, 1.0, 0.0, 0.0])
    model.vodes[-1].h.set(y * hidden)
    model.vodes[-1].h.frozen = False
    optim_h.init(pxu.M(pxc.VodeParam)(model))
    show("recalled", [settle(4, model=model, optim_h=optim_h)[-1], model.vodes[-1].h])


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

            (h,), ys = pxf.scan(step, xs=xs)(jnp.zeros(self.n.get()), net=self)
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
        (v, (each,)), g = pxf.value_and_grad({"net": pxu.M(pxnn.LayerParam).to((False, True))}, has_aux=True)(total)(x, y, net=stacked)
        optim.step(stacked, g["net"])
        show(f"losses {i}", [v, each])
    show("weights", stacked.nn.weight)


@program(ROW)
def network_bidirectional(show):
    """Two nets share their value nodes; the energies of both are summed."""

    class Both(pxc.EnergyModule):
        def __init__(self):
            super().__init__()
            self.down, self.up = [pxnn.Linear(2, 3), pxnn.Linear(3, 2)], [pxnn.Linear(2, 3), pxnn.Linear(3, 2)]
            rule = {pxc.STATUS.INIT: ("h, u <- u",)}
            self.a = [pxc.Vode(ruleset=rule), pxc.Vode()]
            self.b = [pxc.Vode(), pxc.Vode()]
            for v in (self.a[1], self.b[1]):
                v.h.frozen = True

        def __call__(self, x=None, y=None):
            self.a[1](self.down[1](self.a[0](self.down[0](x))))
            self.b[0](self.up[0](y))
            self.b[0].set("h", self.a[0].get("h"))
            self.b[1](self.up[1](self.a[0].get("h")))
            self.a[1].set("h", y)
            self.b[1].set("h", x)

    model = Both()
    x, y = data(4, (2,), 2)

    @pxf.vmap(pxu.M(STATE).to((None, 0)), in_axes=(0, 0), out_axes=None, axis_name="batch")
    def energy(x, y, *, model):
        model(x, y)
        return jax.lax.psum(model.energy(), "batch")

    with pxu.step(model, (pxc.STATUS.INIT, None), clear_params=CACHE):
        energy(x, y, model=model)
    hidden = {"model": pxu.M(None).to((False, False))(model, is_pytree=True)}
    hidden["model"].a[0].h = True
    for i in range(4):
        with pxu.step(model, clear_params=CACHE):
            e, g = pxf.value_and_grad(hidden)(energy)(x, y, model=model)
        model.a[0].h.set(model.a[0].h - 0.1 * g["model"].a[0].h)
        show(f"energy {i}", e)
    show("hidden", model.a[0].h)
