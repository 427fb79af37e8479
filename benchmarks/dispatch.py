"""What a jitted call costs beyond the arithmetic.

A step that changes one param of a model with N pairs of a layer and a vode, its optimiser (SGD with momentum,
initialised) passed along, against a raw `jax.jit` call that takes and returns as many array leaves. Microseconds; calls
interleaved; medians and minima. Runs under any package with the pcx interface.
"""

import argparse
import statistics

from _common import finish, in_turns


def _pcx_step(n):
    import jax
    import jax.numpy as jnp
    import optax

    import pcx as px
    import pcx.functional as pxf
    import pcx.nn as pxnn
    import pcx.predictive_coding as pxc
    import pcx.utils as pxu

    class Model(pxc.EnergyModule):
        def __init__(self):
            super().__init__()
            self.act = px.static(jnp.tanh)
            self.layers = [pxnn.Linear(4, 4) for _ in range(n)]
            self.vodes = [pxc.Vode() for _ in range(n)]

        def __call__(self, x):
            for layer, vode in zip(self.layers, self.vodes, strict=True):
                x = vode(self.act(layer(x)))
            return x

    model = Model()
    axes = pxu.M(pxc.VodeParam | pxc.VodeParam.Cache).to((None, 0))

    @pxf.vmap(axes, in_axes=(0,), out_axes=0)
    def forward(x, *, model):
        return model(x)

    with pxu.step(model, pxc.STATUS.INIT, clear_params=pxc.VodeParam.Cache):
        forward(jnp.ones((8, 4)), model=model)
    optim = pxu.Optim(lambda: optax.sgd(0.1, momentum=0.9), pxu.M(pxnn.LayerParam)(model))

    @pxf.jit()
    def step(x, *, model, optim):
        model.vodes[0].h.set(model.vodes[0].h + x)

    x = jnp.asarray(1.0)
    leaves = len(jax.tree_util.tree_leaves((model, optim)))
    return (lambda: step(x, model=model, optim=optim)), leaves


def _raw_step(leaves):
    import jax
    import jax.numpy as jnp

    arrays = [jnp.ones((4, 4)) + i for i in range(leaves)]
    f = jax.jit(lambda xs, x: [y + x for y in xs])
    x = jnp.asarray(1.0)
    return lambda: f(arrays, x)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json")
    parser.add_argument("--pairs", type=int, nargs="*", default=[3, 10, 50])
    parser.add_argument("--rounds", type=int, default=40)
    args = parser.parse_args()
    import jax

    results = []
    for n in args.pairs:
        ours, leaves = _pcx_step(n)
        raw = _raw_step(leaves)
        for call in (ours, raw):
            for _ in range(20):
                call()
        row = {"pairs": n, "leaves": leaves}
        for name, values in in_turns({"pcx": ours, "raw": raw}, args.rounds, 20).items():
            row[f"{name}_median_us"] = statistics.median(values) * 1e6
            row[f"{name}_min_us"] = min(values) * 1e6
        row["ratio_of_medians"] = row["pcx_median_us"] / row["raw_median_us"]
        row["ratio_of_minima"] = row["pcx_min_us"] / row["raw_min_us"]
        results.append(row)
    finish({"jax": jax.__version__, "results": results}, args.json)


if __name__ == "__main__":
    main()
