"""What regime are the published settings in? Rules at the settings that the literature gives for the MLP
784-128-128-128-10 on MNIST and Fashion-MNIST, looked at before training and after each epoch.

    python benchmarks/published_regimes.py --out benchmarks/results/regimes-published

The settings: those found best in arXiv 2407.01163 for PC, nudged PC and iPC (states: SGD with momentum; weights: AdamW
with warm-up and cosine decay over all epochs); Z-IL and FPA as they are defined; ePC of arXiv 2505.20137 at step 1e-3
with 5 steps, and at a step a hundred times as large; muPC of arXiv 2505.13124, 30 layers, T = 30. And one that is not
published: PC until it rests, in 2,000 steps at most, on a tenth of the samples.

For each network and each look, on the same 128 held-out samples: the verdict and its reason, cosine and norm ratio to
backpropagation by layer, each node's share of the energy, what is left of its gradient, target alignment, curvature
and the largest stable step. Data sets are looked for as `pcx.data` does it. Writes `regimes.json` and a figure
for each data set.
"""

import argparse
import itertools
import json
import pathlib
import statistics
import sys
import time

import jax
import jax.numpy as jnp
import matplotlib
import optax

matplotlib.use("Agg")
import pcx as px
import pcx.analysis as pxa
import pcx.data as pxd
import pcx.inference as pxi
import pcx.learning as pxl
import pcx.models as pxm
import pcx.predictive_coding as pxc
import pcx.training as pxt

BATCH, LOOKED_AT = 128, 128
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#222222", "#E69F00", "#56B4E9")  # of Okabe and Ito
TENTH = ("PC-SE until it rests",)
DATA = {"mnist": pxd.mnist, "fashion-mnist": pxd.fashion_mnist}


def mlp(**options):
    return pxm.MLP([784, 128, 128, 128, 10], act=jax.nn.gelu, **options)


def adamw(lr, decay, steps):
    """Weights' optimiser of the common benchmark: a tenth of the steps up to 1.1 lr, then down to 0.1 lr."""
    warm = max(steps // 10, 1)
    rates = optax.warmup_cosine_decay_schedule(lr / 10, 1.1 * lr, warm, steps, lr / 10)
    return optax.adamw(rates, weight_decay=decay)


def momentum(lr, m):
    return optax.sgd(lr, momentum=m)


def settings(steps):
    """`{name: (make a model, rule)}`, for training by so many steps."""
    slow, values = adamw(3e-4, 5e-3, steps), momentum(0.015, 0.3)
    rests = pxi.GradientNorm(2000, 1e-4)
    return {
        "BP, SE": (mlp, pxl.backprop(slow)),
        "Z-IL": (mlp, pxl.zil(slow)),
        "FPA, g 1, T 4": (mlp, pxl.fpa(slow, optax.sgd(1.0), 4)),
        "ePC, step 1e-3, T 5": (mlp, pxl.epc(slow, optax.sgd(1e-3), 5)),
        "ePC, step 0.1, T 5": (mlp, pxl.epc(slow, optax.sgd(0.1), 5)),
        "PC-SE, T 8": (mlp, pxl.pc(slow, values, 8)),
        "PC-SE, T 4, lr .069": (mlp, pxl.pc(slow, momentum(0.069, 0.1), 4)),
        "PC-CE, T 8": (lambda: mlp(energy=pxc.ce_energy), pxl.pc(slow, values, 8)),
        "PN, b 0.1, T 8": (mlp, pxl.nudged(slow, values, 8, 0.1)),
        "NN, b -0.1, T 8": (mlp, pxl.nudged(slow, values, 8, -0.1)),
        "CN, b 0.1, T 8": (mlp, pxl.nudged(slow, values, 8, 0.1, centred=True)),
        "iPC, T 8": (mlp, pxl.ipc(adamw(2.6e-4, 2e-2, 8 * steps), momentum(0.82, 0.3), 8)),
        "muPC, 30 layers, T 30": (
            lambda: pxm.MuMLP([784, *[128] * 30, 10], act=jnp.tanh),
            pxl.pc(optax.adam(1e-2), optax.sgd(0.2), 30),
        ),
        "PC-SE until it rests": (mlp, pxl.pc(slow, momentum(0.1, 0.5), rests)),
    }


def read(name, samples):
    """Samples to train on, to judge by, and to look at."""
    found = DATA[name](flat=True, standardise=True)
    look = tuple(jnp.asarray(a[:LOOKED_AT]) for a in (found.test.x, found.test.y))
    return (found.train.x[:samples], found.train.y[:samples]), (found.test.x, found.test.y), look


def trained(name, make, rule, data, epochs, seed):
    """Records of a network before training and after each epoch, and its accuracy then."""
    (x, y), test, look = data
    share = len(x) // 10 if name in TENTH else len(x)
    px.RKG.seed(seed)
    model = make()
    records, accuracies = [pxa.regime(rule, model, look)], []

    def watch(report):
        records.append(pxa.regime(rule, report.states[0], look))
        accuracies.append(report.rows[0]["validation_accuracy"])

    train = x[:share], y[:share]
    done = pxt.fit(model, rule, train, test, epochs=epochs, batch_size=BATCH, callbacks=[watch], show=False)
    return records, accuracies, done.why


def figure(rows, path):
    """How far each layer's weight gradient is from backpropagation's after training, in direction and in size."""
    from matplotlib.figure import Figure

    # Of the settings of one network; the deeper one has other layers.
    shown = {row["setting"]: row["records"]["after"] for row in rows if len(row["records"]["after"]["share"]) <= 4}
    made = Figure((11, 4.2), layout="constrained")
    turned, sized = made.subplots(1, 2)
    looks = zip(shown.items(), itertools.product("-:", "os^Dv*X"), strict=False)
    for i, ((name, record), (line, marker)) in enumerate(looks):
        layers = list(record["module_cosine"])
        look = {"color": COLOURS[i % len(COLOURS)], "linestyle": line, "marker": marker, "markersize": 5, "label": name}
        # What is nearer than that is rounding.
        turned.plot(layers, [max(1 - (c or 0), 1e-7) for c in record["module_cosine"].values()], **look)
        sized.plot(layers, list(record["module_norm_ratio"].values()), **look)
    for ax, title in ((turned, "1 - cosine to backpropagation's gradient"), (sized, "its norm over backpropagation's")):
        ax.set_yscale("log")
        ax.set_title(title, fontsize="medium")
        ax.grid(axis="y", color="0.9")
        ax.set_axisbelow(True)
        ax.spines[["top", "right"]].set_visible(False)
    handles, names = turned.get_legend_handles_labels()
    made.legend(handles, names, loc="outside right center", frameon=False, fontsize="small")
    made.savefig(path, dpi=100)


def summary(name, records, accuracies, why, seconds):
    first, last = records[0], records[-1]
    low = [float(min(r.module_cosine.values())) for r in records]
    return {
        "setting": name,
        "verdicts": [r.verdict for r in records],
        "why": last.why,
        "least cosine": low,
        "accuracy": accuracies,
        "failed": why,
        "seconds": round(seconds, 1),
        "records": {"before": first.to_dict(), "after": last.to_dict()},
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=pathlib.Path, required=True, help="folder for the result and the figures")
    parser.add_argument("--data", nargs="*", choices=DATA, default=list(DATA))
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--samples", type=int, default=60_000, help="to train on")
    parser.add_argument("--only", nargs="*", help="settings whose names hold one of these words")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--draw", action="store_true", help="only draw what the folder holds once more")
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    if args.draw:
        for place, rows in json.loads((args.out / "regimes.json").read_text())["data"].items():
            figure(rows, args.out / f"{place}.png")
        return
    result = {"epochs": args.epochs, "samples": args.samples, "seed": args.seed, "data": {}}
    for place in args.data:
        data, found, rows = read(place, args.samples), {}, []
        steps = args.epochs * (args.samples // BATCH)
        for name, (make, rule) in settings(steps).items():
            if args.only and not any(word in name for word in args.only):
                continue
            begun = time.perf_counter()
            found[name], accuracies, why = trained(name, make, rule, data, args.epochs, args.seed)
            rows.append(summary(name, found[name], accuracies, why, time.perf_counter() - begun))
            row = rows[-1]
            print(
                f"{place}, {name}: {', '.join(row['verdicts'])}; accuracy {accuracies[-1] if accuracies else 'none'}; "
                f"least cosine {row['least cosine'][0]:.4f} to {row['least cosine'][-1]:.4f}",
                file=sys.stderr,
                flush=True,
            )
            result["data"][place] = rows
            (args.out / "regimes.json").write_text(json.dumps(result, indent=1) + "\n")
        figure(rows, args.out / f"{place}.png")
        took = statistics.fmean(row["seconds"] for row in rows)
        print(f"{place}: {len(rows)} settings, {took:.0f} s each", file=sys.stderr)


if __name__ == "__main__":
    main()
