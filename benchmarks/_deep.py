"""One deep network, once, in a process of its own: the first call of a rule in seconds, and then its steps.

An MLP of `--depth` layers of equal width, tanh, T = `--depth`; SGD on values. "classic" is 784-128-128-128-10, T = 8.
The first call is `rule.init`, `jax.jit(rule.step)` and its first result: all that a program waits for once its model
and batch are there. Imports, the model and the batch are made before the clock starts, as for other packages
(`_deep_fabricpc.py`).
"""

import argparse
import time

import jax
import jax.numpy as jnp
import optax
from _deep_batch import LEARN, RATE, add_size, batch, report, steps

import pcx as px
import pcx.learning as pxl
import pcx.models as pxm

RULES = {
    "pc": lambda optim, sgd, T: pxl.pc(optim, sgd, T),
    "mupc": lambda optim, sgd, T: pxl.pc(optim, sgd, T),
    "ipc": lambda optim, sgd, T: pxl.ipc(optim, sgd, T),
    "epc": lambda optim, sgd, T: pxl.epc(optim, sgd, T),
    "zil": lambda optim, sgd, T: pxl.zil(optim),
    "backprop": lambda optim, sgd, T: pxl.backprop(optim),
}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("rule", choices=RULES)
    add_size(parser)
    args = parser.parse_args()
    px.RKG.seed(0)
    widths, T = ([784, 128, 128, 128, 10], 8) if args.classic else ([args.width] * (args.depth + 1), args.depth)
    model = (pxm.MuMLP if args.rule == "mupc" else pxm.MLP)(widths, jnp.tanh)
    rule = RULES[args.rule](optax.sgd(LEARN, momentum=0.9), optax.sgd(RATE), T)
    pair = tuple(jax.block_until_ready([jnp.asarray(a) for a in batch(widths[0], widths[-1], args.batch)]))

    start = time.perf_counter()
    state = rule.init(model, pair)
    begun = time.perf_counter()
    step = jax.jit(rule.step)
    state, info = jax.block_until_ready(step(state, pair))
    first = {"init": begun - start, "first": time.perf_counter() - start}

    def call():
        nonlocal state
        state, info = step(state, pair)
        return state, info

    report(px, first, steps(call, args), {"energy": float(info.energy), "result": int(info.result)})


if __name__ == "__main__":
    main()
