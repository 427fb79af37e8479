"""The tutorial's study from a cold start: whole processes in turn."""

import os
import statistics
import subprocess
import tempfile
import time

import _environments as env
from _common import ratio
from _libraries import FABRIC, HERE, LIBRARIES, OURS, SCAN, environment
from _turns import say

WORDS = ["run", "zil", "--seeds", "8", "--epochs", "8", "--rule", "zil", "hil"]
NO_RULES = {SCAN: "the study has no loop to scan", FABRIC: "has neither Z-IL nor HIL"}
NOT_WRITTEN = "not written by hand"


def whole(command, environment):
    """Seconds, peak memory in MiB (Linux counts it in KiB), and the last lines that a process printed."""
    with tempfile.TemporaryFile("w+") as said:
        start = time.perf_counter()
        process = subprocess.Popen([*map(str, command)], stdout=said, stderr=subprocess.STDOUT, env=environment)
        _, status, used = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - start
        process.returncode = os.waitstatus_to_exitcode(status)
        said.seek(0)
        lines = [line.rstrip() for line in said if line.strip()]
    if process.returncode:
        raise RuntimeError(lines[-1][:300] if lines else f"exit status {process.returncode}")
    return seconds, used.ru_maxrss / 1024, lines[-10:]


def study(pythons, rounds, program):
    """`pcx run zil` and the same study as a program under the published package; `program` takes the place of ours."""
    program = program or HERE / "_moons.py"
    taken = {}
    rows = {
        n: {"left out": str(p) if isinstance(p, Exception) else NO_RULES.get(n, NOT_WRITTEN)}
        for n, p in pythons.items()
    }
    with tempfile.TemporaryDirectory() as folder:
        for i in range(rounds):
            commands = {
                OURS: [pythons.get(OURS), "-m", "pcx.cli", *WORDS, "--out", f"{folder}/{i}"],
                env.PUBLISHED: [pythons.get(env.PUBLISHED), program],
            }
            for name, command in commands.items():
                if name not in pythons or isinstance(pythons[name], Exception):
                    continue
                try:
                    seconds, peak, lines = whole(command, environment(name))
                except RuntimeError as why:
                    rows[name] = {"left out": f"failed: {why}"}
                    continue
                taken.setdefault(name, []).append(seconds)
                printed = [line.replace(folder, "RUN") for line in lines]
                rows[name] = {
                    "median": statistics.median(taken[name]),
                    "min": min(taken[name]),
                    "peak_mb": peak,
                    "printed": printed,
                }
                say(f"study, {name}: round {i + 1}/{rounds}: {seconds:.1f} s")
    made = {"what": f"the study, pcx {' '.join(WORDS)}: whole processes", "libraries": _ordered(rows), "ratios": {}}
    if OURS in taken and env.PUBLISHED in taken:
        made["ratios"][f"{OURS} / {env.PUBLISHED}"] = ratio(taken[OURS], taken[env.PUBLISHED])
    return made


def _ordered(rows):
    return {name: rows[name] for name in LIBRARIES if name in rows}
