"""What an epoch through `fit` costs: against the bare steps, for several seeds, in memory, and against backpropagation.

    python benchmarks/fit.py --data FOLDER --json fit.json

Fashion-MNIST, a perceptron 784-128-128-128-10, pc with T = 8, batches of 128. The bare steps are jitted and run in a
Python loop over batches that lie ready on the device. First epochs, which compile, don't count. All take turns.
"""

import argparse
import itertools
import json
import resource
import statistics
import subprocess
import sys
import time

import jax
import jax.numpy as jnp
import optax
from _common import finish, ratio

import pcx.data as pxd
import pcx.learning as pxl
import pcx.models as pxm
import pcx.training as pxt

RULES = {
    "pc": pxl.pc(optax.adamw(3e-4), optax.sgd(0.05, momentum=0.5), 8),
    "backprop": pxl.backprop(optax.adamw(3e-4)),
}
BATCH = 128


def model():
    return pxm.MLP([784, 128, 128, 128, 10])


def through_fit(data, rule, epochs, seeds=0):
    """Seconds of each epoch but the first, from one callback to the next."""
    times = []
    pxt.fit(
        model,
        rule,
        data.train,
        epochs=epochs + 1,
        batch_size=BATCH,
        seeds=seeds,
        show=False,
        callbacks=[lambda report: times.append(time.perf_counter())],
    )
    return [b - a for a, b in itertools.pairwise(times)]


class Bare:
    """The jitted step in a Python loop."""

    def __init__(self, data, rule):
        order = pxd.ArrayBatches((data.train.x, data.train.y), BATCH).order(0)
        self.batches = [(jnp.asarray(data.train.x[rows]), jnp.asarray(data.train.y[rows])) for rows in order]
        self.step = jax.jit(rule.step)
        self.state = rule.init(model(), self.batches[0])
        self.state, _ = self.step(self.state, self.batches[0])

    def epoch(self):
        start = time.perf_counter()
        state = self.state
        for batch in self.batches:
            state, _ = self.step(state, batch)
        jax.block_until_ready(state)
        return time.perf_counter() - start


def load(args):
    return pxd.fashion_mnist(args.data, flat=True, standardise=True)


def memory(args):
    """Peak memory in MB of a process that trains for two epochs with held-out data, all of it."""
    if args.only_memory:
        data = load(args)
        pxt.fit(model(), RULES["pc"], data.train, data.test, epochs=2, batch_size=BATCH, show=False)
        print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
        return None
    command = [sys.executable, __file__, "--only-memory", *(["--data", args.data] if args.data else [])]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()[-1])


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--data", help="folder of Fashion-MNIST; by default where pcx.data looks")
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--epochs", type=int, default=2, help="in each round that count")
    parser.add_argument("--only-memory", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--json", help="where the result is written")
    args = parser.parse_args()
    peak = memory(args)
    if args.only_memory:
        return
    data = load(args)
    bare = Bare(data, RULES["pc"])
    times = {name: [] for name in ("bare steps", "fit", "fit, 5 seeds", "fit, backprop")}
    for _ in range(args.rounds):
        times["bare steps"] += [bare.epoch() for _ in range(args.epochs)]
        times["fit"] += through_fit(data, RULES["pc"], args.epochs)
        times["fit, 5 seeds"] += through_fit(data, RULES["pc"], 1, seeds=range(5))
        times["fit, backprop"] += through_fit(data, RULES["backprop"], args.epochs)
    result = {
        "device": str(jax.devices()[0].device_kind),
        "versions": {k: pxt.versions()[k] for k in ("pcx", "python", "packages")},
        "seconds_of_an_epoch": {
            name: {"median": statistics.median(each), "min": min(each)} for name, each in times.items()
        },
        "fit_against_bare_steps": ratio(times["fit"], times["bare steps"], bar=1.1),
        "5_seeds_against_1": ratio(times["fit, 5 seeds"], times["fit"], bar=5.5),
        "pc_against_backprop": ratio(times["fit"], times["fit, backprop"]),
        "peak_memory_mb": {"value": peak, "bar": 1500},
        "times": times,
    }
    finish(json.loads(json.dumps(result)), args.json)


if __name__ == "__main__":
    main()
