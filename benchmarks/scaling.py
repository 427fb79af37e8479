"""How training scales over devices: a model on paper, and what the compiled programs themselves say.

    python benchmarks/scaling.py --json scaling.json
    python benchmarks/scaling.py --nets --by-layer --json by_layer.json

A batch of `BATCH` samples is shared out among 1, 2 and 8 devices, those that JAX makes of one CPU. What a step
computes, holds and tells other devices is counted in the programs that `fit` runs, and set against the formulas of
docs/deep-wide-many.md. The times are those of the formulas, for a device by its data sheet: nothing is timed here.
"""

import argparse
import dataclasses
import itertools
import os

DEVICES = (1, 2, 8)
os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} --xla_force_host_platform_device_count={max(DEVICES)}"

import jax  # noqa: E402
import jax.numpy as jnp  # noqa: E402
import jax.tree_util as jtu  # noqa: E402
import numpy as np  # noqa: E402
import optax  # noqa: E402
from _common import finish  # noqa: E402
from _hlo import counted  # noqa: E402
from jax.sharding import Mesh  # noqa: E402

import pcx  # noqa: E402
import pcx.learning as pxl  # noqa: E402
import pcx.models as pxm  # noqa: E402
from pcx.training._compiled import Compiled  # noqa: E402
from pcx.training._layout import Layout  # noqa: E402

BATCH, T = 128, 8
BATCHES = tuple(2**k for k in range(5, 15))
BAR = 1.15


@dataclasses.dataclass(frozen=True)
class Device:
    """Numbers of a device: float32 operations and bytes of memory a second, bytes a second to the others in one
    direction, and seconds that one exchange takes however little is exchanged."""

    flops: float
    memory: float
    link: float
    latency: float


# NVIDIA H100 SXM by its data sheet, float32 without tensor cores, NVLink; and half of a usual latency's 20 us for a
# sum over 8 of them.
H100 = Device(flops=67e12, memory=3.35e12, link=450e9, latency=10e-6)


@dataclasses.dataclass(frozen=True)
class Net:
    """A network, and what the formulas need of it.

    **Attributes:**

    - `make`: makes it; `x`: the shape of a sample.
    - `products`: of each layer, what its prediction multiplies for one sample.
    - `values`: numbers of each node.
    """

    make: object
    x: tuple
    products: tuple
    values: tuple


def mlp(*widths):
    return Net(
        lambda: pxm.MLP(list(widths)), widths[:1], tuple(a * b for a, b in itertools.pairwise(widths)), widths[1:]
    )


def vgg5():
    """128-256-512-512, 3x3, of 32x32 images, pooled after each."""
    sides, channels = (32, 16, 8, 4), (3, 128, 256, 512, 512)
    products = [9 * a * b * s * s for (a, b), s in zip(itertools.pairwise(channels), sides, strict=True)]
    nodes = [c * (s // 2) ** 2 for c, s in zip(channels[1:], sides, strict=True)]
    return Net(lambda: pxm.vgg5(shape=(3, 32, 32), classes=10), (3, 32, 32), (*products, 512 * 4 * 10), (*nodes, 10))


NETS = {
    "mlp 784-128-128-128-10": mlp(784, 128, 128, 128, 10),
    "mlp 784-1024-1024-1024-10": mlp(784, 1024, 1024, 1024, 10),
    "mlp 128, 8 layers": mlp(*[128] * 8, 10),
    "vgg5 32x32": vgg5(),
}
RULES = {
    "pc": lambda: pxl.pc(optax.adam(1e-3), optax.sgd(0.05), T),
    "ipc": lambda: pxl.ipc(optax.sgd(1e-3), optax.sgd(0.05), T),
    "backprop": lambda: pxl.backprop(optax.adam(1e-3)),
}


def on_paper(net, rule, weights, batch, devices):
    """What one device does in a step, by the formulas of docs/deep-wide-many.md."""
    share, first, depth = batch / devices, net.products[0], len(net.products)
    every = sum(net.products)
    if rule == "backprop":  # forward, by the values, by the weights
        samples, updates, looks = 2 * every + 2 * (every - first) + 2 * every, 1, 3
    elif rule == "ipc":  # in every step all three, between a forward pass and a last look at the energies
        samples, updates, looks = 4 * every + T * (6 * every - 2 * first), T, 3
    else:
        # A step predicts each layer that the error has reached, and takes the gradient by its input; the first layer's
        # prediction doesn't change. Around that, a forward pass and the gradient by the weights.
        reached = [range(max(depth - 1 - t, 1), depth) for t in range(T)]
        samples, updates, looks = 4 * every + sum(4 * net.products[i] for step in reached for i in step), 1, T + 2
    return {
        "flops": share * samples,
        "weights_bytes": 4 * weights * (1 if rule == "ipc" else 3),
        "values_bytes": 4 * share * sum(net.values),
        "exchanged_bytes": 0 if devices == 1 else 4 * weights * updates,
        "exchanges": 0 if devices == 1 else looks + (updates if rule == "ipc" else 0),
    }


def seconds(net, rule, weights, batch, devices, device=H100):
    """Seconds of a step, by the formulas: the slower of arithmetic and memory, the optimiser, and the exchanges."""
    found = on_paper(net, rule, weights, batch, devices)
    share, steps = batch / devices, 1 if rule == "backprop" else T
    # Weights are read twice a settling step, values some ten times.
    traffic = steps * (2 * 4 * weights + 10 * 4 * share * sum(net.values))
    work = max(found["flops"] / device.flops, traffic / device.memory)
    learning = 7 * 4 * weights / device.memory  # Adam reads gradient, weights and two averages, and writes three
    told = 2 * (devices - 1) / devices * found["exchanged_bytes"] / device.link + found["exchanges"] * device.latency
    return work, learning, told


def compiled(net, rule, devices, batch):
    """The program of one batch, as `fit` compiles it, on a number of devices or a mesh."""
    layout = Layout.of(devices, 1)
    pcx.RKG.seed(0)
    made, model = RULES[rule](), net.make()
    x, y = jnp.zeros((batch, *net.x)), jnp.zeros((batch,), jnp.int32)
    with layout.context():
        state = made.init(model, (x, y))
    program = Compiled.of(made, None, {}, layout, False)
    totals = program.totals(state, {}, (x, y))
    rows = layout.batch(np.arange(batch, dtype=np.int32)[None], 1)
    given = layout.states(state), *layout.replicated((totals, {}, (x, y)))
    with layout.context():
        rest = rows, np.int32(0), np.int32(1), np.bool_(True), jax.random.PRNGKey(0)
        lowered = program.steps.lower(*given, *rest)
    return lowered.compile(), sum(leaf.size for leaf in jtu.tree_leaves(state.weights))


def row(name, rule, devices):
    net = NETS[name]
    program, weights = compiled(net, rule, devices, BATCH)
    text = program.as_text()
    here, once = counted(text), counted(text, once=True)
    analysis, memory = program.cost_analysis(), program.memory_analysis()
    paper = on_paper(net, rule, weights, BATCH, devices)
    return {
        "net": name,
        "rule": rule,
        "devices": devices,
        "weights": weights,
        "flops": {
            "paper": paper["flops"],
            "program": here["flops"],
            "program_loops_once": once["flops"],
            "xla_loops_once": analysis["flops"],
        },
        "exchanged_bytes": {"paper": paper["exchanged_bytes"], "program": here["bytes"]},
        "exchanges": {
            "paper": paper["exchanges"],
            "program": here["exchanges"],
            **{kind: here[kind] for kind in ("all-reduce", "all-gather", "all-to-all") if here[kind]},
        },
        "memory_bytes": {"arguments": memory.argument_size_in_bytes, "temporary": memory.temp_size_in_bytes},
    }


WIDTH, EQUAL = 128, 32


def row_by_layer(layers, batches):
    """What devices exchange that share out 32 equal layers of width 128, and the batch."""
    mesh = Mesh(np.array(jax.devices()[: layers * batches]).reshape(layers, batches), ("layers", "batch"))
    program, weights = compiled(mlp(*[WIDTH] * (EQUAL + 2), 10), "pc", mesh, BATCH)
    found = counted(program.as_text())
    value = 4 * BATCH // batches * WIDTH
    inside = EQUAL * WIDTH * (WIDTH + 1)
    # A forward pass from device to device; in each step two values to neighbours and two to all; what stands behind the
    # layers reads the last value in the forward pass and at the end, where neighbours exchange one more.
    values = 0 if layers == 1 else value * (layers + 4 * T + 4)
    gradients = 0 if batches == 1 else 4 * (weights - inside + inside // layers)
    return {
        "layers": layers,
        "batch": batches,
        "exchanged_bytes": {"paper": values + gradients, "program": found["bytes"]},
        "exchanges": {k: found[k] for k in ("exchanges", "collective-permute", "all-reduce", "all-gather")},
        "arguments_bytes": program.memory_analysis().argument_size_in_bytes,
    }


def halvings(name, rule, weights):
    """By batch: how much longer than half of its time a step takes on two devices instead of one, and on 8 instead
    of 4."""
    net, rows = NETS[name], []
    for batch in BATCHES:
        times = {n: seconds(net, rule, weights, batch, n) for n in (1, 2, 4, 8)}
        ratio = {f"{n}_to_{2 * n}": 2 * sum(times[2 * n]) / sum(times[n]) for n in (1, 2, 4)}
        rows.append({"batch": batch, **ratio, "seconds_1": sum(times[1])})
    enough = next((r["batch"] for r in rows if r["1_to_2"] <= BAR), None)
    return {"net": name, "rule": rule, "bar": BAR, "enough": enough, "by_batch": rows}


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", help="file to write the numbers to")
    parser.add_argument("--nets", nargs="*", default=list(NETS))
    parser.add_argument("--by-layer", action="store_true", help="layers shared out over devices, too")
    args = parser.parse_args()
    rows, paper = [], []
    for name in args.nets:
        for rule in RULES if name == next(iter(NETS)) else ("pc",):
            mine = [row(name, rule, n) for n in DEVICES]
            rows += mine
            paper.append(halvings(name, rule, mine[0]["weights"]))
            for r in mine:
                print(r["net"], r["rule"], r["devices"], r["flops"], r["exchanged_bytes"], r["exchanges"], flush=True)
    shared = [(1, 1), (2, 1), (4, 1), (8, 1), (2, 2), (4, 2)] if args.by_layer else []
    layers = [row_by_layer(*each) for each in shared]
    for r in layers:
        print(r, flush=True)
    found = {"batch": BATCH, "T": T, "device": dataclasses.asdict(H100), "programs": rows, "paper": paper}
    finish(found | ({"by_layer": layers} if layers else {}), args.json)


if __name__ == "__main__":
    main()
