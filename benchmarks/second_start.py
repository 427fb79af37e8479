"""How soon `pcx train` has trained its first dispatch: without kept programs, with a folder for them that is empty, and
with one that a training before has filled (`--compile-cache`).

One batch is an epoch here, so the first dispatch is over when the first line of `metrics.jsonl` is there. Seconds from
the start of the process, imports included; the three take turns; medians and minima. `imports` is a process that
imports what a training does and no more.

`cpu` is the time of the process on all cores, as the system counts it (Linux): it says the same on a machine that has
other things to do, too. Compilation uses several cores: where they are free, the time by the clock is shorter.
"""

import argparse
import os
import pathlib
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

from _common import finish, ratio

IMPORTS = "import pcx.cli._train, pcx.training._checkpoint, jax; jax.devices(); jax.numpy.zeros(1)"


def used(process):
    """Seconds that a running process has used on all cores."""
    fields = pathlib.Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def of_children():
    spent = resource.getrusage(resource.RUSAGE_CHILDREN)
    return spent.ru_utime + spent.ru_stime


def until_first_line(command, run):
    """Seconds by the clock, and of the process, until it has trained its first dispatch."""
    start = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    lines = run / "metrics.jsonl"
    while not (lines.exists() and lines.stat().st_size):
        if process.poll() is not None:
            raise SystemExit(f"{' '.join(command)} failed:\n{process.stderr.read()[-2000:]}")
        time.sleep(0.005)
    seconds = time.perf_counter() - start, used(process)
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
        start, before = time.perf_counter(), of_children()
        subprocess.run([sys.executable, "-c", IMPORTS], check=True)
        taken["imports"].append((time.perf_counter() - start, of_children() - before))
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
    result = {}
    for which, kind in enumerate(("seconds", "cpu")):
        times = {name: [each[which] for each in rounds] for name, rounds in taken.items()}
        rest = {name: [max(s - min(times["imports"]), 0.0) for s in t] for name, t in times.items()}
        result[kind] = {
            **{name: {"median": statistics.median(t), "min": min(t)} for name, t in times.items()},
            "filled / off": ratio(times["filled"], times["off"], 0.5),
            "filled / empty": ratio(times["filled"], times["empty"], 0.5),
            "filled / off, without imports": ratio(rest["filled"], rest["off"]),
        }
    finish(result, args.json)


if __name__ == "__main__":
    main()
