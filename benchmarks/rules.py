"""Learning rules against programs written by hand in plain JAX, float32.

- `zil`: a Z-IL step against a step of backpropagation of the same network: an MLP of 10 layers of width 128, batch 256.
  Also the largest relative difference of a layer's update from backpropagation's.
- `mlp`: 784-128-128-128-10, batch 256. `pc` with T = 8 against the least work by hand (the faster of an unrolled and a
  scanned form); `epc` with T = 8 against 9 steps of backpropagation.
- `vgg5`: VGG-5 on 32x32x3, batch 32. Z-IL against backpropagation, `pc` with T = 7 against the least work by hand,
  unrolled (on CPUs, convolutions in a scan are far slower). The programs by hand pool as the library's layer does,
  whose gradient is cheap; backpropagation also as one writes it, with `jax.lax.reduce_window`. Memory of a `pc` step
  against both, in bytes of arguments, results and temporaries as XLA reports them.

Weights learn by SGD with momentum, whose state after the first step is the gradient: by it programs are compared.
Milliseconds a step; steps interleaved; medians and minima.
"""

import argparse
import time

import jax
import jax.numpy as jnp
import numpy as np
import optax
from _common import finish, in_turns, milliseconds, ratio
from _plain import backprop, mlp, predictive_coding, squared_error, vgg, windows

import pcx as px
import pcx.learning as pxl
import pcx.models as pxm

OPTIM = optax.sgd(0.01, momentum=0.9)
RATE = 0.1  # of the states


class Network:
    """A model, and its weights and layers in plain JAX, with a random batch."""

    def __init__(self, model, layers, layer, shape, classes, batch):
        self.model, self.layer = model, layer
        params = [(getattr_path(model, name).nn.weight, getattr_path(model, name).nn.bias) for name in layers]
        self.names = [(f"{name}.nn.weight", f"{name}.nn.bias") for name in layers]
        self.weights = [(w.get(), b.get()) for w, b in params]
        rng = np.random.default_rng(0)
        self.x = jnp.asarray(rng.normal(size=(batch, *shape)), jnp.float32)
        self.y = jnp.asarray(np.eye(classes)[rng.integers(classes, size=batch)], jnp.float32)

    def plain(self, step):
        """A step by hand: its arguments, and the gradients of its first step by layer."""
        return step, (self.weights, OPTIM.init(self.weights), self.x, self.y), lambda out: _trace(out[1])

    def rule(self, rule):
        """A step of a rule, likewise."""
        state = rule.init(self.model, (self.x, self.y))

        def gradients(out):
            trace = _trace(out[0].optim)
            return [(trace[w], trace[b]) for w, b in self.names]

        return jax.jit(rule.step), (state, (self.x, self.y)), gradients


def getattr_path(model, name):
    kind, _, index = name.partition("[")
    part = getattr(model, kind)
    return part[int(index[:-1])] if index else part


def _trace(state):
    return optax.tree_utils.tree_get(state, "trace")


def deep_mlp():
    px.RKG.seed(0)
    model = pxm.MLP([128] * 11, jnp.tanh)
    return Network(model, [f"layers[{i}]" for i in range(10)], mlp(jnp.tanh), (128,), 128, 256)


def small_mlp():
    px.RKG.seed(0)
    model = pxm.MLP([784, 128, 128, 128, 10], jnp.tanh)
    return Network(model, [f"layers[{i}]" for i in range(4)], mlp(jnp.tanh), (784,), 10, 256)


def vgg5(batch):
    px.RKG.seed(0)
    model = pxm.vgg5(act=jax.nn.gelu)
    return Network(model, [*[f"convs[{i}]" for i in range(4)], "linear"], vgg(jax.nn.gelu), (3, 32, 32), 10, batch)


def difference(these, those):
    """Largest relative difference of a layer's weight or bias gradient."""
    pairs = zip(jax.tree.leaves(these), jax.tree.leaves(those), strict=True)
    return max(float(jnp.linalg.norm(a - b) / jnp.linalg.norm(b)) for a, b in pairs)


def memory(step, args):
    """Bytes of arguments, results and temporaries of a compiled step."""
    found = step.lower(*args).compile().memory_analysis()
    sizes = {k: getattr(found, f"{k}_size_in_bytes") for k in ("temp", "argument", "output", "alias")}
    return sizes | {"total": sizes["temp"] + sizes["argument"] + sizes["output"] - sizes["alias"]}


def measure(steps, rounds, number, sizes=False):
    """First calls, gradients, times and, with `sizes`, memory of steps `{name: (step, args, gradients)}`."""
    row, first, grads = {}, {}, {}
    if sizes:
        row["bytes"] = {name: memory(step, args) for name, (step, args, _) in steps.items()}
    for name, (step, args, gradients) in steps.items():
        start = time.perf_counter()
        out = jax.block_until_ready(step(*args))
        first[name], grads[name] = time.perf_counter() - start, gradients(out)
    calls = {name: lambda step=step, args=args: step(*args) for name, (step, args, _) in steps.items()}
    times = in_turns(calls, rounds, number, jax.block_until_ready)
    if not sizes:
        row["first_call_s"] = first
    row["steps"] = milliseconds(times)
    return row, times, grads


def zil(args):
    n = deep_mlp()
    steps = {"backprop": n.plain(backprop(n.layer, squared_error, OPTIM)), "zil": n.rule(pxl.zil(OPTIM))}
    row, times, grads = measure(steps, args.rounds, 5)
    row["update difference, zil from backprop"] = difference(grads["zil"], grads["backprop"])
    row["ratios"] = {"zil / backprop": ratio(times["zil"], times["backprop"], 1.05)}
    return row


def small(args):
    n, T = small_mlp(), 8
    steps = {
        "backprop": n.plain(backprop(n.layer, squared_error, OPTIM)),
        "by hand, unrolled": n.plain(predictive_coding(n.layer, OPTIM, T, RATE, unroll=True)),
        "by hand, scanned": n.plain(predictive_coding(n.layer, OPTIM, T, RATE, unroll=False)),
        "pc": n.rule(pxl.pc(OPTIM, optax.sgd(RATE), T)),
        "epc": n.rule(pxl.epc(OPTIM, optax.sgd(RATE), T)),
    }
    row, times, grads = measure(steps, args.rounds, 5)
    row["update difference, pc from by hand"] = difference(grads["pc"], grads["by hand, unrolled"])
    hand = min((times["by hand, unrolled"], times["by hand, scanned"]), key=lambda t: sorted(t)[len(t) // 2])
    row["ratios"] = {
        "pc T=8 / by hand": ratio(times["pc"], hand, 1.10),
        "epc T=8 / 9 backprop": ratio(times["epc"], times["backprop"], 1.10, factor=T + 1),
    }
    return row


def convolutional(args):
    n, T = vgg5(args.vgg_batch), 7
    steps = {
        "backprop": n.plain(backprop(n.layer, squared_error, OPTIM)),
        "backprop, reduce_window": n.plain(backprop(vgg(jax.nn.gelu, windows), squared_error, OPTIM)),
        "zil": n.rule(pxl.zil(OPTIM)),
        "by hand": n.plain(predictive_coding(n.layer, OPTIM, T, RATE, unroll=True)),
        "pc": n.rule(pxl.pc(OPTIM, optax.sgd(RATE), T)),
    }
    row, times, grads = measure(steps, args.vgg_rounds, 1, sizes=True)
    row["update difference, zil from backprop"] = difference(grads["zil"], grads["backprop"])
    row["update difference, pc from by hand"] = difference(grads["pc"], grads["by hand"])
    size = {name: sizes["total"] for name, sizes in row["bytes"].items()}
    row["ratios"] = {
        "zil / backprop": ratio(times["zil"], times["backprop"], 1.05),
        "pc T=7 / by hand": ratio(times["pc"], times["by hand"], 1.10),
        "backprop, reduce_window / backprop": ratio(times["backprop, reduce_window"], times["backprop"]),
        "memory, pc / backprop": {"of_bytes": size["pc"] / size["backprop"], "bar": 1.3},
        "memory, pc / backprop, reduce_window": {"of_bytes": size["pc"] / size["backprop, reduce_window"]},
    }
    return row


PARTS = {"zil": zil, "mlp": small, "vgg5": convolutional}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json")
    parser.add_argument("--parts", nargs="*", choices=PARTS, default=list(PARTS))
    parser.add_argument("--rounds", type=int, default=60)
    parser.add_argument("--vgg-rounds", type=int, default=5)
    parser.add_argument("--vgg-batch", type=int, default=32)
    args = parser.parse_args()
    result = {"jax": jax.__version__, "device": str(jax.devices()[0])}
    for part in args.parts:
        result[part] = PARTS[part](args)
    finish(result, args.json)


if __name__ == "__main__":
    main()
