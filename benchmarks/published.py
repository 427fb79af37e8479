"""A predictive coding step against the same under the published pcx 0.6.3, used as its users write it (`classic.py`).
Each package has a process and an environment of its own.

- `mlp`: 784-128-128-128-10, batch 256, T = 8. `vgg5`: 32x32x3, batch 32, T = 7.
- "program": that program under this pcx, unchanged. "rule": `pcx.learning.pc`.

The processes take turns at every round. The first two calls (trace, compile, run) in seconds, steps in milliseconds;
medians and minima. The weight changes of the first step are compared as a whole.
"""

import argparse
import pathlib
import tempfile

import _environments as env
import numpy as np
from _common import finish, milliseconds, ratio
from _processes import Answering

SIZES = {"mlp": (256, 8, 5), "vgg5": (32, 7, 1)}  # batch, T, training steps a round


def measure(pythons, network, rounds, folder):
    batch, T, number = SIZES[network]
    workers, early, times, changes = {}, {"first": {}, "second": {}}, {}, {}
    for name, python in pythons.items():
        file = folder / f"{network}-{len(workers)}.npz"
        options = [network, "--batch", batch, "--steps", T, "--number", number, "--changes", file]
        if name == env.OURS:
            options.append("--rule")
        workers[name] = Answering([python, env.HERE / "classic.py", *options], env.CLEAN)
        # One after the other, so that the first calls are timed alone.
        for which, taken in workers[name].read().items():
            early[which] |= {f"{name}, {kind}": s for kind, s in taken.items()}
        with np.load(file) as kept:
            changes |= {f"{name}, {kind}": kept[kind] for kind in kept.files}
    for _ in range(rounds):
        for name, worker in workers.items():
            for kind, s in worker.ask().items():
                times.setdefault(f"{name}, {kind}", []).append(s)
    for worker in workers.values():
        worker.end()
    published = f"{env.PUBLISHED}, program"
    theirs = changes.pop(published)
    ours = {"program": f"{env.OURS}, program", "rule": f"{env.OURS}, rule"}
    # The second call compiles once more under the published package.
    started = {name: s + early["second"][name] for name, s in early["first"].items()}
    return {
        "calls_s": early,
        "steps": milliseconds(times),
        "update difference": {
            name: float(np.linalg.norm(c - theirs) / np.linalg.norm(theirs)) for name, c in changes.items()
        },
        "ratios": {f"published / {kind}": ratio(times[published], times[name]) for kind, name in ours.items()}
        | {
            f"published / {kind}, first two calls": {"of_sums": started[published] / started[n]}
            for kind, n in ours.items()
        },
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json")
    parser.add_argument("--networks", nargs="*", choices=SIZES, default=list(SIZES))
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--vgg-rounds", type=int, default=3)
    env.add_options(parser)
    args = parser.parse_args()
    pythons = env.environments(args)
    result = {"versions": {name: env.versions(python) for name, python in pythons.items()}}
    with tempfile.TemporaryDirectory() as folder:
        for network in args.networks:
            rounds = args.vgg_rounds if network == "vgg5" else args.rounds
            result[network] = measure(pythons, network, rounds, pathlib.Path(folder))
    finish(result, args.json)


if __name__ == "__main__":
    main()
