"""Searches for the settings of each rule of `pcx run mnist`, by the same number of trials for each.

    python benchmarks/settings.py --data mnist --out benchmarks/results/settings-mnist
    python benchmarks/settings.py --write benchmarks/results/settings-mnist
    pcx run mnist --settings found --out benchmarks/results/mnist-found

The network 784-128-128-128-10 with squared error learns from the first samples of the training set, and is judged by
the last of the same set; the test set is never read. What is searched over is in `SPACE`: numbers alone, so that a rule
is one program. Steps, batch size and network are as published. Each trial's rate takes its whole course in the few
epochs of the search. The best is the trial with the highest accuracy after the last epoch, its numbers rounded to three
digits.

The same command goes on where one was killed. `--write` copies what a folder found into
`src/pcx/experiments/_found.py`, where `--settings found` reads it.
"""

import argparse
import ast
import json
import pathlib
import re
import shutil
import sys
import time

ROOT = pathlib.Path(__file__).parents[1]
FOUND = ROOT / "src" / "pcx" / "experiments" / "_found.py"
METRIC = "validation_accuracy"

_LR, _DECAY, _MOMENTUM = (1e-4, 1e-2, "log"), (1e-4, 5e-2, "log"), (0.0, 0.9, "even")
_WEIGHTS = {"lr": _LR, "weight_decay": _DECAY}
_PC = {**_WEIGHTS, "state_lr": (1e-3, 0.5, "log"), "state_momentum": _MOMENTUM}
_NUDGED = {**_PC, "beta": (0.02, 1.0, "log")}
SPACE = {
    "pc": _PC,
    # T updates of the weights a batch: rates that are lower by as much.
    "ipc": {**_PC, "lr": (3e-5, 3e-3, "log"), "state_lr": (0.05, 2.0, "log")},
    "zil": _WEIGHTS,
    "hil": {**_WEIGHTS, "state_lr": (0.01, 0.5, "log")},
    "fpa": _WEIGHTS,
    "epc": {**_WEIGHTS, "state_lr": (5e-4, 0.2, "log")},
    "pn": _NUDGED,
    "nn": _NUDGED,
    "cn": _NUDGED,
    "mcpc": {**_WEIGHTS, "state_lr": (0.01, 0.1, "log"), "variance": (1e-6, 1e-2, "log")},
    "backprop": _WEIGHTS,
}
"""Lowest and highest value of each number of a rule, and whether it is drawn evenly or evenly in its logarithm."""


def data_of(args):
    """Training and held-out samples, both of the training set, and the hash of its files' samples."""
    import numpy as np

    import pcx.data as pxd
    from pcx.experiments.frame import sha256_of

    load = {"mnist": pxd.mnist, "fashion-mnist": pxd.fashion_mnist}[args.data]
    raw = load(args.data_folder, dtype=np.uint8).train
    train = load(args.data_folder, flat=True, standardise=True).train
    if args.samples + args.held_out > len(train):
        sys.exit(f"--samples and --held-out are more than the {len(train)} samples of the training set")
    learned = train.x[: args.samples], train.y[: args.samples]
    held = train.x[-args.held_out :], train.y[-args.held_out :]
    return learned, held, sha256_of(raw.x, raw.y)


def search(rule, args, learned, held, folder):
    """All trials of a rule, and what they cost."""
    import jax
    import numpy as np

    import pcx.models as pxm
    import pcx.training as pxt
    from pcx.experiments._benchmark_rules import rule_of

    widths = [learned[0].shape[1], *args.hidden, int(np.max(learned[1])) + 1]
    batches = args.epochs * (len(learned[0]) // args.batch_size)
    domains = {"log": pxt.Log, "even": pxt.Uniform}
    begun, processor = time.perf_counter(), time.process_time()
    found = pxt.sweep(
        lambda: pxm.MLP(widths, act=jax.nn.gelu),
        lambda **numbers: rule_of(rule, numbers, args.T, len(widths) - 1, batches),
        learned,
        held,
        space={name: domains[kind](low, high) for name, (low, high, kind) in SPACE[rule].items()},
        epochs=args.epochs,
        trials=args.trials,
        metric=METRIC,
        batch_size=args.batch_size,
        folder=folder,
        config={"rule": rule},
        figure=False,
        show=False,
    )
    if found.ended != "done":
        sys.exit(f"{rule}: interrupted; the same command goes on")
    names = ("place", "setting", "ended", "why", "last", "value")
    return {
        "trials": [{name: row[name] for name in names} for row in found.rows],
        "seconds": {
            "processor": round(time.process_time() - processor, 1),
            "wall": round(time.perf_counter() - begun, 1),
        },
    }


def best_of(trials):
    """The best trial: its numbers to three digits, and its accuracy on the held-out samples after the last epoch."""
    done = [each for each in trials if each["ended"] == "done"]
    if not done:
        sys.exit(f"no trial went well: {sorted({each['why'] for each in trials})}")
    best = max(done, key=lambda each: each["last"][METRIC])
    settings = {name: float(f"{value:.3g}") for name, value in best["setting"].items()}
    return {"settings": settings, "held_out_accuracy": best["last"][METRIC], "trial": best["place"]}


def search_all(args):
    """Search for the settings of every rule, and seal the folder."""
    from pcx.experiments.frame import seal, software

    learned, held, digest = data_of(args)
    rules = {rule: SPACE[rule] for rule in (args.only or SPACE)}
    options = {name: getattr(args, name) for name in ("samples", "held_out", "epochs", "trials", "batch_size", "T")}
    config = {
        "command": "settings",
        "argv": ["python", "benchmarks/settings.py", *sys.argv[1:]],
        "data": args.data,
        "data_sha256": digest,
        "options": {**options, "hidden": list(args.hidden)},
        "space": json.loads(json.dumps(rules)),
    }
    out = args.out
    folder = begun(out, config)
    (out / "rules").mkdir(exist_ok=True)
    for rule in rules:
        if (out / "rules" / f"{rule}.json").is_file():
            continue
        print(f"{rule}: {args.trials} trials", file=sys.stderr)
        found = search(rule, args, learned, held, out / "sweeps" / rule)
        folder.write_json(f"rules/{rule}.json", found)
        print(f"{rule}: {best_of(found['trials'])}, {found['seconds']}", file=sys.stderr)
    read = {rule: folder.read_json(f"rules/{rule}.json") for rule in rules}
    seconds = {kind: round(sum(each["seconds"][kind] for each in read.values())) for kind in ("processor", "wall")}
    best = {rule: best_of(each["trials"]) for rule, each in read.items()}
    folder.write_json("summary.json", {"best": best, "seconds": seconds})
    folder.write_json("versions.json", software())
    shutil.rmtree(out / "sweeps", ignore_errors=True)
    seal(folder)
    print(f"{out}: {seconds['processor']} s of the processor, {seconds['wall']} s")


def begun(out, config):
    """The folder of a search, new, or of the same one that was killed."""
    from pcx.training import Folder

    try:
        folder = Folder(out, resume="auto")
    except FileExistsError:
        sys.exit(f"{out} is not empty; choose another --out")
    if not folder.resumed:
        folder.write_json("config.json", config)
        return folder
    was = folder.read_json("config.json")
    if changed := [name for name in config if name != "argv" and was.get(name) != config[name]]:
        sys.exit(f"{out} holds another search: {', '.join(changed)}; choose another --out")
    if (out / "sums.json").is_file():
        sys.exit(f"{out} is finished already")
    return folder


def write_found(folder, path=FOUND):
    """Copy what a search found into the file that `--settings found` reads."""
    config, summary = (json.loads((folder / name).read_text()) for name in ("config.json", "summary.json"))
    if missing := [rule for rule in SPACE if rule not in summary["best"]]:
        sys.exit(f"{folder} has no {missing[0]}: all rules must have been searched for by as many trials")
    text = path.read_text()
    head, _, rest = text.partition("FOUND: ")
    there = dict(ast.literal_eval(rest.partition(" = ")[2]))
    there[config["data"]] = {rule: each["settings"] for rule, each in summary["best"].items()}
    # As ruff's format has it: with a comma after the last one, too.
    body = re.sub(r"([^{,])\n", r"\1,\n", json.dumps(there, indent=4))
    path.write_text(f"{head}FOUND: {rest.partition(' = ')[0]} = {body}\n")


def main():
    """Search, or write what was found."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=pathlib.Path, help="folder of the search, new, or of one that was killed")
    parser.add_argument("--write", type=pathlib.Path, metavar="FOLDER", help="copy what it found into the package")
    parser.add_argument("--data", choices=["mnist", "fashion-mnist"], default="mnist")
    parser.add_argument("--data-folder", type=pathlib.Path, help="where the files are; see docs/data.md")
    parser.add_argument("--only", nargs="+", choices=list(SPACE), help="rules; all if left out")
    parser.add_argument("--trials", type=int, default=16, help="of each rule")
    parser.add_argument("--epochs", type=int, default=6)
    parser.add_argument("--samples", type=int, default=10_000, help="that are learned from, the first ones")
    parser.add_argument("--held-out", type=int, default=5_000, help="that judge, the last of the training set")
    parser.add_argument("--batch-size", type=int, default=128)
    parser.add_argument("--hidden", type=int, nargs="+", default=[128, 128, 128])
    parser.add_argument("--T", type=int, default=8)
    args = parser.parse_args()
    if (args.out is None) == (args.write is None):
        parser.error("give --out, to search, or --write")
    if args.write is not None:
        write_found(args.write)
    else:
        search_all(args)


if __name__ == "__main__":
    main()
