"""How the time to lower and compile a predictive coding step depends on T and on depth, and its run time on T.

- MLP 784-128-128-128-10, batch 256: lowering (tracing included) and compiling for T = 8 and T = 64, several times in
  turn, each with a fresh model and rule; run time for T = 8, 16, 32, 64.
- MLPs of width 64 and depth 8, 32, 128, batch 64, T the depth but no more than 32: once each; and a step of plain
  backpropagation of the same network with the same optimiser, which is written out layer by layer too.

Seconds to compile, milliseconds to run; medians and minima.
"""

import argparse
import statistics
import time

import jax
import jax.numpy as jnp
import numpy as np
import optax
from _common import finish, in_turns, milliseconds, ratio
from _plain import backprop, mlp, squared_error

import pcx as px
import pcx.learning as pxl
import pcx.models as pxm


def prepared(widths, batch, T):
    """A jitted step that was not traced yet, with its arguments."""
    px.RKG.seed(0)
    model = pxm.MLP(widths, jnp.tanh)
    rng = np.random.default_rng(0)
    x = jnp.asarray(rng.normal(size=(batch, widths[0])), jnp.float32)
    y = jnp.asarray(np.eye(widths[-1])[rng.integers(widths[-1], size=batch)], jnp.float32)
    rule = pxl.pc(optax.sgd(0.01, momentum=0.9), optax.sgd(0.1), T)
    return jax.jit(rule.step), (rule.init(model, (x, y)), (x, y))


def compiled(widths, batch, T):
    """Seconds to lower and to compile, and the step with its arguments."""
    jax.clear_caches()
    step, args = prepared(widths, batch, T)
    start = time.perf_counter()
    lowered = step.lower(*args)
    middle = time.perf_counter()
    lowered.compile()
    return {"lower": middle - start, "compile": time.perf_counter() - middle}, step, args


def over_steps(repeats, rounds):
    widths, batch = [784, 128, 128, 128, 10], 256
    taken = {T: [] for T in (8, 64)}
    for _ in range(repeats):
        for T in taken:
            taken[T].append(compiled(widths, batch, T)[0])
    calls = {}
    for T in (8, 16, 32, 64):
        step, args = prepared(widths, batch, T)
        jax.block_until_ready(step(*args))
        calls[T] = lambda step=step, args=args: step(*args)
    times = in_turns(calls, rounds, 2, jax.block_until_ready)

    def part(T, name):
        return [sum(t.values()) if name is None else t[name] for t in taken[T]]

    least = {T: min(t) for T, t in times.items()}
    line = np.polyfit(list(least), list(least.values()), 1)
    off = max(abs(np.polyval(line, T) / t - 1) for T, t in least.items())
    return {
        "seconds": {
            f"T={T}": {
                f"{name}_{how.__name__}": how(part(T, name))
                for name in ("lower", "compile")
                for how in (statistics.median, min)
            }
            for T in taken
        },
        "steps": {f"T={T}": t for T, t in milliseconds(times).items()},
        "run, of minima": {
            "each further inference step, ms": line[0] * 1e3,
            "without inference, ms": line[1] * 1e3,
            "largest relative distance from that line": off,
        },
        "ratios": {
            "lower + compile, T=64 / T=8": ratio(part(64, None), part(8, None), 1.2),
            "compile alone, T=64 / T=8": ratio(part(64, "compile"), part(8, "compile")),
            "run, T=64 / T=8": ratio(times[64], times[8]),
        },
    }


def plain(widths, state, batch):
    """Seconds to lower and to compile a step of backpropagation, written by hand."""
    jax.clear_caches()
    optimiser = optax.sgd(0.01, momentum=0.9)
    pairs = [
        tuple(state.weights[f"layers[{i}].nn.{part}"] for part in ("weight", "bias")) for i in range(len(widths) - 1)
    ]
    start = time.perf_counter()
    lowered = backprop(mlp(jnp.tanh), squared_error, optimiser).lower(pairs, optimiser.init(pairs), *batch)
    middle = time.perf_counter()
    lowered.compile()
    return {"lower": middle - start, "compile": time.perf_counter() - middle}


def over_depth(depths):
    rows = {}
    for depth in depths:
        T, widths = min(depth, 32), [64] * (depth + 1)
        taken, step, args = compiled(widths, 64, T)
        jax.block_until_ready(step(*args))
        start = time.perf_counter()
        jax.block_until_ready(step(*args))
        rows[f"depth {depth}, T={T}"] = {
            **{f"{k}_s": v for k, v in taken.items()},
            "run_ms": (time.perf_counter() - start) * 1e3,
            **{f"plain backprop, {k}_s": v for k, v in plain(widths, *args).items()},
        }
    return rows


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json")
    parser.add_argument("--repeats", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--depths", type=int, nargs="*", default=[8, 32, 128])
    args = parser.parse_args()
    result = {
        "jax": jax.__version__,
        "device": str(jax.devices()[0]),
        "over T": over_steps(args.repeats, args.rounds),
        "over depth": over_depth(args.depths),
    }
    finish(result, args.json)


if __name__ == "__main__":
    main()
