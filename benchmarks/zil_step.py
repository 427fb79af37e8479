"""Z-IL as programs write it with the pcx interface (a Python loop over L steps, masks edited by hand) against a plain
`jax.value_and_grad` step of the same network: an MLP of 10 layers of width 128, batch 256. Also compares the two weight
updates in float32 and float64.

Milliseconds a step; steps interleaved; medians and minima.
"""

import argparse
import itertools
import json
import statistics
import time

import jax
import jax.numpy as jnp
import numpy as np
import optax

import pcx as px
import pcx.functional as pxf
import pcx.nn as pxnn
import pcx.predictive_coding as pxc
import pcx.utils as pxu

AXES = pxu.M(pxc.VodeParam | pxc.VodeParam.Cache).to((None, 0))


class MLP(pxc.EnergyModule):
    def __init__(self, widths):
        super().__init__()
        self.act = px.static(jnp.tanh)
        self.layers = [pxnn.Linear(a, b) for a, b in itertools.pairwise(widths)]
        self.vodes = [pxc.Vode() for _ in widths[2:]] + [pxc.Vode(energy_fn=pxc.ce_energy)]
        self.vodes[-1].h.frozen = True

    def __call__(self, x, y):
        for layer, vode in zip(self.layers[:-1], self.vodes[:-1], strict=True):
            x = vode(self.act(layer(x)))
        self.vodes[-1](self.layers[-1](x))
        if y is not None:
            self.vodes[-1].set("h", y)
        return self.vodes[-1].get("u")


@pxf.vmap(AXES, in_axes=(0, 0), out_axes=0)
def forward(x, y, *, model):
    return model(x, y)


@pxf.vmap(AXES, in_axes=(0,), out_axes=(None, 0), axis_name="batch")
def energy(x, *, model):
    y = model(x, None)
    return jax.lax.psum(model.energy(), "batch"), y


def _zil(x, y, *, model, optim_w, optim_h):
    """One training step; returns the weight updates of each layer."""
    applied = {}
    model.train()
    with pxu.step(model, pxc.STATUS.INIT, clear_params=pxc.VodeParam.Cache):
        forward(x, y, model=model)
    optim_h.init(pxu.M_hasnot(pxc.VodeParam, frozen=True)(model))
    depth = len(model.vodes)
    for t in range(depth):
        with pxu.step(model, clear_params=pxc.VodeParam.Cache):
            mask = pxu.M(None).to((False, False))(model, is_pytree=True)
            if t < depth - 1:
                mask.vodes[depth - t - 2].h = True
            mask.layers[depth - t - 1] = pxu.M(pxnn.LayerParam).to((False, True))(
                model.layers[depth - t - 1], is_pytree=True
            )
            _, grads = pxf.value_and_grad({"model": mask}, has_aux=True)(energy)(x, model=model)
        optim_h.step(model, grads["model"])
        updates = optim_w.step(model, grads["model"], scale_by=1.0 / x.shape[0])
        applied[depth - t - 1] = updates.layers[depth - t - 1].nn
    optim_h.clear()
    return [(applied[i].weight.get(), applied[i].bias.get()) for i in range(depth)]


@pxf.jit()
def zil_step(x, y, *, model, optim_w, optim_h):
    _zil(x, y, model=model, optim_w=optim_w, optim_h=optim_h)


def plain(optimiser, give_updates=False):
    def loss(weights, x, y):
        for w, b in weights[:-1]:
            x = jnp.tanh(x @ w.T + b)
        w, b = weights[-1]
        return -(y * jax.nn.log_softmax(x @ w.T + b)).sum() / x.shape[0]

    @jax.jit
    def step(weights, state, x, y):
        value, grads = jax.value_and_grad(loss)(weights, x, y)
        updates, state = optimiser.update(grads, state, weights)
        return optax.apply_updates(weights, updates), state, updates if give_updates else value

    return step


def setup(widths, batch, dtype):
    px.RKG.seed(0)
    model = MLP(widths)
    for layer in model.layers:
        for p in (layer.nn.weight, layer.nn.bias):
            p.set(p.get().astype(dtype))
    rng = np.random.default_rng(0)
    x = jnp.asarray(rng.normal(size=(batch, widths[0])), dtype)
    y = jnp.asarray(np.eye(widths[-1])[rng.integers(widths[-1], size=batch)], dtype)
    weights = [(layer.nn.weight.get(), layer.nn.bias.get()) for layer in model.layers]
    optim_w = pxu.OptimTree(
        lambda: optax.sgd(0.1, momentum=0.9),
        lambda n: isinstance(n, pxnn.Layer),
        pxu.M(pxnn.LayerParam)(model),
    )
    optim_h = pxu.OptimTree(lambda: optax.sgd(1.0), lambda n: isinstance(n, pxc.Vode))
    return model, optim_w, optim_h, weights, x, y


def compare(widths, batch, dtype):
    """Largest relative difference of a layer's weight update from backprop's."""
    model, optim_w, optim_h, weights, x, y = setup(widths, batch, dtype)
    optimiser = optax.sgd(0.1, momentum=0.9)
    _, _, expected = plain(optimiser, give_updates=True)(weights, optimiser.init(weights), x, y)
    updates = pxf.jit()(_zil)(x, y, model=model, optim_w=optim_w, optim_h=optim_h)
    pairs = zip(jax.tree_util.tree_leaves(updates), jax.tree_util.tree_leaves(expected), strict=True)
    return max(float(jnp.linalg.norm(u - e) / jnp.linalg.norm(e)) for u, e in pairs)


def measure(widths, batch, rounds):
    model, optim_w, optim_h, weights, x, y = setup(widths, batch, jnp.float32)
    optimiser = optax.sgd(0.1, momentum=0.9)
    step = plain(optimiser)
    state = optimiser.init(weights)

    def ours():
        zil_step(x, y, model=model, optim_w=optim_w, optim_h=optim_h)
        return model.layers[0].nn.weight.get()

    def theirs():
        nonlocal weights, state
        weights, state, _ = step(weights, state, x, y)
        return weights

    compile_s = {}
    for name, call in (("zil", ours), ("backprop", theirs)):
        start = time.perf_counter()
        jax.block_until_ready(call())
        compile_s[name] = time.perf_counter() - start
    times = {"zil": [], "backprop": []}
    for _ in range(rounds):
        for name, call in (("zil", ours), ("backprop", theirs)):
            start = time.perf_counter()
            for _ in range(5):
                out = call()
            jax.block_until_ready(out)
            times[name].append((time.perf_counter() - start) / 5 * 1e3)
    row = {"first_call_s": compile_s, "traces": zil_step.n_traces}
    for name, values in times.items():
        row[name] = {"median_ms": statistics.median(values), "min_ms": min(values)}
    row["ratio_of_medians"] = row["zil"]["median_ms"] / row["backprop"]["median_ms"]
    row["ratio_of_minima"] = row["zil"]["min_ms"] / row["backprop"]["min_ms"]
    return row


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json")
    parser.add_argument("--depth", type=int, default=10)
    parser.add_argument("--width", type=int, default=128)
    parser.add_argument("--batch", type=int, default=256)
    parser.add_argument("--rounds", type=int, default=60)
    args = parser.parse_args()
    widths = [args.width] * (args.depth + 1)
    options = {k: v for k, v in vars(args).items() if k != "json"}
    result = {"jax": jax.__version__, "device": str(jax.devices()[0]), **options}
    result["update_difference_float32"] = compare(widths, args.batch, jnp.float32)
    result.update(measure(widths, args.batch, args.rounds))
    jax.config.update("jax_enable_x64", True)
    result["update_difference_float64"] = compare(widths, args.batch, jnp.float64)
    print(json.dumps(result, indent=2))
    if args.json:
        with open(args.json, "w") as f:
            json.dump(result, f, indent=2)


if __name__ == "__main__":
    main()
