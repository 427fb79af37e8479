"""Everything that is measured of the foundation, in one run, into one folder.

Builds an environment for this pcx and one for the published pcx 0.6.3, runs each script in turn, and leaves the
commands, versions, logs and results below `--out`.

    python benchmarks/foundation.py PROGRAM --out benchmarks/results/foundation-cpu
"""

import argparse
import pathlib
import sys

import _environments as env


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("program", type=pathlib.Path, help="a program written for the pcx interface")
    parser.add_argument("--out", type=pathlib.Path, required=True)
    parser.add_argument("--rounds", type=int, default=3)
    env.add_options(parser)
    args = parser.parse_args()
    pythons = env.environments(args)
    ours, published = pythons.values()
    program, work = args.program.resolve(), args.work.resolve()
    runs = {
        "dispatch": (ours, "dispatch.py"),
        "dispatch-published": (published, "dispatch.py", "--rounds", 10),
        "import-time": (ours, "import_time.py"),
        "zil-step": (ours, "zil_step.py"),
        "loops": (ours, "loops.py"),
        "loops-momentum": (ours, "loops.py", "--momentum", 0.9),
        "acceptance": (sys.executable, "acceptance.py", program, "--rounds", args.rounds, "--work", work),
    }
    env.record(args.out.resolve(), pythons, runs)


if __name__ == "__main__":
    main()
