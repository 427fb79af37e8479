"""Z-IL as programs write it with the pcx interface (a Python loop over L steps, masks edited by hand) against a plain
`jax.value_and_grad` step of the same network: an MLP of 10 layers of width 128, batch 256. Also compares the two weight
updates in float32 and float64.

Milliseconds a step; steps interleaved; medians and minima.
"""

import argparse

import jax
import jax.numpy as jnp
import numpy as np
import optax
from _classic import MLP, energy, forward
from _common import finish, in_turns, milliseconds, ratio, seconds
from _plain import backprop, cross_entropy, mlp

import pcx as px
import pcx.functional as pxf
import pcx.nn as pxnn
import pcx.predictive_coding as pxc
import pcx.utils as pxu


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


def setup(widths, batch, dtype):
    px.RKG.seed(0)
    model = MLP(widths, pxc.ce_energy)
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
    """The relative difference of the weight update from backprop's: as a whole, and in the layer where it is largest.

    The program stores a state `h - dE/dh` and takes the error as `h - u` again, so what is left of an error are the
    digits by which it changes the state. With the default weights, gradients shrink towards the first layers, and there
    float32 leaves few. `pcx.learning.zil` carries the error itself; see `rules.py`.
    """
    model, optim_w, optim_h, weights, x, y = setup(widths, batch, dtype)
    optimiser = optax.sgd(0.1, momentum=0.9)
    step = backprop(mlp(jnp.tanh), cross_entropy, optimiser, give_updates=True)
    _, _, expected = step(weights, optimiser.init(weights), x, y)
    updates = pxf.jit()(_zil)(x, y, model=model, optim_w=optim_w, optim_h=optim_h)
    updates, expected = [[np.asarray(a) for a in jax.tree_util.tree_leaves(tree)] for tree in (updates, expected)]

    def norm(arrays):
        return float(np.sqrt(sum(np.sum(np.square(a.astype(np.float64))) for a in arrays)))

    off = [u - e for u, e in zip(updates, expected, strict=True)]
    return {
        "whole": norm(off) / norm(expected),
        "worst_layer": max(norm([o]) / norm([e]) for o, e in zip(off, expected, strict=True)),
    }


def measure(widths, batch, rounds):
    model, optim_w, optim_h, weights, x, y = setup(widths, batch, jnp.float32)
    optimiser = optax.sgd(0.1, momentum=0.9)
    step = backprop(mlp(jnp.tanh), cross_entropy, optimiser)
    state = optimiser.init(weights)

    def ours():
        zil_step(x, y, model=model, optim_w=optim_w, optim_h=optim_h)
        return model.layers[0].nn.weight.get()

    def theirs():
        nonlocal weights, state
        weights, state, _ = step(weights, state, x, y)
        return weights

    calls = {"zil": ours, "backprop": theirs}
    first = {name: seconds(call, 1, jax.block_until_ready) for name, call in calls.items()}
    times = in_turns(calls, rounds, 5, jax.block_until_ready)
    found = {f"ratio_{how}": value for how, value in ratio(times["zil"], times["backprop"]).items()}
    return {"first_call_s": first, "traces": zil_step.n_traces, **milliseconds(times), **found}


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
    finish(result, args.json)


if __name__ == "__main__":
    main()
