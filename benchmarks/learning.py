"""Everything that is measured of the learning rules, in one run, into one folder.

Builds an environment for this pcx and one for the published pcx 0.6.3, runs each script in turn, and leaves the
commands, options, versions, logs and results below `--out`, and in `summary.json` all ratios with their bars.

    python benchmarks/learning.py PROGRAM --out benchmarks/results/learning-cpu
"""

import argparse
import json
import pathlib
import time

import _environments as env

PARTS = ("rules", "published", "compile-time", "study")


def ratios(result, path=()):
    """All entries of "ratios" anywhere in a result."""
    for key, value in result.items():
        if key == "ratios":
            yield from (((*path, name), row) for name, row in value.items())
        elif isinstance(value, dict):
            yield from ratios(value, (*path, key))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("program", type=pathlib.Path, help="a program written for the pcx interface")
    parser.add_argument("--out", type=pathlib.Path, required=True)
    parser.add_argument("--rounds", type=int, default=60, help="of steps of MLPs; half as many in some scripts")
    parser.add_argument("--vgg-rounds", type=int, default=4)
    parser.add_argument("--study-rounds", type=int, default=2)
    parser.add_argument("--skip", nargs="*", choices=PARTS, default=[])
    env.add_options(parser)
    args = parser.parse_args()
    start = time.perf_counter()
    out = args.out.resolve()
    pythons = env.environments(args)
    ours = pythons[env.OURS]
    half, vgg, work = args.rounds // 2, args.vgg_rounds, ("--work", args.work.resolve())
    runs = {
        "rules": (ours, "rules.py", "--rounds", args.rounds, "--vgg-rounds", vgg),
        "published": (ours, "published.py", "--rounds", half, "--vgg-rounds", vgg, *work),
        "compile-time": (ours, "compile_time.py", "--rounds", half),
        "study": (ours, "study.py", args.program.resolve(), "--rounds", args.study_rounds, *work),
    }
    runs = {name: run for name, run in runs.items() if name not in args.skip}
    env.record(out, pythons, runs)
    config = {k: v.name if isinstance(v, pathlib.Path) else v for k, v in vars(args).items()}
    (out / "config.json").write_text(json.dumps(config | {"seconds": time.perf_counter() - start}, indent=2) + "\n")
    summary = {}
    for name in runs:
        for path, row in ratios(json.loads((out / f"{name}.json").read_text())):
            summary[": ".join((name, *path))] = row
    (out / "summary.json").write_text(json.dumps(summary, indent=2, ensure_ascii=False) + "\n")
    for name, row in summary.items():
        print(f"{name}: " + ", ".join(f"{key} {value:.3f}" for key, value in row.items()))


if __name__ == "__main__":
    main()
