"""As `_deep.py`, in plain JAX: a step of PC written by hand for this very network, with no check of any number.

It is the least that a program of this form costs to trace and compile: a `fori_loop` of T steps of gradient descent on
the values of all layers, and one step of the weights' optimiser.
"""

import argparse
import itertools
import time

import jax
import jax.numpy as jnp
import numpy as np
import optax
from _deep_batch import LEARN, RATE, add_size, batch, report, steps
from _plain import descent, mlp


class plain:
    __version__ = "of this script"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("rule", choices=["pc"])
    add_size(parser)
    args = parser.parse_args()
    widths, T = ([784, 128, 128, 128, 10], 8) if args.classic else ([args.width] * (args.depth + 1), args.depth)
    rng, optimizer = np.random.default_rng(0), optax.sgd(LEARN, momentum=0.9)
    sizes = itertools.pairwise(widths)
    weights = [(jnp.asarray(rng.normal(size=(m, n)) / n**0.5, jnp.float32), jnp.zeros(m)) for n, m in sizes]
    x, y = (jnp.asarray(a) for a in batch(widths[0], widths[-1], args.batch))
    jax.block_until_ready((weights, x, y))

    start = time.perf_counter()
    optim = optimizer.init(weights)
    begun = time.perf_counter()
    compiled = descent(mlp(jnp.tanh), optimizer, T, RATE)
    weights, optim, e = jax.block_until_ready(compiled(weights, optim, x, y))
    first = {"init": begun - start, "first": time.perf_counter() - start}

    def call():
        nonlocal weights, optim, e
        weights, optim, e = compiled(weights, optim, x, y)
        return weights, e

    report(plain, first, steps(call, args), {"energy": float(e)})


if __name__ == "__main__":
    main()
