"""The cost of `fit(regime=)` on an MLP 784-128-128-128-10 on MNIST, in seconds of the processor.

    python benchmarks/regime.py --data FOLDER --json benchmarks/results/regime-cpu/regime.json

For each rule two runs take turns, one with `regime="auto"` and one without, in one process, in which both have been
compiled; so the difference is that of the looks. And once, before, what the first call costs: without, and how much
more where the health is looked at before the first batch, which compiles the program of all looks.
"""

import argparse
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


def trained(rule, data, epochs, regime=None):
    """Seconds of the processor that a run takes."""
    px.RKG.seed(0)
    model = pxm.MLP([784, 128, 128, 128, 10])
    start = time.process_time()
    pxt.fit(model, rule, data.train, data.test, epochs=epochs, show=False, regime=regime)
    return time.process_time() - start


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", help="folder of MNIST; by default where pcx.data looks")
    parser.add_argument("--rules", nargs="*", default=list(RULES), choices=RULES)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--epochs", type=int, default=4, help="of 468 batches each")
    parser.add_argument("--json", help="where the result is written")
    args = parser.parse_args()
    data = pxd.mnist(args.data)
    every, batches = pxa.Meter().every, args.epochs * 468
    found = {}
    for name in args.rules:
        rule = RULES[name]
        first = [trained(rule, data, 1, regime) for regime in (None, pxa.Meter(None), None, pxa.Meter(None))]
        times = {"without": [], "with": []}
        for _ in range(args.rounds):
            for kind, taken in times.items():
                taken.append(trained(rule, data, args.epochs, None if kind == "without" else "auto"))
        looks, best = 1 + batches // every, {k: min(t) for k, t in times.items()}
        per_look = (best["with"] - best["without"]) / looks
        found[name] = {
            "first_call_s": first[0] - first[2],
            "more_with_health_s": first[1] - first[3],
            "ms_per_batch": 1e3 * best["without"] / batches,
            "ms_per_look": 1e3 * per_look,
            "share_of_training": per_look / every / (best["without"] / batches),
            "with_over_without": ratio(times["with"], times["without"], bar=1.05),
            "seconds": times,
        }
        print(name, {k: v for k, v in found[name].items() if k != "seconds"}, flush=True)
    settings = {"every": every, "epochs": args.epochs, "batches": batches, "rounds": args.rounds}
    finish({"versions": pxt.versions(), "device": str(jax.devices()[0]), **settings, "rules": found}, args.json)


if __name__ == "__main__":
    main()
