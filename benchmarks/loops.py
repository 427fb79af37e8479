"""Training steps whose T inference steps run as a loop: under `pxf.scan` for T = 8 and T = 64 (compile and run time),
and as a Python `for` inside `pxf.jit` against the same unrolled loop in plain JAX (T = 8). An MLP 64-128-128-128-10,
batch 128, states by SGD (`--momentum` adds momentum), weights by SGD once at the end.
"""

import argparse
import itertools
import statistics

import jax
import jax.numpy as jnp
import numpy as np
import optax
from _common import finish, in_turns, seconds

import pcx as px
import pcx.functional as pxf
import pcx.nn as pxnn
import pcx.predictive_coding as pxc
import pcx.utils as pxu

WIDTHS = [64, 128, 128, 128, 10]
BATCH = 128
AXES = pxu.M(pxc.VodeParam | pxc.VodeParam.Cache).to((None, 0))
STATES = pxu.M_hasnot(pxc.VodeParam, frozen=True).to((False, True))
WEIGHTS = pxu.M(pxnn.LayerParam).to((False, True))


class MLP(pxc.EnergyModule):
    def __init__(self):
        super().__init__()
        self.layers = [pxnn.Linear(a, b) for a, b in itertools.pairwise(WIDTHS)]
        self.vodes = [pxc.Vode() for _ in WIDTHS[1:]]
        self.vodes[-1].h.frozen = True

    def __call__(self, x, y):
        for i, (layer, vode) in enumerate(zip(self.layers, self.vodes, strict=True)):
            x = vode(layer(x if i == 0 else jnp.tanh(x)))
        if y is not None:
            self.vodes[-1].set("h", y)
        return self.vodes[-1].get("u")


@pxf.vmap(AXES, in_axes=(0, 0), out_axes=0)
def forward(x, y, *, model):
    return model(x, y)


@pxf.vmap(AXES, in_axes=(0,), out_axes=None, axis_name="batch")
def energy(x, *, model):
    model(x, None)
    return jax.lax.psum(model.energy(), "batch")


def inference(x, *, model, optim_h):
    with pxu.step(model, clear_params=pxc.VodeParam.Cache):
        _, grads = pxf.value_and_grad(STATES)(energy)(x, model=model)
    optim_h.step(model, grads["model"])


def make_step(steps, use_scan):
    @pxf.jit()
    def train(x, y, *, model, optim_w, optim_h):
        with pxu.step(model, pxc.STATUS.INIT, clear_params=pxc.VodeParam.Cache):
            forward(x, y, model=model)
        optim_h.init(pxu.M_hasnot(pxc.VodeParam, frozen=True)(model))
        if use_scan:

            def body(_, *, model, optim_h):
                inference(x, model=model, optim_h=optim_h)
                return (), None

            pxf.scan(body, length=steps)(model=model, optim_h=optim_h)
        else:
            for _ in range(steps):
                inference(x, model=model, optim_h=optim_h)
        optim_h.clear()
        with pxu.step(model, clear_params=pxc.VodeParam.Cache):
            _, grads = pxf.value_and_grad(WEIGHTS)(energy)(x, model=model)
        optim_w.step(model, grads["model"], scale_by=1.0 / x.shape[0])

    return train


def make_plain(steps, optim_h, optim_w):
    """The same unrolled loop by hand."""

    def predictions(weights, x, hs):
        us = []
        for i, (w, b) in enumerate(weights):
            us.append(w @ (x if i == 0 else jnp.tanh(x)) + b)
            x = us[-1] if hs is None else hs[i]
        return us

    def sample_energy(weights, x, hs):
        us = predictions(weights, x, hs)
        return jax.lax.psum(sum(jnp.sum(0.5 * jnp.square(h - u)) for h, u in zip(hs, us, strict=True)), "batch")

    def total(weights, x, hs, y):
        over_batch = jax.vmap(sample_energy, in_axes=(None, 0, 0), out_axes=None, axis_name="batch")
        return over_batch(weights, x, [*hs, y])

    @jax.jit
    def train(weights, state_w, x, y):
        hs = jax.vmap(lambda x: predictions(weights, x, None)[:-1])(x)
        state_h = optim_h.init(hs)
        for _ in range(steps):
            grads = jax.grad(total, argnums=2)(weights, x, hs, y)
            updates, state_h = optim_h.update(grads, state_h)
            hs = optax.apply_updates(hs, updates)
        grads = jax.tree.map(lambda g: g / x.shape[0], jax.grad(total)(weights, x, hs, y))
        updates, state_w = optim_w.update(grads, state_w)
        return optax.apply_updates(weights, updates), state_w

    return train


def data():
    rng = np.random.default_rng(0)
    x = jnp.asarray(rng.normal(size=(BATCH, WIDTHS[0])), jnp.float32)
    return x, jnp.asarray(np.eye(WIDTHS[-1])[rng.integers(WIDTHS[-1], size=BATCH)], jnp.float32)


def build(kind, steps, state_opt):
    px.RKG.seed(0)
    model = MLP()
    x, y = data()
    opt_w = lambda: optax.sgd(0.01)  # noqa: E731
    if kind == "plain":
        weights = [(la.nn.weight.get(), la.nn.bias.get()) for la in model.layers]
        step = make_plain(steps, state_opt(), opt_w())
        box = [weights, opt_w().init(weights)]

        def call():
            box[:] = step(*box, x, y)
            return box[0]

        return call
    step = make_step(steps, kind == "scan")
    optim_w = pxu.Optim(opt_w, pxu.M(pxnn.LayerParam)(model))
    optim_h = pxu.Optim(state_opt)

    def call():
        step(x, y, model=model, optim_w=optim_w, optim_h=optim_h)
        return model.layers[0].nn.weight.get()

    return call


def measure(cases, state_opt, rounds):
    """First call (trace and compile) and run time of each case; several fresh compilations, interleaved."""
    first = {case: [] for case in cases}
    for _ in range(5):
        calls = {}
        for case in cases:
            jax.clear_caches()
            import pcx.functional._jit as _jit

            _jit._ALL_PROGRAMS.clear()
            calls[case] = build(*case, state_opt)
            first[case].append(seconds(calls[case], 1, jax.block_until_ready))
    times = in_turns(calls, rounds, 5, jax.block_until_ready)
    return {
        f"{kind} T={steps}": {
            "first_call_s_min": min(first[kind, steps]),
            "first_call_s_median": statistics.median(first[kind, steps]),
            "run_ms_median": statistics.median(times[kind, steps]) * 1e3,
            "run_ms_min": min(times[kind, steps]) * 1e3,
        }
        for kind, steps in cases
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json")
    parser.add_argument("--momentum", type=float, default=None)
    parser.add_argument("--rounds", type=int, default=20)
    args = parser.parse_args()

    def state_opt():
        return optax.sgd(0.1, momentum=args.momentum)

    cases = [("scan", 8), ("scan", 64), ("for", 8), ("plain", 8)]
    rows = measure(cases, state_opt, args.rounds)
    run, first = "run_ms_min", "first_call_s_min"
    ratios = {
        "scan: first call T=64 / T=8": rows["scan T=64"][first] / rows["scan T=8"][first],
        "scan: run T=64 / T=8": rows["scan T=64"][run] / rows["scan T=8"][run],
        "for / plain: first call, T=8": rows["for T=8"][first] / rows["plain T=8"][first],
        "for / plain: run, T=8": rows["for T=8"][run] / rows["plain T=8"][run],
    }
    result = {"jax": jax.__version__, "device": str(jax.devices()[0]), "rows": rows, "ratios of minima": ratios}
    finish(result, args.json)


if __name__ == "__main__":
    main()
