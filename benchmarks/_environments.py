"""Environments for this pcx and for published packages, and the running of scripts in them."""

import json
import os
import pathlib
import platform
import shutil
import subprocess
import sys
import time

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent
WORK = ROOT / ".bench"
OURS, PUBLISHED = "pcx (this)", "pcx 0.6.3"
INSTALL = {
    OURS: ["-c", str(ROOT / "constraints.txt"), f"{ROOT}[cli]"],
    PUBLISHED: ["pcx==0.6.3", "scikit-learn"],
}
# Isolated from the caller's own packages, so that neither environment leaks into the other.
CLEAN = {k: v for k, v in os.environ.items() if not k.startswith("PYTHON")}


def add_options(parser):
    """The options that say where environments are."""
    parser.add_argument("--work", type=pathlib.Path, default=WORK, help="folder of the environments")
    parser.add_argument("--rebuild", action="store_true", help="build the environments anew")


def environments(args):
    """The Python of each environment below `args.work`, built where it is missing. This pcx is installed afresh."""
    args.work.mkdir(parents=True, exist_ok=True)
    return {name: _environment(args.work.resolve(), name, args.rebuild) for name in INSTALL}


def neighbour(args, name, *requirements, held=True):
    """The Python of an environment with another package, `held` to the versions of JAX that this pcx is tested with."""
    args.work.mkdir(parents=True, exist_ok=True)
    constraints = ["-c", str(ROOT / "constraints.txt")] if held else []
    return _environment(args.work.resolve(), name, args.rebuild, [*constraints, *requirements])


def _environment(work, name, rebuild, install=None):
    folder = work / name.replace(" ", "-").replace("(", "").replace(")", "")
    python = folder / "bin" / "python"
    pip = [str(python), "-m", "pip", "install", "-q"]
    if rebuild or not python.exists():
        subprocess.run([sys.executable, "-m", "venv", "--clear", str(folder)], check=True)
        try:
            subprocess.run([*pip, *(install or INSTALL[name])], check=True)
        except BaseException:
            shutil.rmtree(folder)  # half of an environment would be taken for one the next time
            raise
    elif name == OURS:
        subprocess.run([*pip, "--force-reinstall", "--no-deps", str(ROOT)], check=True)
    return python


def versions(python):
    code = (
        "import importlib.metadata as m, json;"
        "print(json.dumps({n: m.version(n) for n in ('pcx', 'jax', 'jaxlib', 'equinox', 'optax', 'numpy')}))"
    )
    return json.loads(subprocess.run([str(python), "-c", code], check=True, capture_output=True, text=True).stdout)


def machine():
    return {"python": platform.python_version(), "cpus": os.cpu_count(), "system": platform.system()}


def run(command, folder=None):
    """Wall seconds of a whole process, cold start included, and the last lines that it printed."""
    start = time.perf_counter()
    done = subprocess.run([*map(str, command)], capture_output=True, text=True, env=CLEAN, cwd=folder, check=False)
    seconds = time.perf_counter() - start
    if done.returncode:
        raise SystemExit(f"{command[0]} failed:\n{done.stderr[-3000:]}")
    return seconds, [line for line in done.stdout.splitlines() if line][-4:]


def record(out, pythons, runs):
    """Run scripts of this folder one after the other, `{name: (python, script, *options)}`; leave commands, versions,
    the log and each result as JSON in the folder `out`."""
    out.mkdir(parents=True, exist_ok=True)
    commands = []
    with open(out / "log.txt", "w") as log:
        for name, (python, script, *options) in runs.items():
            shown = [o.name if isinstance(o, pathlib.Path) else o for o in options]
            commands.append(f"{name}: python benchmarks/{script} {' '.join(map(str, shown))}".rstrip())
            print(commands[-1], flush=True)
            log.write(f"== {commands[-1]}\n")
            log.flush()
            command = [str(python), str(HERE / script), *map(str, options), "--json", str(out / f"{name}.json")]
            subprocess.run(command, check=True, env=CLEAN, stdout=log, stderr=subprocess.STDOUT)
    (out / "commands.txt").write_text("\n".join(commands) + "\n")
    facts = {name: versions(python) for name, python in pythons.items()} | {"machine": machine()}
    (out / "versions.json").write_text(json.dumps(facts, indent=2) + "\n")
