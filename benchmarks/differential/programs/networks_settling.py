"""Networks that settle in ways of their own: fixed points, phases, graphs, memories."""

import jax
import jax.numpy as jnp
import jax.tree_util as jtu
import optax
from record import program

import pcx as px
import pcx.functional as pxf
import pcx.nn as pxnn
import pcx.predictive_coding as pxc
import pcx.utils as pxu
from programs.networks import CACHE, FREE, MLP, ROW, STATE, WEIGHTS, data, forward, norm


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
                (e, _), g = pxf.value_and_grad({"model": pxu.M(pxc.VodeParam).to((False, True))}, has_aux=True)(energy)(
                    x, model=model
                )
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
                e, g = pxf.value_and_grad({"model": pxu.M(pxc.VodeParam).to((False, True)), "beta": False})(total)(
                    x, y, model=model, beta=beta
                )
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
                    e, g = pxf.value_and_grad({"model": pxu.M(pxnn.LayerParam).to((False, True)), "beta": False})(
                        total
                    )(x, y, model=model, beta=beta)
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
            (e, _u), g = pxf.value_and_grad({"model": pxu.M(pxnn.LayerParam).to((False, True))}, has_aux=True)(energy)(
                model=model
            )
        optim.step(model, g["model"], scale_by=1 / 6)
        return e

    @pxf.jit()
    def infer(*, model):
        def step(_, *, model):
            with pxu.step(model, clear_params=CACHE):
                (e, _), g = pxf.value_and_grad(
                    {"model": pxu.M_hasnot(pxc.VodeParam, frozen=True).to((False, True))}, has_aux=True
                )(energy)(model=model)
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
                (e, _u), g = pxf.value_and_grad(
                    {"model": pxu.M_hasnot(pxc.VodeParam, frozen=True).to((False, True))}, has_aux=True
                )(energy)(model=model)
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
            (e, u), g = pxf.value_and_grad({"model": pxu.M(pxnn.LayerParam).to((False, True))}, has_aux=True)(energy)(
                model=model
            )
        optim_w.step(model, g["model"], scale_by=1 / 3)
        show(f"learned {i}", [e, u, norm(WEIGHTS(model))])
    hidden = jnp.array([1.0, 1.0, 0.0, 0.0])
    model.vodes[-1].h.set(y * hidden)
    model.vodes[-1].h.frozen = False
    optim_h.init(pxu.M(pxc.VodeParam)(model))
    show("recalled", [settle(4, model=model, optim_h=optim_h)[-1], model.vodes[-1].h])


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
