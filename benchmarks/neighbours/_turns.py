"""One workload under all libraries: first updates in fresh processes, then updates in interleaved rounds."""

import statistics
import sys

import numpy as np
from _common import milliseconds
from _libraries import LIBRARIES, OURS, command, environment
from _processes import Answering, Failed
from _workloads import save_start


def say(*words):
    print(*words, file=sys.stderr, flush=True)


class Turns:
    """The measurements of one workload by one rule.

    **Arguments:**

    - `name`, `work`: the workload; `rule`: "pc" or "backprop".
    - `pythons`: as of `_libraries.pythons`; `folder`: for the weights that libraries share.
    - `limit`: seconds after which a library that has not made its first two updates is given up.
    """

    def __init__(self, name, work, rule, pythons, folder, limit):
        self.name, self.work, self.rule, self.pythons = name, work, rule, pythons
        self.folder, self.limit = folder, limit
        self.left_out = {n: str(p) for n, p in pythons.items() if isinstance(p, Exception)}
        self.started = {n: [] for n in pythons if n not in self.left_out}
        self.steps, self.peaks, self.changes = {}, {}, {}

    def measure(self, starts, rounds, seconds):
        """Rows by library: what was measured, or `{"left out": why}`."""
        save_start(self.work, self.folder / "start.npz")
        alive = {}
        try:
            for i in range(starts):
                for name in self._order(i):
                    process = self._begin(name, f"start {i + 1}/{starts}")
                    if process and i < starts - 1:
                        process.end()
                    elif process:
                        alive[name] = process
            for i in range(rounds):
                for name in self._order(i):
                    self._turn(name, alive, seconds, f"round {i + 1}/{rounds}")
        finally:
            for process in alive.values():
                process.end()
        return self._rows()

    def _order(self, turn):
        names = [n for n in self.started if n not in self.left_out]
        return names if turn % 2 == 0 else names[::-1]

    def _leave_out(self, name, why):
        self.left_out[name] = why
        say(f"{self.name}, {self.rule}, {name}: left out: {why}")

    def _begin(self, name, when):
        """Start a process and read what it says of its first updates; None if there is nothing more to come."""
        changes = self.folder / "changes.npy"
        options = ["--workload", self.name, "--rule", self.rule, "--start", self.folder / "start.npz"]
        process = Answering(
            command(self.pythons[name], name, *options, "--changes", changes),
            environment(name),
        )
        try:
            made = process.read(self.limit)
        except Failed as why:
            made = {"cannot": f"failed: {why}"}
        if "cannot" in made:
            self._leave_out(name, made["cannot"])
            process.end()
            return None
        self.started[name].append(made)
        self.changes[name] = np.load(changes)
        say(f"{self.name}, {self.rule}, {name}: {when}: first {made['first']:.2f} s, second {made['second']:.2f} s")
        return process

    def _turn(self, name, alive, seconds, when):
        try:
            made = alive[name].ask(seconds, limit=max(self.limit, 10 * seconds))
        except (Failed, BrokenPipeError) as why:
            self._leave_out(name, f"failed: {why}")
            return
        self.steps.setdefault(name, []).extend(made["steps"])
        self.peaks[name] = made["peak_mb"]
        say(f"{self.name}, {self.rule}, {name}: {when}: {min(made['steps']) * 1e3:.2f} ms")

    def _rows(self):
        rows = {}
        for name in LIBRARIES:
            if name in self.left_out:
                rows[name] = {"left out": self.left_out[name]}
            elif name in self.steps:
                rows[name] = self._row(name)
        return rows

    def _row(self, name):
        started = self.started[name]
        row = {
            which: {"median": statistics.median(s[key] for s in started), "min": min(s[key] for s in started)}
            for which, key in (("first_s", "first"), ("second_s", "second"))
        }
        row |= milliseconds({"update": self.steps[name]})
        row |= {"peak_mb": self.peaks[name], "before_mb": started[-1]["before_mb"]}
        row |= {"energy": started[-1]["energy"], "versions": started[-1]["versions"]}
        if name != OURS and OURS in self.changes:
            row["first update, against pcx"] = agreement(self.changes[name], self.changes[OURS])
            ours = self.started[OURS][-1]["energy"]
            row["energy, against pcx"] = abs(row["energy"] - ours) / abs(ours)
        row["updates timed"] = len(self.steps[name])
        return row


def agreement(theirs, ours):
    """How two changes of all weights differ: as vectors, by the relative norm of their difference, by the cosine of the
    angle between them, and by how much longer one is."""
    a, b = np.linalg.norm(theirs), np.linalg.norm(ours)
    return {
        "difference": float(np.linalg.norm(theirs - ours) / b),
        "cosine": float(theirs @ ours / (a * b)),
        "length": float(a / b),
    }
