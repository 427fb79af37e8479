"""Several processes train one run. Each is a real one with two devices, on the loopback address."""

import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import pcx.training as pxt

from .small import TRAIN, arrays, lines, timeless, train

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("in_haste")]
ROOT = Path(__file__).parents[2]


def free():
    """A port that nobody listens on."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


@contextlib.contextmanager
def started(commands, **variables):
    """Processes with two devices each; none lives on."""
    flags = f"{os.environ.get('XLA_FLAGS', '')} --xla_force_host_platform_device_count=2"
    env = os.environ | {"XLA_FLAGS": flags, "PYTHONUNBUFFERED": "1"} | variables
    made = [
        subprocess.Popen(
            command,
            cwd=ROOT,
            env=env | own,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        for command, own in commands
    ]
    try:
        yield made
    finally:
        for process in made:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.communicate()


def ended(processes, timeout=180):
    """Exit status, what was told as JSON, and stderr of each."""
    found = []
    for process in processes:
        out, err = process.communicate(timeout=timeout)
        lines = [line for line in out.splitlines() if line.startswith("{")]
        found.append((process.returncode, json.loads(lines[-1]) if lines else {}, err))
    return found


def job(*asked):
    """What became of processes that join, and then do what each is asked for."""
    port, commands = free(), []
    for i, each in enumerate(asked):
        joined = {"coordinator": f"127.0.0.1:{port}", "processes": len(asked), "process": i, "seconds": 60}
        commands.append(([sys.executable, "-m", "tests.training.worker", json.dumps({"job": joined, **each})], {}))
    with started(commands) as processes:
        return ended(processes)


def alone(asked):
    """What became of one process by itself."""
    with started([([sys.executable, "-m", "tests.training.worker", json.dumps(asked)], {})]) as processes:
        return ended(processes)[0]


def bits(folder):
    return (folder / "weights.safetensors").read_bytes()


def test_weights_are_those_of_one_device(tmp_path):
    asked = {"do": "learn", "names": ["pc", "ipc"]}
    *both, one = [tmp_path / f"{name}.npz" for name in ("0", "1", "one")]
    for status, told, err in job(*[{**asked, "out": str(out)} for out in both]):
        assert status == 0, (told, err)
    status, told, err = alone({**asked, "out": str(one)})
    assert status == 0, (told, err)
    here, there, expected = np.load(both[0]), np.load(both[1]), np.load(one)
    for name in expected:
        assert here[name].tobytes() == there[name].tobytes()
        np.testing.assert_allclose(here[name], expected[name], rtol=1e-12, atol=1e-13)


def test_one_is_killed_and_all_are_resumed(tmp_path):
    # Wide, so that both write parts of a checkpoint's arrays.
    asked = {"do": "run", "wide": 160, "epochs": 2, "checkpoint_every": 4, "silent": 3}
    whole, cut = str(tmp_path / "whole"), str(tmp_path / "cut")
    assert [status for status, _, _ in job(*[{**asked, "folder": whole}] * 2)] == [0, 0]
    first, second = job({**asked, "folder": cut}, {**asked, "folder": cut, "dies_at": 9})
    assert second[0] == -signal.SIGKILL
    # It may hang in a sum over both when it is noticed, and is ended then; or it comes to where they agree.
    assert first[0] == 1
    words = "process 1 of 2 gives no sign of life: it was killed, or its machine is away"
    assert words in first[2] or (first[1]["error"] == "ProcessLost" and words in first[1]["words"])
    checkpoints = pxt.Checkpoints(tmp_path / "cut" / "checkpoints")
    assert checkpoints.latest() == 8
    for index in "01":
        assert any(
            (tmp_path / "cut" / "checkpoints" / "last" / "8" / "arrays" / f"ocdbt.process_{index}" / "d").iterdir()
        )
    _, meta = checkpoints.load()  # by one process, what two wrote
    assert (meta["epoch"], meta["batch"]) == (1, 2)
    for status, told, err in job(*[{**asked, "folder": cut, "resume": True}] * 2):
        assert (status, told["ended"]) == (0, "done"), err
    assert bits(tmp_path / "whole") == bits(tmp_path / "cut")
    assert timeless(lines(tmp_path / "whole")) == timeless(lines(tmp_path / "cut"))


def test_the_one_that_holds_the_coordinator_is_killed(tmp_path):
    asked = {"do": "run", "epochs": 2, "folder": str(tmp_path / "run"), "checkpoint_every": 4, "silent": 3}
    first, second = job({**asked, "dies_at": 7}, asked)
    assert first[0] == -signal.SIGKILL
    assert second[0] == 1, second
    words = "process 0, which holds the coordinator, can't be reached: it has ended or was killed"
    assert words in second[2] or (second[1]["error"] == "ProcessLost" and words in second[1]["words"])
    assert "Check failure stack trace" not in second[2]
    assert pxt.Checkpoints(tmp_path / "run" / "checkpoints").latest() == 4


def test_the_command_whose_process_0_is_killed(tmp_path):
    # It watches from its beginning to its end, and so does the run in it: both are told.
    out, job = tmp_path / "run", ["--coordinator", f"127.0.0.1:{free()}", "--processes", "2"]
    small = ["--data", "two-moons", "--hidden", "8", "--batch-size", "48", "--epochs", "9999", "--rule", "backprop"]
    command = [sys.executable, "-m", "pcx.cli", "train", *small, "--out", str(out), "--checkpoint-every", "4", *job]
    with started([([*command, "--process", str(i)], {}) for i in range(2)]) as processes:
        assert processes[0].stdout is not None
        for line in processes[0].stdout:
            if line.startswith("epoch 3/"):
                break
        processes[0].kill()
        (killed, _, _), (status, _, err) = ended(processes, timeout=20)
    assert (killed, status) == (-signal.SIGKILL, 1), err
    why = "process 0, which holds the coordinator, can't be reached: it has ended or was killed"
    assert f"pcx: error: {why}" in err
    assert f"Start all processes again: by pcx resume {out} with its --coordinator" in err
    assert (out / "log.txt").read_text().endswith(f" process 1 ends: {why}\n")
    assert "Check failure stack trace" not in err
    assert pxt.Checkpoints(out / "checkpoints").latest() is not None


def test_a_signal_to_one_ends_all_in_order(tmp_path):
    asked = {"do": "run", "epochs": 3, "folder": str(tmp_path / "run")}
    first, second = job(asked, {**asked, "stops_at": 8})
    assert (first[0], first[1]["ended"]) == (0, "interrupted"), first
    assert (second[0], second[1]) == (128 + signal.SIGTERM, {})
    assert "stopping after the batches under way" in second[2]
    assert pxt.Checkpoints(tmp_path / "run" / "checkpoints").latest() == 8
    # What two began, one ends.
    fit = train(folder=tmp_path / "run", resume=True)
    assert fit.ended == "done"
    expected = train()
    for one, two in zip(arrays(fit.states[0]), arrays(expected.states[0]), strict=True):
        np.testing.assert_allclose(one, two, rtol=1e-4, atol=1e-6)


def test_an_error_of_one_is_told_to_all(tmp_path):
    asked = {"do": "run", "epochs": 2, "folder": str(tmp_path / "run"), "checkpoint_every": 4}
    first, second = job(asked, {**asked, "fails_at": 7})
    assert (second[0], second[1]["error"], second[1]["words"]) == (1, "OSError", "no more room")
    words = "process 1 of 2 has ended: OSError: no more room"
    assert first[0] == 1
    assert words in first[2] or (first[1]["error"] == "ProcessLost" and words in first[1]["words"])
    assert pxt.Checkpoints(tmp_path / "run" / "checkpoints").latest() == 4


def test_what_does_not_fit_is_said_at_the_door(tmp_path):
    asked = {"do": "refused", "folder": str(tmp_path / "run")}
    other_than_process_0 = "process 1 was given something else to train than process 0: epochs: was 3, is 2"
    too_small = "batches of 1 samples can't be shared out evenly among 4 devices; take batches of 4"
    runs = [{"epochs": 3, "batch_size": 1}, {"epochs": 3}], [{"epochs": 3, "batch_size": 1}, {"epochs": 2}]
    for status, told, err in job(*[{**asked, "runs": each} for each in runs]):
        assert status == 0, err
        for (kind, words), expected in zip(told["refused"], (too_small, other_than_process_0), strict=True):
            assert kind == "ValueError"
            assert expected in words
    assert not (tmp_path / "run").exists()


def test_each_reads_its_part_of_batches_that_come_one_by_one():
    first, second = job({"do": "divide"}, {"do": "divide"})
    assert (first[0], second[0]) == (0, 0), (first, second)
    for i, (_, told, _) in enumerate((first, second)):
        assert told["read"] == [16 * b + s for b in range(6) for s in range(8 * i, 8 * i + 8)]
        assert told["first"] == list(range(16))  # the example, by which the step is made
    assert first[1]["losses"] == second[1]["losses"]
    whole = [(TRAIN[0][k : k + 16], TRAIN[1][k : k + 16]) for k in range(0, 96, 16)]
    expected = [row["loss"] for row in train(data=whole, batch_size=None, validation=None, epochs=2).history]
    np.testing.assert_allclose(first[1]["losses"], expected, rtol=1e-5)


def test_processes_that_do_not_come():
    port = free()
    address = f"127.0.0.1:{port}"
    with socket.socket(socket.AF_INET) as listening:
        listening.bind(("", 0))
        listening.listen()
        taken = f"127.0.0.1:{listening.getsockname()[1]}"
        cases = [
            (address, 1, f"coordinator at {address} doesn't answer \\(waited 2 s\\): Connection refused"),
            (taken, 1, "something listens there, but it is no coordinator"),
            (taken, 0, "process 0 can't listen on port .* of this machine .Address already in use"),
            (f"127.0.0.1:{free()}", 0, "not all other processes came to the coordinator"),
            ("nowhere.invalid:5", 1, "there is no machine 'nowhere.invalid'"),
        ]
        commands = []
        for coordinator, process, _ in cases:
            joined = {"coordinator": coordinator, "processes": 2, "process": process, "seconds": 2}
            asked = json.dumps({"do": "join", "job": joined})
            commands.append(([sys.executable, "-m", "tests.training.worker", asked], {}))
        with started(commands) as processes:
            for (coordinator, _, words), (status, told, err) in zip(cases, ended(processes), strict=True):
                assert status == 1, (coordinator, err)
                assert re.match(f"join: .*{words}", told["words"]), told
                assert told["seconds"] < 30


def test_the_command_under_slurm(tmp_path):
    command = [sys.executable, "-m", "pcx.cli"]
    small = ["--data", "two-moons", "--hidden", "8", "--batch-size", "48", "--epochs", "2", "--rule", "backprop"]
    out = ["--out", str(tmp_path / "run")]

    def step(*words):
        given = {"SLURM_JOB_ID": "7", "SLURM_STEP_NODELIST": "localhost", "SLURM_NTASKS": "2"}
        given |= {"JAX_COORDINATOR_PORT": str(free())}
        own = [given | {"SLURM_PROCID": str(i), "SLURM_LOCALID": str(i)} for i in range(2)]
        with started([([*command, *words], each) for each in own]) as processes:
            return [(*process.communicate(timeout=180), process.returncode) for process in processes]

    first, second = step("train", *small, *out)
    assert (first[2], second[2]) == (0, 0), (first, second)
    assert "results in" in first[0]
    assert "results in" not in second[0]
    assert "epoch" not in second[0]
    versions = json.loads((tmp_path / "run" / "versions.json").read_text())
    assert (versions["process_count"], versions["device_count"]) == (2, 4)
    assert not {"coordinator", "processes", "process"} & set(
        json.loads((tmp_path / "run" / "config.json").read_text())["options"]
    )
    first, second = step("resume", str(tmp_path / "run"), "--epochs", "3")
    assert (first[2], second[2]) == (0, 0), (first, second)
    assert [row["epoch"] for row in lines(tmp_path / "run")] == [1, 2, 3]
