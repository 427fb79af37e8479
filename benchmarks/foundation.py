"""Everything that is measured of the foundation, in one run, into one folder.

Builds an environment for this pcx and one for the published pcx 0.6.3, runs each script in turn, and leaves the
commands, versions, logs and results below `--out`.

    python benchmarks/foundation.py PROGRAM --out benchmarks/results/foundation-cpu
"""

import argparse
import json
import os
import pathlib
import platform
import subprocess
import sys

import acceptance

HERE = pathlib.Path(__file__).resolve().parent


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("program", type=pathlib.Path, help="a program written for the pcx interface")
    parser.add_argument("--out", type=pathlib.Path, required=True)
    parser.add_argument("--work", type=pathlib.Path, default=HERE.parent / ".bench")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--rebuild", action="store_true")
    args = parser.parse_args()
    out = args.out.resolve()
    out.mkdir(parents=True, exist_ok=True)
    args.work.mkdir(parents=True, exist_ok=True)
    pythons = {name: acceptance.environment(args.work, name, args.rebuild) for name in acceptance.INSTALL}
    ours, published = pythons.values()
    runs = {
        "dispatch": [ours, "dispatch.py"],
        "dispatch-published": [published, "dispatch.py", "--rounds", "10"],
        "import-time": [ours, "import_time.py"],
        "zil-step": [ours, "zil_step.py"],
        "loops": [ours, "loops.py"],
        "loops-momentum": [ours, "loops.py", "--momentum", "0.9"],
        "acceptance": [
            sys.executable,
            "acceptance.py",
            args.program.resolve(),
            "--rounds",
            str(args.rounds),
            "--work",
            args.work.resolve(),
        ],
    }
    clean = {k: v for k, v in os.environ.items() if not k.startswith("PYTHON")}
    commands = []
    with open(out / "log.txt", "w") as log:
        for name, (python, script, *options) in runs.items():
            shown = [o.name if isinstance(o, pathlib.Path) else o for o in options]
            commands.append(f"{name}: python benchmarks/{script} {' '.join(shown)}".rstrip())
            print(commands[-1], flush=True)
            command = [str(python), str(HERE / script), *map(str, options), "--json", str(out / f"{name}.json")]
            log.write(f"== {commands[-1]}\n")
            log.flush()
            subprocess.run(command, check=True, env=clean, stdout=log, stderr=subprocess.STDOUT)
    (out / "commands.txt").write_text("\n".join(commands) + "\n")
    versions = {name: acceptance.versions(python) for name, python in pythons.items()}
    versions["machine"] = {"python": platform.python_version(), "system": platform.system(), "cpus": os.cpu_count()}
    (out / "versions.json").write_text(json.dumps(versions, indent=2) + "\n")


if __name__ == "__main__":
    main()
