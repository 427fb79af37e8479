"""A predictive coding step as a program with the pcx interface writes it: T inference steps as a Python `for` inside
`pxf.jit`, gradients by masks. Runs under any package with that interface.

The same random weights and batch whatever the package. `mlp`: 784-128-128-128-10, batch 256; `vgg5`: 32x32x3, batch 32.
With `--rule`, `pcx.learning.pc` steps the same network as well.

`published.py` runs it under two packages in turn: it prints a line of JSON after the first two calls, and one for every
line that it reads, with the seconds a step. Weight changes of the first step go to `--changes`.
"""

import argparse
import json
import sys

import jax
import jax.numpy as jnp
import numpy as np
import optax
from _classic import MLP, VGG5, energy, forward
from _common import seconds

import pcx.functional as pxf
import pcx.nn as pxnn
import pcx.predictive_coding as pxc
import pcx.utils as pxu

LEARN = 0.01
RATE = 0.1  # of the states
NETWORKS = {"mlp": (lambda: MLP([784, 128, 128, 128, 10]), (784,)), "vgg5": (VGG5, (3, 32, 32))}


def settle(x, *, model, optim_h):
    """One inference step."""
    with pxu.step(model, clear_params=pxc.VodeParam.Cache):
        mask = pxu.M_hasnot(pxc.VodeParam, frozen=True).to((False, True))
        _, grads = pxf.value_and_grad(mask, has_aux=True)(energy)(x, model=model)
    optim_h.step(model, grads["model"])


def written_out(T, x, *, model, optim_h):
    for _ in range(T):
        settle(x, model=model, optim_h=optim_h)


def scanned(T, x, *, model, optim_h):
    def body(_, *, model, optim_h):
        settle(x, model=model, optim_h=optim_h)
        return (), None

    # The first step leaves the status of the forward pass, and a scan takes no model whose status changes.
    settle(x, model=model, optim_h=optim_h)
    pxf.scan(body, length=T - 1)(model=model, optim_h=optim_h)


@pxf.jit(static_argnums=(0, 1))
def train(inference, T, x, y, *, model, optim_w, optim_h):
    """A training step, with the inference steps written out or scanned; returns the mean energy after settling."""
    model.train()
    with pxu.step(model, pxc.STATUS.INIT, clear_params=pxc.VodeParam.Cache):
        forward(x, y, model=model)
    optim_h.init(pxu.M_hasnot(pxc.VodeParam, frozen=True)(model))
    inference(T, x, model=model, optim_h=optim_h)
    optim_h.clear()
    with pxu.step(model, clear_params=pxc.VodeParam.Cache):
        mask = pxu.M(pxnn.LayerParam).to((False, True))
        (total, _), grads = pxf.value_and_grad(mask, has_aux=True)(energy)(x, model=model)
    optim_w.step(model, grads["model"], scale_by=1.0 / x.shape[0])
    return total / x.shape[0]


def params(model):
    return [p for layer in model.layers for p in (layer.nn.weight, layer.nn.bias)]


def build(network, batch):
    """The network with weights uniform in +-1/sqrt(inputs), and a batch."""
    make, shape = NETWORKS[network]
    rng = np.random.default_rng(0)
    model = make()
    for layer in model.layers:
        weight, bias = layer.nn.weight, layer.nn.bias
        bound = np.prod(weight.get().shape[1:]) ** -0.5
        for p in (weight, bias):
            p.set(jnp.asarray(rng.uniform(-bound, bound, p.get().shape), jnp.float32))
    x = jnp.asarray(rng.normal(size=(batch, *shape)), jnp.float32)
    return model, x, jnp.asarray(np.eye(10)[rng.integers(10, size=batch)], jnp.float32)


def program(network, batch, T):
    model, x, y = build(network, batch)
    optim_w = pxu.Optim(lambda: optax.sgd(LEARN, momentum=0.9), pxu.M(pxnn.LayerParam)(model))
    optim_h = pxu.Optim(lambda: optax.sgd(RATE))

    def call():
        train(written_out, T, x, y, model=model, optim_w=optim_w, optim_h=optim_h)
        return [p.get() for p in params(model)]

    return call


def rule(network, batch, T):
    import pcx.learning as pxl

    model, x, y = build(network, batch)
    made = pxl.pc(optax.sgd(LEARN, momentum=0.9), optax.sgd(RATE), T)
    step, state = jax.jit(made.step), made.init(model, (x, y))
    names = [f"layers[{i}].nn.{p}" for i in range(len(model.layers)) for p in ("weight", "bias")]

    def call():
        nonlocal state
        state, _ = step(state, (x, y))
        return [state.weights[name] for name in names]

    return call


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("network", choices=NETWORKS)
    parser.add_argument("--batch", type=int, required=True)
    parser.add_argument("--steps", type=int, required=True, help="T")
    parser.add_argument("--number", type=int, default=1, help="training steps for each line read")
    parser.add_argument("--rule", action="store_true")
    parser.add_argument("--changes", required=True)
    args = parser.parse_args()
    calls = {"program": program(args.network, args.batch, args.steps)}
    if args.rule:
        calls["rule"] = rule(args.network, args.batch, args.steps)
    before = [np.asarray(p.get()) for p in params(build(args.network, args.batch)[0])]
    first, second, changes = {}, {}, {}
    for name, call in calls.items():
        after = []
        first[name] = seconds(call, 1, lambda out, after=after: after.extend(jax.block_until_ready(out)))
        second[name] = seconds(call, 1, jax.block_until_ready)  # a package may compile twice
        changes[name] = np.concatenate([np.ravel(np.asarray(a) - b) for a, b in zip(after, before, strict=True)])
    np.savez(args.changes, **changes)
    print(json.dumps({"first": first, "second": second}), flush=True)
    for _ in sys.stdin:
        taken = {name: seconds(call, args.number, jax.block_until_ready) for name, call in calls.items()}
        print(json.dumps(taken), flush=True)


if __name__ == "__main__":
    main()
