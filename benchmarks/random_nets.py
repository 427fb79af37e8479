"""Equal layers computed together against each apart, in float64: every rule, over networks put together at random.

A network has 10 to 14 layers: blocks of one to three that come again up to five times, and layers that don't. Layers
differ in their activation, in skips (also ones that reach further back than their block repeats), in whether all use
one weight or have their own, in what else they read, and in width. Of some the weight or the bias is frozen, some are
an earlier layer once more. Every rule is asked about every network: apart, looped and stacked, two steps from the same
weights on the same batch, of 4 to 12 inference steps each. Where a rule computes no layers together, there is nothing
to ask.

- `worst`: the largest difference of all weights and energies after the steps, relative to the largest number of their
  array, and of sums of energies to the largest of these; the bar is 1e-12.
- `grouped`: of how many networks the rule computed layers together. Z-IL takes ways of different length apart.
- `repeating`: in how many networks layers repeat at all; `reaching`: in how many a skip reaches further back than its
  run is long.
- `seconds`: of all, on this machine.

It compiles thousands of programs and takes hours. It prints how far it is, and after each network writes what is known.

    nice -n 19 python benchmarks/random_nets.py --json random_nets.json

Several processes take parts of the networks, or of the rules, and their results are made one:

    nice -n 19 python benchmarks/random_nets.py --first 0 --nets 50 --json nets_0.json
    nice -n 19 python benchmarks/random_nets.py --first 50 --nets 50 --json nets_50.json
    python benchmarks/random_nets.py --join nets_0.json nets_50.json --json random_nets.json
"""

import argparse
import itertools
import json
import os
import pathlib
import random
import sys
import time
import warnings

# Nothing is timed here: XLA may spend less on each of the programs.
os.environ["XLA_FLAGS"] = (
    f"{os.environ.get('XLA_FLAGS', '')} --xla_backend_optimization_level=0 --xla_llvm_disable_expensive_passes=true "
    "--xla_cpu_use_fusion_emitters=false --xla_cpu_parallel_codegen_split_count=1"
)

import jax
import jax.numpy as jnp
import numpy as np
import optax
from _common import finish

import pcx as px
import pcx.inference as pxi
import pcx.learning as pxl
import pcx.nn as pxnn
import pcx.predictive_coding as pxc
from pcx.energy import ModelArrays

BAR = 1e-12
SAMPLES, WIDTH = 3, 5
FORMS = ("looped", "stacked")
ACTS = {"tanh": jnp.tanh, "relu": jax.nn.relu, "sin": jnp.sin, "softplus": jax.nn.softplus}


class Contrastive(pxl.Rule):
    """A rule of one's own, that of the docs: the gradient at the target less that at the prediction."""

    name = "contrastive"
    in_stacks = True

    def __init__(self, optim_w, optim_h, T, **options):
        super().__init__(optim_w, **options)
        self.optim_h, self.T = optim_h, T

    def learn(self, bound, forward, memory):
        def settled(clamped):
            landscape = bound.landscape(clamped, forward=forward)
            solution = pxi.relax(landscape, landscape.start(), descent=self.optim_h, stop=self.T)
            return landscape.weight_gradient(solution.nodes), solution

        on, solution = settled(forward.targets)
        off, _ = settled({n: forward.u[n] for n in forward.targets})
        gradient = jax.tree.map(jnp.subtract, on.gradient, off.gradient)
        return pxl.Update(gradient, on.energies, steps=solution.steps, first_bad=solution.first_bad)


def w(rate=0.2):
    # Not Adam: its first steps have its rate as their size, even along a gradient of rounding errors.
    return optax.sgd(rate, momentum=0.5)


def h(momentum=None):
    return optax.sgd(0.3, momentum=momentum)


RULES = {
    "backprop": lambda how, n, T: pxl.backprop(w(), **how),
    "pc": lambda how, n, T: pxl.pc(w(), h(0.5), T, **how),
    "pc, kept": lambda how, n, T: pxl.pc(w(), h(), T, start=pxl.Kept(), **how),
    "pc, learned precision": lambda how, n, T: pxl.pc(
        w(), h(), T, precision=pxl.LearnedPrecision(optax.sgd(0.1)), **how
    ),
    "ipc": lambda how, n, T: pxl.ipc(w(0.2 / T), h(), T, **how),  # it updates weights T times a step
    "zil": lambda how, n, T: pxl.zil(w(), optax.sgd(0.5), level=True, **how),
    "hil": lambda how, n, T: pxl.hil(w(), h(), n + 1, **how),
    "fpa": lambda how, n, T: pxl.fpa(w(), optax.sgd(0.5), T, **how),
    "nudged": lambda how, n, T: pxl.nudged(w(), h(), T, -0.1, **how),
    "nudged, centred": lambda how, n, T: pxl.nudged(w(), h(), T, 0.1, centred=True, **how),
    "nudged, alternating": lambda how, n, T: pxl.nudged(w(), h(), T, 0.1, alternate=True, **how),
    "nudged, following": lambda how, n, T: pxl.nudged(w(), h(), T, 0.1, follow=True, **how),
    "epc": lambda how, n, T: pxl.epc(w(), h(), T, **how),
    "mcpc": lambda how, n, T: pxl.mcpc(w(), 0.1, T, burn_in=1, **how),
    "hybrid": lambda how, n, T: pxl.hybrid(w(), h(), T, **how),
    "bpc": lambda how, n, T: pxl.bpc(w(), h(), T, **how),
    "one's own": lambda how, n, T: Contrastive(w(), h(), T, **how),
}
PAIRS = ("hybrid", "bpc")


class Net(pxc.EnergyModule):
    """A network of a plan: for each layer its activation, its skip, whether it has a weight of its own, and whether it
    reads the first node's value, too."""

    def __init__(self, plan, widths, odd=()):
        super().__init__()
        self.plan = px.static(plan)
        self.common = pxnn.Linear(WIDTH, WIDTH)
        self.layers = [
            None if shared else pxnn.Linear(a, b)
            for (_, _, shared, _), a, b in zip(plan, widths, widths[1:], strict=False)
        ]
        for i, what in odd:
            if isinstance(what, int):
                self.layers[i] = self.layers[what]
            elif self.layers[i] is not None:
                getattr(self.layers[i].nn, what).frozen = True
        self.vodes = [pxc.Vode() for _ in plan[1:]] + [pxc.Vode(output=True)]

    def __call__(self, x, y=None):
        hs = [x]
        for (act, skip, _, first), layer, vode in zip(px.get(self.plan), self.layers, self.vodes, strict=True):
            u = (self.common if layer is None else layer)(hs[-1])
            u = ACTS[act](u) if act else u
            for back in (hs[-1 - skip] if 0 < skip < len(hs) else None, hs[1] if first and len(hs) > 2 else None):
                if back is not None and back.shape == u.shape:
                    u = u + 0.5 * back
            hs.append(vode(u))
        return self.vodes[-1].get("u")


class Pair(pxc.EnergyModule):
    """Two networks over the same values; the first has the odd layers."""

    def __init__(self, plan, widths, odd=()):
        super().__init__()
        self.recognition = Net(plan, widths, odd)
        back, shapes = (*plan[-2::-1], plan[-1]), itertools.pairwise(widths[::-1])
        # A weight that all share has one shape.
        alike = [p == q == WIDTH for p, q in shapes]
        self.generative = Net(
            [(a, s, c and fit, f) for (a, s, c, f), fit in zip(back, alike, strict=True)], widths[::-1]
        )


def random_net(seed):
    """Return the plan of a network, and its widths."""
    draw = random.Random(seed)

    def layer():
        return draw.choice(list(ACTS)), draw.choice([0, 0, 0, 1, 2, 4]), draw.random() < 0.15, draw.random() < 0.15

    depth, plan, widths = draw.randint(10, 14), [], [WIDTH]
    while len(plan) < depth - 1:
        block = [layer() for _ in range(draw.choice([1, 1, 2, 3]))] * draw.choice([1, 2, 2, 3, 5])
        plan += block
        widths += [WIDTH] * len(block)
        if draw.random() < 0.3:  # a layer of another width, and one back
            plan += [(draw.choice(list(ACTS)), 0, False, False)] * 2
            widths += [WIDTH + 2, WIDTH]
    plan, widths = plan[: depth - 1], widths[:depth]
    plan[0] = (plan[0][0], 0, False, False)
    # A weight that all share has one shape.
    plan = [(a, s, c and p == q == WIDTH, f) for (a, s, c, f), p, q in zip(plan, widths, widths[1:], strict=False)]
    return (*plan, ("", 0, False, False)), (*widths, WIDTH)


def odd_layers(seed, plan, widths):
    """Return which layers of a network are another one once more, and of which weight or bias is frozen."""
    draw = random.Random(seed + 1)
    shapes = list(itertools.pairwise(widths))
    odd = []
    for i in range(1, len(plan)):
        # Another one's: the one before the last as a rule, so that A B A is met.
        like = [j for j in (i - 2, draw.randrange(i)) if j >= 0 and shapes[j] == shapes[i] and not plan[j][2]]
        if like and not plan[i][2] and draw.random() < 0.2:
            odd.append((i, like[0]))
        elif draw.random() < 0.12:
            odd.append((i, draw.choice(["weight", "bias"])))
    return tuple(odd)


def trained(rule, make, data):
    px.RKG.seed(0)
    state = rule.init(make(), data)
    step = jax.jit(rule.step)
    for _ in range(2):
        state, info = step(state, data)
    return state, info


def difference(one, other):
    """Return the largest difference of weights and energies, relative to the largest number of their array."""
    (a, first), (b, second) = one, other
    if (int(first.result), int(first.first_bad)) != (int(second.result), int(second.first_bad)):
        return float("inf")
    found = []
    for path in a.weights:
        for u, v in zip(jax.tree.leaves(a.weights[path]), jax.tree.leaves(b.weights[path]), strict=True):
            found.append((u - v, u))
    energies = [np.asarray([float(info.energies[n]) for n in first.energies]) for info in (first, second)]
    found.append((energies[0] - energies[1], energies[0]))
    # Sums of these, which cancel where a precision is learned.
    most = np.max(np.abs(energies[0]))
    sums = zip(first[-1:] + first[:1], second[-1:] + second[:1], strict=True)
    found += [(x - y, np.maximum(np.abs(x), most)) for x, y in sums]
    each = [float(np.max(np.abs(off))) / (float(np.max(np.abs(whole))) or 1.0) for off, whole in found]
    return max(each) if np.all(np.isfinite(each)) else float("inf")


def problem_of(rule, make, data):
    state = rule.init(make(), data)
    return rule.problem(state.structure, ModelArrays(state.weights, state.rest), *map(jnp.asarray, data))


def reaches(problem):
    """Return whether a value is read from further back than its run is long."""
    order = problem.graph.order
    return any(back > run.repeats for run in problem.runs for back in run.depths(order).values())


def asked(rules, seed, result):
    """Ask all rules about a network."""
    plan, widths = random_net(seed)
    odd = odd_layers(seed, plan, widths)
    draw = np.random.default_rng(seed)
    T = int(draw.integers(4, 13))  # the error reaches some of the layers, or all
    data = draw.normal(size=(SAMPLES, widths[0])), draw.normal(size=(SAMPLES, widths[-1]))
    for name, make_rule in rules.items():
        kind = Pair if name in PAIRS else Net
        make, row = (lambda kind=kind: kind(plan, widths, odd)), result["rules"][name]
        forms = {how: make_rule({"equal_layers": how}, len(plan), T) for how in ("apart", *FORMS)}
        problem = problem_of(forms[FORMS[0]], make, data)
        grouped = {how: forms[how] for how in FORMS if forms[how].form(problem) is not None}
        row["grouped"] += bool(grouped)
        apart = trained(forms["apart"], make, data) if grouped else None  # else all would be the same program
        for how, rule in grouped.items():
            off = difference(apart, trained(rule, make, data))
            if off > row["worst"][how]["difference"]:
                row["worst"][how] = {"difference": off, "net": seed}
        worst = max(found["difference"] for found in row["worst"].values())
        print(f"network {seed}, {name}: worst so far {worst:.1e}", file=sys.stderr, flush=True)
        if name == "pc":
            result["repeating"] += bool(problem.runs)
            result["reaching"] += reaches(problem)


def joined(parts):
    """Return one result of several, which asked different networks, or different rules about the same ones."""
    rules = {name: [part["rules"][name] for part in parts if name in part["rules"]] for name in RULES}
    most = {n: sum(part["nets"] for part in parts if n in part["rules"]) for n in RULES}
    if len(set(most.values())) > 1:
        raise SystemExit(f"rules were asked about different numbers of networks: {most}")
    counted = [part for part in parts if "pc" in part["rules"]]  # it counts the kinds of networks
    result = {
        "nets": most["pc"],
        "of": most["pc"],
        "bar": BAR,
        **{kind: sum(part[kind] for part in counted) for kind in ("repeating", "reaching")},
        "rules": {
            name: {
                "worst": {
                    how: max((row["worst"][how] for row in rows), key=lambda w: w["difference"]) for how in FORMS
                },
                "grouped": sum(row["grouped"] for row in rows),
            }
            for name, rows in rules.items()
        },
        "seconds": sum(part["seconds"] for part in parts),
    }
    worst = max(w["difference"] for row in result["rules"].values() for w in row["worst"].values())
    return result | {"holds": worst <= BAR}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--nets", type=int, default=100, help="how many networks")
    parser.add_argument("--first", type=int, default=0, help="the seed of the first one")
    parser.add_argument("--rules", nargs="*", default=list(RULES), choices=list(RULES))
    parser.add_argument("--json", help="write the result here, too, after each network")
    parser.add_argument("--join", nargs="+", metavar="FILE", help="ask nothing: make one result of those in the files")
    args = parser.parse_args()
    if args.join:
        result = joined([json.loads(pathlib.Path(file).read_text()) for file in args.join])
        finish(result, args.json)
        sys.exit(0 if result["holds"] else 1)
    jax.config.update("jax_enable_x64", True)
    warnings.simplefilter("ignore")  # that few steps leave layers out
    nothing = {"difference": 0.0, "net": None}
    result = {
        "nets": 0,
        "of": args.nets,
        "bar": BAR,
        "repeating": 0,
        "reaching": 0,
        "rules": {n: {"worst": {how: dict(nothing) for how in FORMS}, "grouped": 0} for n in args.rules},
    }
    start = time.perf_counter()
    for i in range(args.nets):
        asked({n: RULES[n] for n in args.rules}, args.first + i, result)
        jax.clear_caches()
        worst = {n: max(w["difference"] for w in row["worst"].values()) for n, row in result["rules"].items()}
        most = max(worst, key=worst.get)
        result |= {"nets": i + 1, "seconds": round(time.perf_counter() - start), "holds": worst[most] <= BAR}
        seconds = result["seconds"]
        print(
            f"{i + 1}/{args.nets} networks, {seconds} s, worst {worst[most]:.1e} ({most})", file=sys.stderr, flush=True
        )
        if args.json and i + 1 < args.nets:
            pathlib.Path(args.json).write_text(json.dumps(result, indent=2) + "\n")
    finish(result, args.json)
    sys.exit(0 if result["holds"] else 1)


if __name__ == "__main__":
    main()
