"""The first call and the steps of deep networks, against the published fabricpc 0.6.0, and of two versions of this
package against each other. See `_deep.py` for the networks and for what a first call is.

- `first`: width 64, batch 64, by depth: first call and step of each rule, of fabricpc's where it has the rule, and of a
  PC step written by hand in plain JAX without a check (`_deep_plain.py`).
- `steps`: the step of one rule by width, batch and depth; sizes whose step is estimated to take longer than `--largest`
  seconds are left out. And of 784-128-128-128-10, batch 256, T = 8.

Each measurement is a process of its own; they take turns at every round. Seconds for the first call, milliseconds a
step; medians and minima of all rounds. Ratios are to the last source, or to fabricpc.

`--src A --src B` names source trees of this package (folders with `pcx` in them) to be compared.
"""

import argparse
import json
import pathlib
import statistics
import subprocess
import sys

import _environments as env
from _common import finish

FABRIC = "fabricpc 0.6.0"
THEIRS = ("pc", "epc", "backprop")
PLAIN = "plain JAX"
FLOPS = 4e10  # a second, on the cores that a step has: only what is left out depends on it


def sides(args):
    """`{name: (python, script, environment)}` of all that take turns."""
    made, names = {}, args.src or [env.ROOT / "src"]
    for src in names:
        path = pathlib.Path(src).resolve()
        if not (path / "pcx" / "__init__.py").exists():
            raise SystemExit(f"--src {src}: there is no folder pcx in it")
        name = "pcx" if len(names) == 1 else str(src)
        made[name] = (sys.executable, "_deep.py", {**env.CLEAN, "PYTHONPATH": str(path)})
    if "first" in args.parts:
        made[PLAIN] = (sys.executable, "_deep_plain.py", env.CLEAN)
    if "first" in args.parts and not args.no_fabricpc:
        python = env.neighbour(args, FABRIC.replace(" ", "-"), FABRIC.replace(" ", "=="))
        made[FABRIC] = (python, "_deep_fabricpc.py", env.CLEAN)
    return made


def once(side, rule, size, seconds):
    python, script, environment = side
    options = [f"--{k}={v}" if v is not True else f"--{k}" for k, v in size.items()]
    command = [str(python), str(env.HERE / script), rule, *options, f"--seconds={seconds}"]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)} failed:\n{done.stderr[-3000:]}")
    return json.loads(done.stdout.splitlines()[-1])


def measure(sides, cells, rounds, seconds):
    """Measure cells `{name: (rule, size, sides)}` in turns. `{cell: {side: [measurement]}}`"""
    found = {cell: {s: [] for s in names} for cell, (_, _, names) in cells.items()}
    for turn in range(rounds):
        for cell, (rule, size, names) in cells.items():
            for name in names if turn % 2 == 0 else reversed(names):
                made = once(sides[name], rule, size, seconds)
                found[cell][name].append(made)
                first, step = made["first"]["first"], min(made["steps"]) * 1e3
                print(f"{turn + 1}/{rounds} {cell} {name}: {first:.2f} s, {step:.2f} ms", file=sys.stderr, flush=True)
    return found


def summary(found):
    """Of each cell and side the first call and the step, and ratios to the last side."""
    rows = {}
    for cell, by_side in found.items():
        rows[cell] = {}
        for side, runs in by_side.items():
            first = [r["first"]["first"] for r in runs]
            inits = [r["first"]["init"] for r in runs]
            steps = [s * 1e3 for r in runs for s in r["steps"]]
            rows[cell][side] = {
                "first_s": {"median": statistics.median(first), "min": min(first)},
                "init_s": {"median": statistics.median(inits), "min": min(inits)},
                "step_ms": {"median": statistics.median(steps), "min": min(steps)},
                "energy": runs[0]["energy"],
                "versions": {k: runs[0][k] for k in ("package", "jax")},
            }
        *others, last = by_side
        rows[cell] |= {
            f"{side} / {last}": {
                what: {how: rows[cell][side][what][how] / rows[cell][last][what][how] for how in ("median", "min")}
                for what in ("first_s", "step_ms")
            }
            for side in others
        }
    return rows


def table(rows):
    """The same as lines of text: `median (minimum)`."""
    lines = []
    for cell, row in rows.items():
        for side, made in row.items():
            digits = 2 if "/" in side and "energy" not in made else 3
            parts = [
                f"{w[:-2] if w[-2:] == '_s' else w} {made[w]['median']:.{digits}f} ({made[w]['min']:.{digits}f})"
                for w in ("first_s", "step_ms")
            ]
            lines.append(f"{cell:34} {side:28} {', '.join(parts)}")
    return "\n".join(lines)


def of_this_package(sides):
    return [s for s in sides if s not in (FABRIC, PLAIN)]


def first(args, sides):
    own = of_this_package(sides)
    cells = {}
    for depth in args.depths:
        for rule in args.rules:
            names = [*own, PLAIN] if rule == "pc" and depth <= args.longest_plain else own
            names = [*names, FABRIC] if FABRIC in sides and rule in THEIRS else names
            cells[f"{rule}, depth {depth}"] = (rule, {"depth": depth, "width": 64, "batch": 64}, names)
    if args.classic:
        names = [*own, PLAIN, FABRIC] if FABRIC in sides else [*own, PLAIN]
        cells["pc, 784-128-128-128-10"] = ("pc", {"classic": True, "batch": 256}, names)
    return cells


def steps(args, sides):
    own, rule = of_this_package(sides), args.rules[0]
    cells = {}
    for width in args.widths:
        for batch in args.batches:
            for depth in args.depths:
                times = {"backprop": 1, "zil": 1}.get(rule, depth)  # passes
                if 6 * width**2 * batch * depth * times / FLOPS > args.largest:
                    continue
                name = f"{rule}, width {width}, batch {batch}, depth {depth}"
                cells[name] = (rule, {"depth": depth, "width": width, "batch": batch}, own)
    cells[f"{rule}, 784-128-128-128-10"] = (rule, {"classic": True, "batch": 256}, own)
    return cells


PARTS = {"first": first, "steps": steps}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json")
    parser.add_argument("--parts", nargs="*", choices=PARTS, default=["first"])
    parser.add_argument("--src", action="append", help="a folder with pcx in it, again for each version")
    parser.add_argument("--rules", nargs="*", default=["pc", "mupc", "epc", "zil", "backprop"])
    parser.add_argument("--depths", type=int, nargs="*", default=[8, 32, 128])
    parser.add_argument("--widths", type=int, nargs="*", default=[64, 256, 1024])
    parser.add_argument("--batches", type=int, nargs="*", default=[1, 64, 512])
    parser.add_argument("--longest-plain", type=int, default=128, help="depth above which plain JAX is left out")
    parser.add_argument("--largest", type=float, default=4.0, help="seconds of a step, estimated, above which none is")
    parser.add_argument("--classic", action="store_true", help="the first call of 784-128-128-128-10, too")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=1.0, help="of steps in each process")
    parser.add_argument("--no-fabricpc", action="store_true", help="this package alone")
    env.add_options(parser)
    args = parser.parse_args()
    turns = sides(args)
    result = {"machine": env.machine()}
    for part in args.parts:
        result[part] = summary(measure(turns, PARTS[part](args, turns), args.rounds, args.seconds))
    finish(result, args.json)
    for part in args.parts:
        print(f"\n{part}: median (minimum)\n{table(result[part])}")


if __name__ == "__main__":
    main()
