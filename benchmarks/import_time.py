"""What importing pcx and its packages adds to importing jax, equinox and optax: seconds, fresh processes in turn."""

import argparse
import statistics
import subprocess
import sys

from _common import finish

LIBRARIES = "import jax, equinox, optax"
ALL = "import pcx, pcx.functional, pcx.nn, pcx.predictive_coding, pcx.utils"


def seconds(statements):
    code = f"import time; t = time.perf_counter(); {statements}; print(time.perf_counter() - t)"
    return float(subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json")
    parser.add_argument("--rounds", type=int, default=10)
    args = parser.parse_args()
    seconds(f"{LIBRARIES}; {ALL}")  # compiles the bytecode
    times = {"libraries": [], "libraries and pcx": []}
    for _ in range(args.rounds):
        times["libraries"].append(seconds(LIBRARIES))
        times["libraries and pcx"].append(seconds(f"{LIBRARIES}; {ALL}"))
    result = {f"{name}, {what}": f(values) for name, values in times.items() for what, f in
              (("median", statistics.median), ("min", min))}  # fmt: skip
    result["added, of minima"] = min(times["libraries and pcx"]) - min(times["libraries"])
    finish(result, args.json)


if __name__ == "__main__":
    main()
