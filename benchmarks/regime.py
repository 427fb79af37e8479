"""The cost of `fit(regime=)` on an MLP 784-128-128-128-10 on MNIST, in seconds of the processor.

    python benchmarks/regime.py --data FOLDER --json benchmarks/results/regime-cpu/regime.json

A look is timed where it is taken, between the batches of a run whose programs have all been compiled: the share is what
looks take every so many batches over what these batches take. Runs with and without take turns, too; their difference
is smaller than what one run differs from the next by. And once, before, what the first call of `fit` costs, and how
much more where the networks are looked at before the first batch, which compiles the program of all looks.
"""

import argparse
import statistics
import time

import jax
import optax
from _common import finish, ratio

import pcx as px
import pcx.analysis as pxa
import pcx.data as pxd
import pcx.learning as pxl
import pcx.models as pxm
import pcx.training as pxt

OPTIM = optax.adamw(3e-4)
RULES = {
    "pc, T=8": pxl.pc(OPTIM, optax.sgd(0.1), 8),
    "pc, T=20": pxl.pc(OPTIM, optax.sgd(0.1), 20),
    "epc, T=5": pxl.epc(OPTIM, optax.sgd(0.1), 5),
    "ipc, T=8": pxl.ipc(OPTIM, optax.sgd(0.1), 8),
    "zil": pxl.zil(OPTIM),
    "backprop": pxl.backprop(OPTIM),
}


class Timed(pxa.Meter):
    """The meter, with the seconds of the processor that each of its calls took."""

    def __init__(self, *args, **options):
        super().__init__(*args, **options)
        self.begun, self.looks = 0.0, []

    def begin(self, view):
        start = time.process_time()
        found = super().begin(view)
        self.begun = time.process_time() - start
        return found

    def look(self, view):
        start = time.process_time()
        found = super().look(view)
        self.looks.append(time.process_time() - start)
        return found


def trained(rule, data, epochs, regime=None):
    """Seconds of the processor that a run takes."""
    px.RKG.seed(0)
    model = pxm.MLP([784, 128, 128, 128, 10])
    start = time.process_time()
    pxt.fit(model, rule, data.train, data.test, epochs=epochs, show=False, regime=regime)
    return time.process_time() - start


def measured(rule, data, epochs, rounds, curvature):
    """The numbers of one rule."""
    plain = [trained(rule, data, 1) for _ in range(2)]
    meter = Timed(None, curvature=curvature)
    trained(rule, data, 1, meter)
    times, begun, looks = {"without": [], "with": []}, [], []
    batches = epochs * 468
    for _ in range(rounds):
        times["without"].append(trained(rule, data, epochs))
        again = Timed(curvature=curvature)
        times["with"].append(trained(rule, data, epochs, again))
        begun.append(again.begun)
        looks += again.looks[1:]  # the first one is what was seen when the run began
    per_batch, per_look = statistics.median(times["without"]) / batches, statistics.median(looks)
    return {
        "first_call_s": plain[0] - plain[1],
        "more_to_begin_s": meter.begun,
        "begin_again_ms": 1e3 * statistics.median(begun),
        "batch_ms": 1e3 * per_batch,
        "look_ms": 1e3 * per_look,
        "look_in_batches": per_look / per_batch,
        "share": {"value": per_look / (pxa.Meter().every * per_batch), "bar": 0.05},
        "with_over_without": ratio(times["with"], times["without"]),
        "seconds": times,
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", help="folder of MNIST; by default where pcx.data looks")
    parser.add_argument("--rules", nargs="*", default=list(RULES), choices=RULES)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--epochs", type=int, default=4, help="of 468 batches each, at least 2")
    parser.add_argument("--curvature", action="store_true", help="with the curvature measured at each look, too")
    parser.add_argument("--json", help="where the result is written")
    args = parser.parse_args()
    data = pxd.mnist(args.data)
    rules = {}
    for name in args.rules:
        rules[name] = measured(RULES[name], data, args.epochs, args.rounds, args.curvature)
        print(name, {k: v for k, v in rules[name].items() if k != "seconds"}, flush=True)
    settings = {
        "every": pxa.Meter().every,
        "epochs": args.epochs,
        "rounds": args.rounds,
        "curvature": args.curvature,
        "device": str(jax.devices()[0]),
    }
    finish({**settings, "rules": rules}, args.json)


if __name__ == "__main__":
    main()
