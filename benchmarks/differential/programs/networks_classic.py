"""Predictive coding networks as people write them: training loops, whole, small."""

import jax
import jax.numpy as jnp
import optax
from record import program

import pcx as px
import pcx.functional as pxf
import pcx.nn as pxnn
import pcx.predictive_coding as pxc
import pcx.utils as pxu
from programs.networks import (
    CACHE,
    FREE,
    MLP,
    ROW,
    STATE,
    WEIGHTS,
    data,
    energy,
    evaluate,
    forward,
    run_mlp,
    trainer,
)


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
            self.features = [
                (pxnn.Conv2d(1, 3, 3, padding=(1, 1)), pxnn.MaxPool2d(2, 2)),
                (pxnn.Conv2d(3, 4, (3, 3), padding=1), pxnn.AvgPool2d(2, 1)),
            ]
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
                mask.layers[n - t - 1] = pxu.M(pxnn.LayerParam).to([False, True])(
                    model.layers[n - t - 1], is_pytree=True
                )
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
def network_monte_carlo(show):
    """Langevin noise on the states, drawn by the factory, and by a transformation of the ruleset."""

    class Net(pxc.EnergyModule):
        def __init__(self):
            super().__init__()
            self.layer = pxnn.Linear(2, 1)
            noise = lambda n, k, v, rkg: v + jax.random.normal(rkg(), v.shape)  # noqa: E731
            self.vodes = [
                pxc.Vode(ruleset={pxc.STATUS.INIT: ("h, u <- u:noise",)}, tforms={"noise": noise}),
                pxc.Vode(),
            ]
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
                    e, g = pxf.value_and_grad({"model": pxu.M_hasnot(pxc.VodeParam, frozen=True).to((False, True))})(
                        energy
                    )(model=model)
                optim_h.step(model, g["model"])
            with pxu.step(model, clear_params=CACHE):
                e, g = pxf.value_and_grad({"model": pxu.M(pxnn.LayerParam).to((False, True))})(energy)(model=model)
            optim_w.step(model, g["model"], scale_by=0.25)
        return e

    for i in range(2):
        px.RKG.seed(i)
        show(f"batch {i}", [train(y, model=model, optim_h=optim_h, optim_w=optim_w), model.vodes[0].h])
