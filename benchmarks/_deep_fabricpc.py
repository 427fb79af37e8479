"""As `_deep.py`, under the published fabricpc, used by its public functions as its documentation shows them.

The first call is `optimizer.init`, `make_train_step` and its first result; the graph, its params and the batch are made
before the clock starts.
"""

import argparse
import itertools
import time

import fabricpc
import jax
import jax.numpy as jnp
import optax
from _deep_batch import LEARN, RATE, add_size, batch, report, steps
from fabricpc.core import EPCInference, IdentityActivation, InferenceSGD, TanhActivation
from fabricpc.core.topology import Edge
from fabricpc.graph_assembly import TaskMap, graph
from fabricpc.nodes import Linear
from fabricpc.training import make_train_step

RULES = {"pc": InferenceSGD, "epc": EPCInference, "backprop": InferenceSGD}


def chain(widths, inference):
    """The graph of an MLP: tanh between layers, the last one linear."""
    last = len(widths) - 1
    nodes = [
        Linear(shape=(w,), name=f"n{i}", activation=TanhActivation() if 0 < i < last else IdentityActivation())
        for i, w in enumerate(widths)
    ]
    return graph(
        nodes=nodes,
        edges=[Edge(source=a, target=b.slot("in")) for a, b in itertools.pairwise(nodes)],
        task_map=TaskMap(x=nodes[0], y=nodes[-1]),
        inference=inference,
    )


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("rule", choices=RULES)
    add_size(parser)
    args = parser.parse_args()
    fabricpc.setup_jax()
    widths, T = ([784, 128, 128, 128, 10], 8) if args.classic else ([args.width] * (args.depth + 1), args.depth)
    structure = chain(widths, RULES[args.rule](eta_infer=RATE, infer_steps=T))
    key = jax.random.PRNGKey(0)
    params = jax.block_until_ready(fabricpc.initialize_params(structure, key))
    x, y = jax.block_until_ready([jnp.asarray(a) for a in batch(widths[0], widths[-1], args.batch)])
    pair = {"x": x, "y": y}
    optimizer = optax.sgd(LEARN, momentum=0.9)

    start = time.perf_counter()
    optim = optimizer.init(params)
    begun = time.perf_counter()
    step = make_train_step(structure, optimizer, algorithm="backprop" if args.rule == "backprop" else "pc")
    params, optim, metrics, _ = jax.block_until_ready(step(params, optim, pair, key))
    first = {"init": begun - start, "first": time.perf_counter() - start}

    def call():
        nonlocal params, optim
        params, optim, metrics, _ = step(params, optim, pair, key)
        return params, metrics

    report(fabricpc, first, steps(call, args), {"energy": float(metrics["energy"])})


if __name__ == "__main__":
    main()
