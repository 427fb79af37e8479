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


class plain:
    __version__ = "of this script"


def predictions(weights, values):
    """Of each layer from the values below it; the last one is linear."""
    *hidden, last = [v @ w.T + b for (w, b), v in zip(weights, values, strict=True)]
    return [*map(jnp.tanh, hidden), last]


def energy(hidden, weights, x, y):
    u = predictions(weights, [x, *hidden])
    return sum(0.5 * jnp.sum((h - p) ** 2) for h, p in zip([*hidden, y], u, strict=True))


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

    def step(weights, optim, x, y):
        hidden = []
        for w, b in weights[:-1]:
            hidden.append(jnp.tanh((hidden[-1] if hidden else x) @ w.T + b))
        down = jax.grad(energy)
        hidden = jax.lax.fori_loop(
            0, T, lambda _, h: [v - RATE * g for v, g in zip(h, down(h, weights, x, y), strict=True)], hidden
        )
        total, gradient = jax.value_and_grad(energy, 1)(hidden, weights, x, y)
        gradient = jax.tree.map(lambda g: g / len(x), gradient)
        updates, optim = optimizer.update(gradient, optim)
        return optax.apply_updates(weights, updates), optim, total / len(x)

    start = time.perf_counter()
    optim = optimizer.init(weights)
    begun = time.perf_counter()
    compiled = jax.jit(step)
    weights, optim, e = jax.block_until_ready(compiled(weights, optim, x, y))
    first = {"init": begun - start, "first": time.perf_counter() - start}

    def call():
        nonlocal weights, optim, e
        weights, optim, e = compiled(weights, optim, x, y)
        return weights, e

    report(plain, first, steps(call, args), {"energy": float(e)})


if __name__ == "__main__":
    main()
