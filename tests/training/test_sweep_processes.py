# pyright: reportArgumentType=false
"""Sweeps of several processes on one file, and of processes that are killed."""

import contextlib
import os
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest

import pcx.training as pxt
from pcx.training._trials import Trials
from pcx.training._worker import is_dead, this_worker

from .linear import Linear
from .small import HELD_OUT, TRAIN, make

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("in_haste")]

SCRIPT = f"""
import sys, time
sys.path.insert(0, {str(Path(__file__).parents[1])!r})
from training.test_sweep_processes import run
run(sys.argv[1], slow=True)
"""


def linear(lr, decay, T):
    return Linear(lr, decay, T)


def run(folder, slow=False):
    if slow:  # so that there is time to kill it, and for another to join
        fit = pxt.fit

        def later(*args, **options):
            time.sleep(0.2)
            return fit(*args, **options)

        sys.modules["pcx.training._units"].fit = later  # pyright: ignore
    space = {"lr": [0.01, 0.1, 1.0], "decay": [0.0, 0.1], "T": [1, 2]}
    return pxt.sweep(
        make, linear, TRAIN, HELD_OUT, space=space, epochs=2, batch_size=16, ensemble=1, folder=folder, figure=False,
        show=False,
    )  # fmt: skip


def start(folder):
    return subprocess.Popen([sys.executable, "-c", SCRIPT, str(folder)])


def ended(folder):
    with contextlib.suppress(sqlite3.OperationalError):
        if (folder / "trials.sqlite3").exists():
            with contextlib.closing(sqlite3.connect(folder / "trials.sqlite3", timeout=30)) as database:
                return database.execute("select count(*) from trials where state = 'COMPLETE'").fetchone()[0]
    return 0


def workers(folder):
    """How many processes have run trials to their end."""
    with contextlib.closing(sqlite3.connect(folder / "trials.sqlite3")) as database:
        found = database.execute("select distinct value_json from trial_user_attributes where key = 'worker'")
        return len(found.fetchall())


def test_killed_or_shared_it_ends_with_the_same_table(tmp_path):
    assert start(tmp_path / "whole").wait() == 0  # as the others: compiled with the same flags
    whole = (tmp_path / "whole" / "table.csv").read_text()
    process = start(tmp_path / "killed")
    while ended(tmp_path / "killed") < 4 and process.poll() is None:
        time.sleep(0.02)
    os.kill(process.pid, signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    both = [start(tmp_path / "killed"), start(tmp_path / "killed")]
    assert [process.wait() for process in both] == [0, 0]
    assert (tmp_path / "killed" / "table.csv").read_text() == whole
    assert workers(tmp_path / "killed") == 3
    both = [start(tmp_path / "both"), start(tmp_path / "both")]  # neither finds anything there
    assert [process.wait() for process in both] == [0, 0]
    assert (tmp_path / "both" / "table.csv").read_text() == whole
    assert workers(tmp_path / "both") == 2


def test_a_process_is_known_to_have_ended():
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    worker = {**this_worker(), "pid": process.pid, "started": _started(process.pid)}
    assert not is_dead(worker)
    process.kill()
    time.sleep(0.2)
    assert is_dead(worker)  # not buried yet
    process.wait()
    assert is_dead(worker)
    assert not is_dead(this_worker())
    assert is_dead({**this_worker(), "started": "1"})  # another process has its number
    assert not is_dead({**worker, "host": "elsewhere"})
    assert not is_dead(None)


def _started(pid):
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]


def test_trials_of_two_processes_that_add_and_claim_at_once(tmp_path):
    url = f"sqlite:///{tmp_path / 'trials.db'}"
    first, second = Trials(url, "sweep", "min", None), Trials(url, "sweep", "min", None)
    distributions = {"lr": pxt.Uniform(0.0, 1.0)._distribution()}
    first.add({0: {"lr": 0.1}, 1: {"lr": 0.2}}, distributions)
    # Two that find nothing there add the same places: the trial that was first counts.
    there, second.by_place = second.by_place, dict
    second.add({0: {"lr": 0.1}, 1: {"lr": 0.2}}, distributions)
    second.by_place = there
    assert len(second.study.get_trials()) == 4
    a, b = first.claim([0]), second.claim([0, 1])
    assert (a, b) == ({0: 0}, {1: 1})
    with second.running(b.values()):
        second.finish(1, "done", 0.5, {"value": 0.5})
    with first.running(a.values()):
        pass  # leaves it unfinished: it is given back
    second.again()
    assert {p: t.state.name for p, t in second.by_place().items()} == {0: "WAITING", 1: "COMPLETE"}
    assert not first.others_run()
    assert second.claim([0, 1]) != {}
    assert (first.others_run(), second.others_run()) == (True, False)
    first.again()  # the process lives, so its trial is left to it
    assert first.by_place()[0].state.name == "RUNNING"
    assert first.claim([0, 1]) == {}
    first.close()
    second.close()
