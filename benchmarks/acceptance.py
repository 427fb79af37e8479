"""A whole program written for the pcx interface, as it is, under this pcx and under the published pcx 0.6.3.

Builds a virtual environment for each below `--work` and runs the program in both in turn. Wall seconds of the whole
process, cold start included; medians and minima; the last lines that each printed are kept.

    python benchmarks/acceptance.py PROGRAM --json result.json
"""

import argparse
import pathlib
import statistics

import _environments as env
from _common import finish


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("program", type=pathlib.Path)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json")
    env.add_options(parser)
    args = parser.parse_args()
    pythons = env.environments(args)
    seconds = {name: [] for name in pythons}
    printed = {}
    for _ in range(args.rounds):
        for name, python in pythons.items():
            taken, printed[name] = env.run([python, args.program.resolve()])
            seconds[name].append(taken)
            print(f"{name}: {taken:.2f} s", flush=True)
    ours, theirs = seconds.values()
    result = {
        "program": args.program.name,
        "machine": env.machine(),
        "versions": {name: env.versions(python) for name, python in pythons.items()},
        "seconds": seconds,
        "printed": printed,
        "ratio_of_medians": statistics.median(theirs) / statistics.median(ours),
        "ratio_of_minima": min(theirs) / min(ours),
    }
    finish(result, args.json)


if __name__ == "__main__":
    main()
