"""`pcx run zil` for Z-IL and HIL, 8 seeds and 8 epochs each, against a program that does the same under the published
pcx 0.6.3.

Whole processes in turn, cold start included, without a compilation cache; wall seconds, medians and minima; the last
lines that each printed are kept.

    python benchmarks/study.py PROGRAM --json result.json
"""

import argparse
import pathlib
import tempfile

import _environments as env
from _common import finish, ratio

STUDY = ["run", "zil", "--seeds", "8", "--epochs", "8"]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("program", type=pathlib.Path)
    parser.add_argument("--json")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--rules", nargs="*", default=["zil", "hil"])
    env.add_options(parser)
    args = parser.parse_args()
    pythons = env.environments(args)
    words = [*STUDY, "--rule", *args.rules]
    command = [pythons[env.OURS].parent / "pcx", *words]
    seconds = {"pcx run zil": [], env.PUBLISHED: []}
    printed = {}
    with tempfile.TemporaryDirectory() as folder:
        for i in range(args.rounds):
            for name, process in {
                "pcx run zil": [*command, "--out", f"{folder}/{i}"],
                env.PUBLISHED: [pythons[env.PUBLISHED], args.program.resolve()],
            }.items():
                taken, lines = env.run(process)
                printed[name] = [line.replace(folder, "RUN") for line in lines]
                seconds[name].append(taken)
                print(f"{name}: {taken:.2f} s", flush=True)
    finish(
        {
            "program": args.program.name,
            "command": " ".join(["pcx", *words]),
            "machine": env.machine(),
            "versions": {name: env.versions(python) for name, python in pythons.items()},
            "seconds": seconds,
            "printed": printed,
            "ratios": {"pcx run zil / published": ratio(seconds["pcx run zil"], seconds[env.PUBLISHED], 1 / 8)},
        },
        args.json,
    )


if __name__ == "__main__":
    main()
