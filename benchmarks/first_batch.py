"""Seconds from the start of `pcx train` on Fashion-MNIST to the first finished batch: start of Python, imports, data
from disk, first weights, tracing, compiling, the batch.

    python benchmarks/first_batch.py --data FOLDER --json first-batch.json

A whole process each time, cold, without a compilation cache. A checkpoint is asked for after every batch, and the clock
stops when the first one lies whole in the run's folder, so its writing counts too. For each rule that is named.
"""

import argparse
import os
import pathlib
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

from _common import finish


def first_batch(rule, data, work):
    """Seconds until the first checkpoint is there."""
    out = work / "run"
    words = ["train", "--data", "fashion-mnist", "--rule", rule, "--checkpoint-every", "1", "--out", str(out)]
    command = [sys.executable, "-m", "pcx.cli", *words, *(["--data-folder", str(data)] if data else [])]
    env = {**os.environ, "JAX_PLATFORMS": os.environ.get("JAX_PLATFORMS", "cpu")}
    start = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, env=env)
    try:
        while not (out / "checkpoints" / "last" / "1").is_dir():
            if process.poll() is not None:
                raise RuntimeError(process.stderr.read().decode()[-2000:])
            time.sleep(0.005)
        return time.perf_counter() - start
    finally:
        process.kill()
        process.wait()
        shutil.rmtree(out, ignore_errors=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=pathlib.Path, help="folder of Fashion-MNIST; by default where pcx.data looks")
    parser.add_argument("--rules", nargs="*", default=["pc", "backprop"])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", help="where the result is written")
    args = parser.parse_args()
    times = {rule: [] for rule in args.rules}
    with tempfile.TemporaryDirectory(prefix="pcx-first-") as folder:
        for _ in range(args.rounds):
            for rule, taken in times.items():
                taken.append(first_batch(rule, args.data, pathlib.Path(folder)))
    import pcx.training as pxt

    seconds = {rule: {"median": statistics.median(t), "min": min(t), "max": max(t)} for rule, t in times.items()}
    versions = {k: pxt.versions()[k] for k in ("pcx", "python", "packages", "cpus")}
    finish({"versions": versions, "bar": 10.0, "seconds": seconds, "times": times}, args.json)


if __name__ == "__main__":
    main()
