"""How soon `pcx train` has trained its first dispatch: without kept programs, with a folder for them that is empty, and
with one that a training before has filled (`--compile-cache`).

One batch is an epoch here, so the first dispatch is over when the first line of `metrics.jsonl` is there. Seconds from
the start of the process, imports included; the three take turns; medians and minima. `imports` is a process that
imports what a training does and no more.
"""

import argparse
import pathlib
import shutil
import subprocess
import sys
import tempfile
import time

from _common import finish, ratio

IMPORTS = "import pcx.cli._train, pcx.training._checkpoint, jax; jax.devices(); jax.numpy.zeros(1)"


def until_first_line(command, run):
    start = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    lines = run / "metrics.jsonl"
    while not (lines.exists() and lines.stat().st_size):
        if process.poll() is not None:
            raise SystemExit(f"{' '.join(command)} failed:\n{process.stderr.read()[-2000:]}")
        time.sleep(0.005)
    seconds = time.perf_counter() - start
    process.communicate()
    return seconds


def measure(args, folder):
    taken = {name: [] for name in ("off", "empty", "filled", "imports")}
    words = ["--data", args.data, "--subset", "128", "--batch-size", "128", "--validation", "none", "--epochs", "1"]
    words += ["--rule", args.rule, "--model", args.model, "--quiet"]
    if args.hidden:
        words += ["--hidden", *map(str, args.hidden)]
    for _ in range(args.rounds):
        shutil.rmtree(folder / "kept", ignore_errors=True)
        for name in ("off", "empty", "filled"):
            run = folder / "run"
            shutil.rmtree(run, ignore_errors=True)
            kept = "off" if name == "off" else str(folder / "kept")
            command = [sys.executable, "-m", "pcx.cli", "train", *words, "--out", str(run), "--compile-cache", kept]
            taken[name].append(until_first_line(command, run))
        start = time.perf_counter()
        subprocess.run([sys.executable, "-c", IMPORTS], check=True)
        taken["imports"].append(time.perf_counter() - start)
    return taken


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json")
    parser.add_argument("--data", default="two-moons")
    parser.add_argument("--model", default="mlp")
    parser.add_argument("--rule", default="pc")
    parser.add_argument("--hidden", type=int, nargs="*")
    parser.add_argument("--rounds", type=int, default=5)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        taken = measure(args, pathlib.Path(folder))
    rest = {name: [max(s - min(taken["imports"]), 0.0) for s in times] for name, times in taken.items()}
    result = {
        "seconds": {name: {"median": sorted(t)[len(t) // 2], "min": min(t)} for name, t in taken.items()},
        "ratios": {
            "filled / off": ratio(taken["filled"], taken["off"], 0.5),
            "filled / off, without imports": ratio(rest["filled"], rest["off"]),
        },
    }
    finish(result, args.json)


if __name__ == "__main__":
    main()
