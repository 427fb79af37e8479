"""What a step in fewer bits costs in accuracy, and how long it takes on this machine.

An MLP 784-128-128-128-10 (gelu, half squared errors) on Fashion-MNIST, by the rules below, under five policies:
float32; products in bfloat16 or float16 with values in float32, as `dtype=` has them; and with values in 16 bits, too.
The same seeds and batches for all.

- `accuracy`: on the test set after each epoch, in percent, for each seed.
- `gradient`: the relative error of the weights' gradient, by layer, against float32's, of one batch of the test set: at
  the first weights, and at those that float32 ended with.
- `milliseconds`: of a step of one network, policies in turn. CPUs have no fast 16 bits: this is no measure of what
  they are for.
- `not_ok`: batches whose step was refused or went uphill, of all.

    python benchmarks/dtypes.py --json dtypes.json
"""

import argparse
import functools
import statistics

import _environments as env
import jax
import jax.numpy as jnp
import numpy as np
import optax
from _common import finish, in_turns, milliseconds

import pcx as px
import pcx.data as pxd
import pcx.learning as pxl
import pcx.models as pxm

WIDTHS = [784, 128, 128, 128, 10]
BATCH = 128
POLICIES = {
    "float32": None,
    "bfloat16": "bfloat16",
    "bfloat16, values too": pxl.DTypePolicy("bfloat16", values="bfloat16"),
    "float16": "float16",
    "float16, values too": pxl.DTypePolicy("float16", values="float16"),
}
RULES = {
    "pc": lambda w, dtype: pxl.pc(w, optax.sgd(0.015, 0.3), 8, dtype=dtype),
    "ipc": lambda w, dtype: pxl.ipc(w, optax.sgd(0.3, 0.3), 8, dtype=dtype),
    "nudged": lambda w, dtype: pxl.nudged(w, optax.sgd(0.05, 0.5), 8, 0.5, dtype=dtype),
    "zil": lambda w, dtype: pxl.zil(w, dtype=dtype),
    "epc": lambda w, dtype: pxl.epc(w, optax.sgd(0.05), 5, dtype=dtype),
    "backprop": lambda w, dtype: pxl.backprop(w, dtype=dtype),
}
# A weight optimiser that keeps the gradient as its state.
GRADIENT = optax.GradientTransformation(
    lambda params: jax.tree.map(jnp.zeros_like, params),
    lambda updates, state, params=None: (jax.tree.map(jnp.zeros_like, updates), updates),
)


def network(seed):
    px.RKG.seed(seed)
    return pxm.MLP(WIDTHS, act=jax.nn.gelu)


def optimiser():
    return optax.adamw(1e-3, weight_decay=1e-3)


def train(make, policy, data, seeds, epochs):
    """Accuracies by seed and epoch, the last states, and how many steps were not ok."""
    (x, y), (test_x, test_y) = data
    rule = make(optimiser(), policy)
    states = pxl.stack([rule.init(network(seed), (x[:BATCH], y[:BATCH]), seed) for seed in seeds])
    steps = len(x) // BATCH

    @functools.partial(jax.jit, donate_argnums=0)
    def epoch(states, order):
        def one(states, rows):
            states, info = jax.vmap(rule.step)(states, (x[rows], y[rows]))
            return states, info.result != pxl.OUTCOME.ok

        return jax.lax.scan(one, states, order)

    @jax.jit
    def right(states, x, y):
        found = jax.vmap(lambda state: rule.predict(state, x))(states)
        return 100 * jnp.mean(jnp.argmax(found, -1) == y, axis=-1)

    accuracies, wrong = [], 0
    for i in range(epochs):
        orders = [np.random.default_rng([seed, i]).permutation(len(x))[: steps * BATCH] for seed in seeds]
        order = jnp.asarray(np.stack(orders).reshape(len(seeds), steps, BATCH).swapaxes(0, 1))
        states, not_ok = epoch(states, order)
        wrong += int(not_ok.sum())
        accuracies.append([round(float(a), 2) for a in right(states, test_x, test_y)])
    return np.array(accuracies).T.tolist(), states, wrong


def gradient(make, policy, model, batch):
    rule = make(GRADIENT, policy)
    state, _ = jax.jit(rule.step)(rule.init(model, batch), batch)
    return jax.device_get(state.optim)


def errors(found, expected):
    """Relative errors of the gradients of weight matrices, from the first layer to the last."""
    pairs = [(found[p], g) for p, g in expected.items() if p.endswith("weight")]
    return [float(f"{np.linalg.norm(a - b) / np.linalg.norm(b):.3g}") for a, b in pairs]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--subset", type=int, default=60_000)
    parser.add_argument("--rounds", type=int, default=15, help="of the times")
    parser.add_argument("--rules", nargs="*", default=list(RULES), choices=list(RULES))
    parser.add_argument("--policies", nargs="*", default=list(POLICIES), choices=list(POLICIES))
    args = parser.parse_args()
    found = pxd.fashion_mnist(flat=True)
    splits = (found.train.x[: args.subset], found.train.y[: args.subset]), (found.test.x, found.test.y)
    data = jax.tree.map(jnp.asarray, splits)
    batch = jax.tree.map(lambda a: a[:BATCH], data[1])
    rows = {}
    for name in args.rules:
        make, rows[name] = RULES[name], {}
        made, first, last = {}, None, None
        for policy in ["float32", *[p for p in args.policies if p != "float32"]]:
            dtypes = POLICIES[policy]
            accuracies, states, wrong = train(make, dtypes, data, range(args.seeds), args.epochs)
            model = network(0)
            at_first = gradient(make, dtypes, model, batch)
            if last is None:  # float32's, under every policy
                pxl.unstack(states)[0].write_to(ended := network(0))
                last = ended, gradient(make, dtypes, ended, batch)
                first = at_first
            final = [each[-1] for each in accuracies]
            rows[name][policy] = {
                "accuracy": accuracies,
                "mean": round(statistics.mean(final), 2),
                "deviation": round(statistics.stdev(final), 2) if len(final) > 1 else None,
                "gradient": {
                    "first": errors(at_first, first),
                    "last": errors(gradient(make, dtypes, last[0], batch), last[1]),
                },
                "not_ok": [wrong, args.seeds * args.epochs * (len(data[0][0]) // BATCH)],
            }
            rule = make(optimiser(), dtypes)
            step, state = jax.jit(rule.step), rule.init(model, batch)
            jax.block_until_ready(step(state, batch))
            made[policy] = functools.partial(step, state, batch)
            print(name, policy, rows[name][policy], flush=True)
        times = milliseconds(in_turns(made, args.rounds, 5, jax.block_until_ready))
        for policy, time in times.items():
            rows[name][policy]["milliseconds"] = time
        # After each rule: what there is of a run that is ended is kept.
        options = {key: value for key, value in vars(args).items() if key != "json"}
        versions = env.versions(env.sys.executable)
        finish({"options": options, "machine": env.machine(), "versions": versions, "rules": rows}, args.json)


if __name__ == "__main__":
    main()
