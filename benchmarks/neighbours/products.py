"""The matrix products of an update of predictive coding on each MLP of `run.py`, and nothing else, by plain JAX: what
no library can do without.

    python benchmarks/neighbours/products.py --json products.json

Values begin at the forward pass, so that in inference step t an error has come to `min(t, hidden layers)` layers: as
many send a gradient down and predict anew, a product each. A layer's prediction in the forward pass and the gradient of
its weights are one more each. Products of a shape are timed in four chains that don't wait for one another, which is
kinder than a network is.
"""

import argparse
import collections
import itertools
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

import _environments as env
import jax
import jax.numpy as jnp
from _common import finish, in_turns, milliseconds
from _workloads import WORKLOADS

CHAINS, LENGTH = 4, 50


def products_of(work):
    """How many products `[batch, a] @ [a, b]` an update has, by `(a, b)`."""
    shapes = list(itertools.pairwise(work.widths))
    hidden = len(shapes) - 1
    count = collections.Counter(shapes * 2)  # forward, and the gradients of the weights
    for t in range(1, work.T + 1):
        for shape in shapes[max(hidden - t, 0) + 1 :]:  # the first layer's input never moves
            count[shape] += 2
    return count


def chains(batch, a, b):
    """A call of many products `[batch, a] @ [a, b]` and `[batch, b] @ [b, a]` in turns, and how many they are."""
    w = jnp.full((a, b), 1 / (a * b) ** 0.5, jnp.float32)
    x = [jnp.full((batch, a), 1.0 + i, jnp.float32) for i in range(CHAINS)]

    @jax.jit
    def run(x, w):
        return jax.lax.fori_loop(0, LENGTH, lambda _, x: [(v @ w) @ w.T for v in x], x)

    return lambda: jax.block_until_ready(run(x, w)), 2 * CHAINS * LENGTH


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=pathlib.Path)
    parser.add_argument("--rounds", type=int, default=10)
    args = parser.parse_args()
    wanted = {name: products_of(work) for name, work in WORKLOADS.items() if work.widths}
    kinds = {(WORKLOADS[name].batch, *shape) for name, count in wanted.items() for shape in count}
    made = {kind: chains(*kind) for kind in sorted(kinds)}
    calls = {kind: call for kind, (call, _) in made.items()}
    in_turns(calls, 2)  # compiles
    taken = milliseconds(in_turns(calls, args.rounds))
    result = {"machine": env.machine(), "workloads": {}}
    for name, count in wanted.items():
        batch = WORKLOADS[name].batch
        row = {"what": str(WORKLOADS[name]), "products": sum(count.values())}
        row["gflop"] = 2e-9 * sum(n * batch * a * b for (a, b), n in count.items())
        for of in ("median_ms", "min_ms"):
            row[of] = sum(n * taken[batch, a, b][of] / made[batch, a, b][1] for (a, b), n in count.items())
        result["workloads"][name] = row
    finish(result, args.json)


if __name__ == "__main__":
    main()
