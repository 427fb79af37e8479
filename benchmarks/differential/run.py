"""Run the same programs on this pcx and on the published pcx 0.6.3, and compare every number that they show.

    python benchmarks/differential/run.py --published /path/to/python --out benchmarks/results/differential-cpu

Without `--published` an environment is built below `.bench`, as for the other benchmarks. Programs are same, different
for a reason that `explained.py` gives, or different without one; with one of the last kind the exit status is 1.
"""

import argparse
import fnmatch
import json
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

import _environments as env  # noqa: E402
from compare import differences  # noqa: E402
from explained import EXPLAINED  # noqa: E402

TOLERANCE = 1e-5


def main() -> int:
    args = options()
    published = args.published or env._environment(args.work.resolve(), env.PUBLISHED, False)
    pythons = {"ours": Path(sys.executable), "published": Path(published)}
    with tempfile.TemporaryDirectory() as folder:
        shown = run_both(pythons, Path(folder), args)
    lines, counts = table(shown)
    for line in lines:
        print(line)
    print(json.dumps(counts))
    if args.out:
        write(args.out, pythons, shown, lines, counts)
    return bool(counts["different, unexplained"] or (counts["explained, yet same"] and not args.only))


def run_both(pythons: dict[str, Path], folder: Path, args: argparse.Namespace) -> dict[str, dict]:
    """Return what the programs showed, by environment. Those that read the other side's files run last."""
    results: dict[str, dict] = {side: {} for side in pythons}
    for side in pythons:
        (folder / side).mkdir()
    for phase in ("write", "read"):
        running = {}
        for side, python in pythons.items():
            out = folder / f"{side}-{phase}.json"
            command = [python, HERE / "worker.py", out, "--own", folder / side]
            if phase == "read":
                command += ["--other", folder / ("published" if side == "ours" else "ours")]
            if args.only:
                command += ["--only", *args.only]
            if args.verbose:
                command += ["--verbose"]
            paths = {"PYTHONPATH": str(env.ROOT / "src")} if side == "ours" else {}
            setting = env.CLEAN | paths | {"JAX_PLATFORMS": "cpu", "PYTHONDONTWRITEBYTECODE": "1"}
            log = None if args.verbose else subprocess.DEVNULL
            running[side] = subprocess.Popen([*map(str, command)], env=setting, cwd=folder, stdout=log), out
            if args.one_at_a_time:
                running[side][0].wait()
        for side, (process, out) in running.items():
            if process.wait():
                raise SystemExit(f"the programs of {side} stopped")
            results[side] |= json.loads(out.read_text())
    return results


def table(shown: dict[str, dict]) -> tuple[list[str], dict[str, int]]:
    """Return a line per program, and how many there are of each outcome."""
    counts = {
        "programs": 0,
        "same": 0,
        "different, explained": 0,
        "different, unexplained": 0,
        "explained, yet same": 0,
    }
    lines = []
    for name, theirs in shown["published"].items():
        ours = shown["ours"][name]
        found = differences(theirs, ours, TOLERANCE)
        given = EXPLAINED.get(name, {})
        reasons = {pattern: why for pattern, why in given.items() if fnmatch.filter(found, pattern)}
        rest = {what: both for what, both in found.items() if not any(fnmatch.fnmatch(what, p) for p in reasons)}
        stale = sorted(set(given) - set(reasons))
        kind = "different, unexplained" if rest else "different, explained" if reasons else "same"
        counts["programs"] += 1
        counts[kind] += 1
        counts["explained, yet same"] += bool(stale)
        lines.append(f"{kind:24} {name:44} {theirs['row']}")
        lines += [f"    {what}: {reason}" for what, reason in reasons.items()]
        lines += [f"    {what}: published {a}, ours {b}" for what, (a, b) in rest.items()]
        lines += [f"    {what}: explained, and yet the same" for what in stale]
    return lines, counts


def write(out: Path, pythons: dict[str, Path], shown: dict, lines: list[str], counts: dict[str, int]) -> None:
    """Leave the command, the settings, versions, the table and every difference in the folder `out`."""
    out.mkdir(parents=True, exist_ok=True)
    (out / "commands.txt").write_text("differential: python benchmarks/differential/run.py\n")
    config = {"tolerance": TOLERANCE, "seed of the global key": 0, "jax_enable_x64": True}
    config |= {"jax_threefry_partitionable": True, "JAX_PLATFORMS": "cpu"}
    (out / "config.json").write_text(json.dumps(config, indent=2) + "\n")
    facts = {
        name: env.versions(python) for name, python in zip((env.OURS, env.PUBLISHED), pythons.values(), strict=True)
    }
    (out / "versions.json").write_text(json.dumps(facts | {"machine": env.machine()}, indent=2) + "\n")
    (out / "log.txt").write_text("\n".join(lines) + "\n")
    rows: dict[str, list[str]] = {}
    for name, theirs in shown["published"].items():
        rows.setdefault(theirs["row"], []).append(name)
    seconds = {side: round(sum(r["seconds"] for r in of.values())) for side, of in shown.items()}
    values = sum(len(r["shown"]) for r in shown["published"].values())
    result = {"counts": counts, "values shown": values, "seconds": seconds, "programs by row": rows}
    (out / "differential.json").write_text(json.dumps(result, indent=2) + "\n")


def options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--published", type=Path, help="a Python that has pcx 0.6.3 installed")
    parser.add_argument("--out", type=Path, help="folder for the results")
    parser.add_argument("--only", nargs="*", default=[], help="parts of names of programs to run")
    parser.add_argument("--one-at-a-time", action="store_true", help="run one environment after the other")
    parser.add_argument("--verbose", action="store_true")
    parser.add_argument("--work", type=Path, default=env.WORK, help="folder of the environments")
    return parser.parse_args()


if __name__ == "__main__":
    raise SystemExit(main())
