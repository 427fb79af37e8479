"""What the processes of `depth.py` share, whatever the package: sizes, the batch, the timing of steps, the report."""

import json
import time

import jax
import numpy as np

LEARN = 1e-3
RATE = 0.1  # of the values


def add_size(parser):
    parser.add_argument("--depth", type=int, default=8)
    parser.add_argument("--width", type=int, default=64)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--classic", action="store_true", help="784-128-128-128-10, T = 8")
    parser.add_argument("--seconds", type=float, default=1.0, help="of steps after the first call")


def batch(features, classes, size):
    rng = np.random.default_rng(0)
    y = np.eye(classes, dtype=np.float32)[rng.integers(classes, size=size)]
    return rng.normal(size=(size, features)).astype(np.float32), y


def steps(call, args, least=5, most=400):
    """Seconds of single steps, as many as `args.seconds` allow, after two that are not counted."""
    for _ in range(2):
        jax.block_until_ready(call())
    taken, end = [], time.perf_counter() + args.seconds
    while len(taken) < least or (time.perf_counter() < end and len(taken) < most):
        start = time.perf_counter()
        jax.block_until_ready(call())
        taken.append(time.perf_counter() - start)
    return taken


def report(package, first, taken, more):
    """Print one line of JSON."""
    made = {"first": first, "steps": taken, "jax": jax.__version__, "package": package.__version__, **more}
    print(json.dumps(made), flush=True)
