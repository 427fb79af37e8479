"""What runs in a library's own environment: the first update, timed alone, and then updates whenever it is asked.

A driver is a class with

- `packages`: the names of the packages whose versions are reported;
- `__init__(work, rule, weights, x, y)`: makes network and batch as the library wants them, or raises
  `NotImplementedError` with the reason why it can't;
- `begin()`: all that a program waits for once its network and batch are there, up to the result of the first update;
- `step()`: one update, waited for;
- `energy()`: the number that the last update reported for the batch;
- `weights()`: pairs of arrays with the shapes of those that it was given.
"""

import argparse
import importlib.metadata
import json
import os
import pathlib
import sys

import numpy as np
from _common import seconds
from _workloads import WORKLOADS, load_start


def answers():
    """A function that prints a line of JSON. Whatever else is printed goes to the standard error."""
    out = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    return lambda answer: print(json.dumps(answer), file=out, flush=True)


def peak():
    """The most memory that this process has had, MiB; None where the system doesn't say. `getrusage` would count what
    the process that started it had, too."""
    status = pathlib.Path("/proc/self/status")
    if not status.exists():
        return None
    line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) / 1024


def turn(step, budget, most=1000):
    """Seconds of single updates, as many as fit into `budget` seconds, after one that is not counted unless it takes
    longer than that alone."""
    taken = [seconds(step)]
    if taken[0] > budget:
        return taken
    taken.clear()
    while sum(taken) < budget and len(taken) < most:
        taken.append(seconds(step))
    return taken


def flat(pairs):
    return np.concatenate([np.ravel(a).astype(np.float64) for pair in pairs for a in pair])


def main(driver):
    parser = argparse.ArgumentParser()
    parser.add_argument("--workload", choices=WORKLOADS, required=True)
    parser.add_argument("--rule", required=True)
    parser.add_argument("--start", required=True)
    parser.add_argument("--changes", required=True)
    args = parser.parse_args()
    answer = answers()
    weights, x, y = load_start(args.start)
    try:
        running = driver(WORKLOADS[args.workload], args.rule, weights, x, y)
    except NotImplementedError as why:
        answer({"cannot": str(why)})
        return
    before = peak()
    first = seconds(running.begin)
    energy, after = running.energy(), running.weights()
    np.save(args.changes, flat(after) - flat(weights))
    answer(
        {
            "first": first,
            "second": seconds(running.step),  # a library may compile twice
            "energy": energy,
            "before_mb": before,
            "peak_mb": peak(),
            "versions": {name: importlib.metadata.version(name) for name in driver.packages},
        }
    )
    for line in sys.stdin:
        answer({"steps": turn(running.step, float(line)), "peak_mb": peak()})
