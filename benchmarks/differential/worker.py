"""Run programs in one environment and write what they showed: `python worker.py OUT.json [--first N] ...`."""

import argparse
import importlib
import json
import pkgutil
import signal
import sys
import time
import traceback
import warnings
from pathlib import Path

import jax

HERE = Path(__file__).resolve().parent
SEED = 0


def expired(*_: object) -> None:
    raise TimeoutError("the program took too long")


def main() -> None:
    args = options()
    jax.config.update("jax_enable_x64", True)
    jax.config.update("jax_threefry_partitionable", True)  # the default changed between versions of JAX
    warnings.simplefilter("ignore")

    import programs  # after the settings: modules make arrays when they are imported
    import record

    import pcx as px

    for module in sorted(m.name for m in pkgutil.iter_modules(programs.__path__)):
        importlib.import_module(f"programs.{module}")
    results = {}
    signal.signal(signal.SIGALRM, expired)
    for name, (row, run) in record.PROGRAMS.items():
        reads = name.startswith("reads_")
        if reads != (args.other is not None) or (args.only and not any(o in name for o in args.only)):
            continue
        if args.verbose:
            print(name, flush=True)
        px.RKG.seed(SEED)
        record_of = record.Record(args.own, args.other)
        start = time.perf_counter()
        signal.alarm(args.limit)
        try:
            run(record_of)
            ended = None
        except Exception as error:
            ended = type(error).__name__
            if args.verbose:
                traceback.print_exc()
        finally:
            signal.alarm(0)
        seconds = round(time.perf_counter() - start, 2)
        results[name] = {"row": row, "shown": record_of.shown, "ended": ended, "seconds": seconds}
    args.out.write_text(json.dumps(results))


def options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("--own", type=Path, required=True, help="folder of the files that programs write")
    parser.add_argument("--other", type=Path, help="run the programs that read the files of this folder instead")
    parser.add_argument("--only", nargs="*", default=[], help="parts of names of programs")
    parser.add_argument("--limit", type=int, default=120, help="seconds for a program")
    parser.add_argument("--verbose", action="store_true")
    return parser.parse_args()


if __name__ == "__main__":
    sys.path.insert(0, str(HERE))
    main()
