"""A whole program written for the pcx interface, as it is, under this pcx and under the published pcx 0.6.3.

Builds a virtual environment for each below `--work` and runs the program in both in turn. Wall seconds of the whole
process, cold start included; medians and minima; the last lines that each printed are kept.

    python benchmarks/acceptance.py PROGRAM --json result.json
"""

import argparse
import json
import os
import pathlib
import platform
import statistics
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
INSTALL = {
    "pcx (this)": ["-c", str(ROOT / "constraints.txt"), f"{ROOT}[cli]"],
    "pcx 0.6.3": ["pcx==0.6.3", "scikit-learn"],
}


def environment(work, name, rebuild):
    folder = work / name.replace(" ", "-").replace("(", "").replace(")", "")
    python = folder / "bin" / "python"
    if rebuild or not python.exists():
        subprocess.run([sys.executable, "-m", "venv", "--clear", str(folder)], check=True)
        subprocess.run([str(python), "-m", "pip", "install", "-q", *INSTALL[name]], check=True)
    return python


def versions(python):
    code = (
        "import importlib.metadata as m, json;"
        "print(json.dumps({n: m.version(n) for n in ('pcx', 'jax', 'jaxlib', 'equinox', 'optax', 'numpy')}))"
    )
    return json.loads(subprocess.run([str(python), "-c", code], check=True, capture_output=True, text=True).stdout)


def run(python, program):
    start = time.perf_counter()
    # Isolated from the caller's own packages, so that neither environment leaks into the other.
    clean = {k: v for k, v in os.environ.items() if not k.startswith("PYTHON")}
    done = subprocess.run([str(python), str(program)], capture_output=True, text=True, env=clean, check=False)
    seconds = time.perf_counter() - start
    if done.returncode:
        raise SystemExit(f"{python} failed:\n{done.stderr[-3000:]}")
    return seconds, [line for line in done.stdout.splitlines() if line][-4:]


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("program", type=pathlib.Path)
    parser.add_argument("--work", type=pathlib.Path, default=ROOT / ".bench")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--rebuild", action="store_true")
    parser.add_argument("--json")
    args = parser.parse_args()
    args.work.mkdir(parents=True, exist_ok=True)
    pythons = {name: environment(args.work, name, args.rebuild) for name in INSTALL}
    seconds = {name: [] for name in INSTALL}
    printed = {}
    for _ in range(args.rounds):
        for name, python in pythons.items():
            taken, printed[name] = run(python, args.program.resolve())
            seconds[name].append(taken)
            print(f"{name}: {taken:.2f} s", flush=True)
    ours, theirs = seconds.values()
    result = {
        "program": args.program.name,
        "machine": {"python": platform.python_version(), "cpus": os.cpu_count(), "system": platform.system()},
        "versions": {name: versions(python) for name, python in pythons.items()},
        "seconds": seconds,
        "printed": printed,
        "ratio_of_medians": statistics.median(theirs) / statistics.median(ours),
        "ratio_of_minima": min(theirs) / min(ours),
    }
    print(json.dumps(result, indent=2, ensure_ascii=False))
    if args.json:
        pathlib.Path(args.json).write_text(json.dumps(result, indent=2, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
