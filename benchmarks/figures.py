"""Draws the figures of the documentation, of small networks that learn MNIST, into docs/figures.

    python benchmarks/figures.py [NAME ...]

Without names it draws all. MNIST is looked for as `pcx.data` does it; see docs/data.md. Two cores take
about a minute.
"""

import functools
import io
import pathlib
import sys

import jax
import jax.numpy as jnp
import matplotlib
import optax
from matplotlib.figure import Figure
from PIL import Image

import pcx as px
import pcx.analysis as pxa
import pcx.data as pxd
import pcx.learning as pxl
import pcx.models as pxm
import pcx.training as pxt

FOLDER = pathlib.Path(__file__).parents[1] / "docs" / "figures"
TRAIN, TEST, BATCH = 6000, 2000, 128


@functools.cache
def data():
    """A part of MNIST, standardised: samples to train on, and held-out ones."""
    found = pxd.mnist(flat=True, standardise=True)
    return (found.train.x[:TRAIN], found.train.y[:TRAIN]), (found.test.x[:TEST], found.test.y[:TEST])


def batch():
    """A batch of held-out samples."""
    x, y = data()[1]
    return jnp.asarray(x[:BATCH]), jnp.asarray(y[:BATCH])


def mlp(hidden=3, width=64):
    return pxm.MLP([784, *[width] * hidden, 10], act=jnp.tanh)


def pc(T=16, rate=0.1):
    return pxl.pc(optax.adam(1e-3), optax.sgd(rate), T)


@functools.cache
def deep():
    """A network of ten layers under PC, after one epoch: the rule, and the state."""
    px.RKG.seed(0)
    rule, model = pc(T=20, rate=0.2), mlp(hidden=9)
    run = pxt.fit(model, rule, data()[0], epochs=1, batch_size=BATCH, show=False)
    return rule, run.states[0]


def axes(count=1, width=4.6, height=3.4):
    """A figure with axes side by side."""
    figure = Figure(figsize=(width * count, height), layout="constrained")
    return figure, figure.subplots(1, count, squeeze=False)[0]


def energy_flow():
    """Ten layers, errors on their way from the output to the input."""
    figure, (left, right) = axes(2)
    rule, state = deep()
    (flow,) = pxa.trace(rule, state, batch())
    pxa.plot_energy_flow(flow, left)
    pxa.plot_energy_flow(flow, right, of="gradients")
    return figure


def energy_share():
    """Ten layers after settling; four layers over training."""
    figure, (left, right) = axes(2)
    rule, state = deep()
    pxa.plot_energy_share(pxa.regime(rule, state, batch(), curvature=False), left)
    px.RKG.seed(0)
    run = pxt.fit(mlp(), pc(), data()[0], epochs=8, batch_size=BATCH, show=False)
    pxa.plot_energy_share(run, right)
    return figure


def alignment():
    """Rules on the same weights; PC while it learns."""
    figure, (left, right) = axes(2)
    optim_w = optax.adam(1e-3)
    _, state = deep()
    rules = {
        "PC, 10 steps": pc(10),
        "PC, 200 steps": pc(200),
        "ePC, 20 steps": pxl.epc(optim_w, optax.sgd(0.05), T=20),
        "Z-IL": pxl.zil(optim_w),
    }
    model = mlp(hidden=9)
    state.write_to(model)
    pxa.plot_alignment({n: pxa.regime(rule, model, batch(), curvature=False) for n, rule in rules.items()}, left)
    pxa.plot_alignment(_seen_while_learning(), right)
    return figure


def _seen_while_learning():
    px.RKG.seed(0)
    rule, model = pc(T=50), mlp(hidden=5)
    seen = [(0, pxa.regime(rule, model, batch(), curvature=False))]
    steps = -(-TRAIN // BATCH)

    def look(report):
        seen.append((report.epoch * steps, pxa.regime(rule, report.states[0], batch(), curvature=False)))

    pxt.fit(model, rule, data()[0], epochs=8, batch_size=BATCH, callbacks=[look], show=False)
    return seen


def network():
    """A network with skips of thirty layers, with the energies after settling."""
    px.RKG.seed(0)
    model = pxm.MuMLP([4, *[16] * 31, 2])
    x = jax.random.normal(jax.random.key(0), (64, 4))
    data = x, jnp.stack([jnp.sin(x[:, 0] + x[:, 1]), x[:, 2] * x[:, 3]], axis=1)
    rule = pxl.pc(optax.adam(1e-2), optax.adam(0.05), T=64)
    return pxa.draw(model, data, energies=pxa.regime(rule, model, data, curvature=False))


@functools.cache
def learned():
    """A network of four layers under PC: the rule, and the state after eight epochs."""
    px.RKG.seed(0)
    rule = pc(8, 0.2)
    return rule, pxt.fit(mlp(), rule, data()[0], epochs=8, batch_size=BATCH, show=False).states[0]


def confusion():
    """Which digits are taken for which."""
    figure, (ax,) = axes(1, width=5)
    rule, state = learned()
    x, y = data()[1]
    pxa.plot_confusion(y, rule.predict(state, jnp.asarray(x)), ax)
    return figure


def boundary():
    """Two moons, and what PC and backpropagation make of the plane."""
    figure, both = axes(2)
    moons, optim_w = pxd.two_moons(), optax.adam(1e-2)
    for ax, rule in zip(both, (pxl.pc(optim_w, optax.sgd(0.1), 8), pxl.backprop(optim_w)), strict=True):
        px.RKG.seed(0)
        model = pxm.MLP([2, 16, 16, 2], act=jnp.tanh)
        pxt.fit(model, rule, moons.train, epochs=40, batch_size=64, show=False)
        pxa.plot_decision_boundary(rule, model, (moons.test.x, moons.test.y), ax)
        ax.set_title(f"{rule.name}: {ax.get_title().lower()}")
    return figure


def weights():
    """The receptive fields of a first layer."""
    figure, (ax,) = axes(1, width=4.4, height=3.8)
    _, state = learned()
    pxa.plot_weights(state.weights["layers[0].nn.weight"], ax)
    return figure


def images():
    """Digits, what an autoencoder makes of them, and what is generated from their labels."""
    found = pxd.mnist(flat=True)
    x, test = found.train.x[:TRAIN], found.test.x[:10]
    rule, how = pxl.pc(optax.adam(1e-3), optax.sgd(0.05), 8), {"epochs": 12, "batch_size": 64, "show": False}
    px.RKG.seed(0)
    auto = pxm.MLP([784, 128, 24, 128, 784], act=jnp.tanh)
    pxt.fit(auto, rule, (x, x), **how)
    generator, labels = pxm.MLP([10, 128, 784], act=jnp.tanh), jnp.eye(10)
    pxt.fit(generator, rule, (labels[found.train.y[:TRAIN]], x), **how)
    rows = {
        "originals": test,
        "reconstructed": rule.predict(auto, jnp.asarray(test)),
        "generated": rule.predict(generator, labels[found.test.y[:10]]),
    }
    figure, (ax,) = axes(1, width=6.4, height=2)
    pxa.plot_images(rows, ax)
    return figure


# What a step costs in networks of four layers with eight inference steps; see docs/choose-a-rule.md.
COSTS = {"PC": 4.5, "ePC": 5.1, "Z-IL": 1.0, "backprop": 1.0}


@functools.cache
def compared():
    """Four rules with five seeds each: `{name: run}`."""
    optim_w = optax.adam(1e-3)
    rules = {
        "PC": pc(8, 0.2),
        "ePC": pxl.epc(optim_w, optax.sgd(0.1), T=8),
        "Z-IL": pxl.zil(optim_w),
        "backprop": pxl.backprop(optim_w),
    }
    how = {"epochs": 6, "batch_size": BATCH, "seeds": range(5), "show": False}
    return {name: pxt.fit(mlp, rule, *data(), **how) for name, rule in rules.items()}


def seeds():
    """The last accuracies of all seeds, and their way there."""
    figure, (left, right) = axes(2)
    runs = compared()
    last = {name: [100 * a for a in run.last("validation_accuracy")] for name, run in runs.items()}
    pxa.plot_seeds(last, left, label="validation accuracy, %")
    curves = {
        name: [[row["validation_loss"] for row in run.of(i)] for i in range(len(run.members))]
        for name, run in runs.items()
    }
    pxa.plot_seeds(curves, right, label="validation loss")
    return figure


def cost():
    """The same runs over what they cost."""
    figure, (ax,) = axes(1, width=5.4)
    pxa.plot_cost(compared(), COSTS, ax, batches=-(-TRAIN // BATCH))
    return figure


FIGURES = {
    "energy-flow": energy_flow,
    "energy-share": energy_share,
    "alignment": alignment,
    "seeds": seeds,
    "cost": cost,
    "confusion": confusion,
    "decision-boundary": boundary,
    "weights": weights,
    "images": images,
    "network": network,
}


def main(names):
    unknown = [name for name in names if name not in FIGURES]
    if unknown:
        sys.exit(f"there is no figure {', '.join(unknown)}; there are {', '.join(FIGURES)}")
    FOLDER.mkdir(exist_ok=True)
    matplotlib.rcParams["font.size"] = 9
    for name in names or FIGURES:
        path, drawn = FOLDER / f"{name}.png", io.BytesIO()
        figure = FIGURES[name]()
        if isinstance(figure, pxa.Drawing):
            figure.save(path.with_suffix(".svg"))
            continue
        figure.savefig(drawn, dpi=110)
        # A palette of so many colours is a third of the bytes, and none of them is missed.
        Image.open(drawn).convert("RGB").quantize(192, dither=Image.Dither.NONE).save(path, optimize=True)
        print(path, f"{path.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main(sys.argv[1:])
