"""Several processes of one command: what is said to who starts them."""

import json
import time

import pytest

from pcx.cli import _job
from pcx.cli._agree import check_alike
from pcx.cli._failures import Refused
from pcx.cli._job import Job
from pcx.training import Processes


class Three(Processes):
    """Process 0 of three, and what the others say."""

    def __init__(self, *others):
        self.count, self._others = 3, others

    def each(self, text):
        return [text, *map(json.dumps, self._others)]


def test_options_that_differ_are_named_as_they_are_typed():
    own = {"lr": 3e-4, "hidden": [32, 32], "pc": {"state_lr": 0.1}, "seeds": None}
    same = {"--lr": 3e-4, "--hidden": [32, 32], "--pc.state-lr": 0.1, "--seeds": None}
    check_alike(Three(same, same), own)
    check_alike(Processes(), own)
    other = {**same, "--lr": 0.1, "--hidden": [32], "--pc.state-lr": 0.2, "--seeds": 3}
    words = (
        "--lr: 0.0003 in process 0, 0.1 in process 2; --hidden: 32 32 in process 0, 32 in process 2; "
        "--pc.state-lr: 0.1 in process 0, 0.2 in process 2; --seeds: left out in process 0, 3 in process 2"
    )
    with pytest.raises(Refused, match=f"differ in {words}$") as refused:
        check_alike(Three(same, other), own)
    assert refused.value.status == 2


@pytest.mark.parametrize(
    ("job", "who"),
    [
        (Job("here:1", 2, 0), "process 1 to come to the coordinator at here:1"),
        (Job("here:1", 3, 1), "processes 0, 2 to come to the coordinator at here:1"),
        (Job("here:1", 9, 1), "the other processes to come to the coordinator at here:1"),
        (Job(), "the other processes to come to the coordinator"),
    ],
)
def test_who_is_waited_for_is_said_after_a_while(job, who, monkeypatch):
    said = []
    monkeypatch.setattr(_job, "complain", said.append)
    with _job._waiting(job):
        pass
    monkeypatch.setattr(_job, "_PATIENCE", 0.0)
    with _job._waiting(job):
        until = time.monotonic() + 10
        while not said and time.monotonic() < until:
            time.sleep(0.001)
    assert said == [f"pcx: waiting for {who}, for 120 s at most"]
