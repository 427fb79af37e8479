"""This pcx and its neighbours, on the same workloads from the same weights: published pcx 0.6.3, fabricpc 0.6.0, plain
JAX, and PyTorch, each in an environment of its own, which is built where it is missing.

    python benchmarks/neighbours/run.py --json result.json
    python benchmarks/neighbours/run.py --only mlp-128 depth-32 --rounds 3

Measured of predictive coding, and of backpropagation where a library has a step of it:

- the first call: all that a program waits for once its network and batch are there, in processes of their own, one at a
  time; and the second, since a library may compile twice;
- updates, in rounds in which libraries take turns: milliseconds, median (minimum) of all;
- the most memory that the process had, its compiler's included;
- the energy that the library reports for the first update, and how far that update's change of all weights is from this
  package's: the norm of the difference by the norm. Where it is not small, definitions differ: cosine and length say
  how. (The energy of fabricpc 0.6.0 is the one before the last inference step, that of the others the one after it.)

`study` is `pcx run zil` against the same as a program (`_moons.py`, or `--program`), whole processes. All on the CPU,
in float32. A library that can't be installed, can't express a workload, or has not made its first updates within
`--limit` seconds has a line that says so. Bars are reported, never asserted.
"""

import argparse
import json
import pathlib
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

import _environments as env
from _libraries import LIBRARIES, pythons
from _study import study
from _table import ratios, table
from _turns import Turns
from _workloads import WORKLOADS


def main():
    args = options()
    chosen = [n for n in LIBRARIES if not args.libraries or any(word in n for word in args.libraries)]
    found = pythons(args, chosen)
    settings = {
        k: getattr(args, k) for k in ("rounds", "vgg_rounds", "starts", "seconds", "study_rounds", "limit", "rules")
    }
    result = {"machine": env.machine(), "settings": settings, "workloads": {}}
    for name in args.only:
        if name == "study":
            result["study"] = study(found, args.study_rounds, args.program)
        else:
            result["workloads"][name] = workload(name, found, args)
        keep(result, args.json)
    print(table(result))


def workload(name, found, args):
    work, parts = WORKLOADS[name], {}
    rounds = args.rounds if work.widths else args.vgg_rounds
    for rule in args.rules:
        with tempfile.TemporaryDirectory() as folder:
            turns = Turns(name, work, rule, found, pathlib.Path(folder), args.limit)
            rows = turns.measure(args.starts, rounds, args.seconds)
        parts[rule] = {"libraries": rows}
        if rule == "pc":
            parts[rule]["ratios"] = ratios(rows, work.bar)
    return {"what": str(work), "rules": parts}


def keep(result, path):
    """Write what there is up to now."""
    if path:
        path.write_text(json.dumps(result, indent=2, ensure_ascii=False) + "\n")


def options():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    everything = [*WORKLOADS, "study"]
    parser.add_argument("--json", type=pathlib.Path)
    parser.add_argument("--only", nargs="*", choices=everything, default=everything, help="workloads")
    parser.add_argument("--libraries", nargs="*", help="parts of their names")
    parser.add_argument("--rules", nargs="*", choices=("pc", "backprop"), default=["pc", "backprop"])
    parser.add_argument("--rounds", type=int, default=10, help="in which libraries take turns")
    parser.add_argument("--vgg-rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=0.5, help="of updates in a turn; one of them at least")
    parser.add_argument("--starts", type=int, default=3, help="fresh processes of each library for the first call")
    parser.add_argument("--study-rounds", type=int, default=3)
    parser.add_argument("--limit", type=float, default=300.0, help="seconds until the first two updates are there")
    parser.add_argument("--program", type=pathlib.Path, help="a program to be run instead of _moons.py")
    env.add_options(parser)
    return parser.parse_args()


if __name__ == "__main__":
    main()
