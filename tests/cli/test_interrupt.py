"""Ctrl-C at any time."""

import os
import signal
import subprocess
import sys

import pytest

from pcx.cli import main
from pcx.cli._interrupt import at_once, by_exception

from .commands import SMALL, call, start

# Ctrl-C as soon as a module begins to be imported.
_AT = """
import os, signal, sys, threading, time
module = sys.argv.pop(1)
def watch():
    while module not in sys.modules:
        time.sleep(0.001)
    os.kill(os.getpid(), signal.SIGINT)
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell may have it ignored
threading.Thread(target=watch, daemon=True).start()
from pcx.cli import main
sys.exit(main())
"""


@pytest.mark.parametrize("module", ["tyro", "jax", "jax._src.numpy", "optax", "orbax.checkpoint", "sklearn.datasets"])
@pytest.mark.slow
def test_while_it_starts(module, tmp_path):
    command = [sys.executable, "-c", _AT, module, "train", *SMALL, "--epochs", "1000", "--out", "run"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False)
    assert (done.returncode, done.stderr) == (130, "pcx: interrupted\n")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("words", [["run", "zil", "--epochs", "100000"], ["eval"], ["compare", *SMALL]])
@pytest.mark.slow
def test_of_other_commands(words, trained, tmp_path):
    words = [*words, trained] if words == ["eval"] else words
    command = [sys.executable, "-c", _AT, "pcx.data", *map(str, words)]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False)
    assert (done.returncode, done.stderr) == (130, "pcx: interrupted\n")


@pytest.mark.slow
def test_the_second_one_ends_at_once(tmp_path):
    args = ["--data", "two-moons", "--hidden", 8, "--batch-size", 5, "--epochs", 1000, "--rule", "backprop"]
    process = start("train", *args, "--out", "run", cwd=tmp_path)
    assert process.stdout is not None
    assert process.stdout.readline().startswith("epoch 1/1000: ")
    while process.poll() is None:
        process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 130
    assert errors.splitlines()[-1].endswith("with: pcx resume run")
    assert "Traceback" not in errors


def test_what_clears_away_is_interrupted_by_an_exception():
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with at_once():
            ends = signal.getsignal(signal.SIGINT)
            with pytest.raises(KeyboardInterrupt), by_exception():
                os.kill(os.getpid(), signal.SIGINT)
            assert signal.getsignal(signal.SIGINT) is ends is not signal.default_int_handler
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        with at_once(), by_exception():
            assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)


def test_a_process_that_is_not_the_commands_own_is_left_alone(tmp_path, monkeypatch, capsys):
    def breaks_off(*args):
        os.kill(os.getpid(), signal.SIGINT)

    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    monkeypatch.setattr("pcx.cli._runs.described", breaks_off)
    try:
        (tmp_path / "config.json").write_text("{}")
        assert main(["runs", str(tmp_path)]) == 130
    finally:
        signal.signal(signal.SIGINT, before)
    assert capsys.readouterr().err == "pcx: interrupted\n"


_WITH = """
import os, signal, sys
which, sent = (getattr(signal, name) for name in sys.argv[1:3])
del sys.argv[1:3]
signal.signal(which, signal.SIG_IGN if sent == signal.SIGUSR1 else signal.SIG_DFL)
from pcx import training
fit, calls = training.fit, []
def interrupted(*args, **options):
    def on_dispatch(_):
        calls.append(1)
        if len(calls) == 3:
            os.kill(os.getpid(), which)
    return fit(*args, **{**options, "on_dispatch": on_dispatch})
training.fit = interrupted
from pcx.cli import main
sys.exit(main())
"""


@pytest.mark.parametrize(
    ("which", "ignored", "status"),
    [("SIGTERM", False, 143), ("SIGHUP", False, 129), ("SIGINT", True, 0), ("SIGHUP", True, 0)],
)
@pytest.mark.slow
def test_other_signals(which, ignored, status, tmp_path):
    words = ["train", *SMALL, "--rule", "backprop", "--epochs", "3", "--out", "run", "--resume", "auto"]
    sent = "SIGUSR1" if ignored else which
    command = [sys.executable, "-c", _WITH, which, sent, *words]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == status, done.stderr
    assert "Traceback" not in done.stderr
    assert list((tmp_path / "run" / "checkpoints" / "last").iterdir())
    if not ignored:
        assert done.stderr.splitlines()[-1] == "pcx: interrupted; go on with: pcx resume run"
        assert call(*words[:-3], tmp_path / "run", "--resume", "auto") == 0
        assert (tmp_path / "run" / "log.txt").read_text().endswith(" done\n")


@pytest.mark.parametrize("which", ["SIGTERM", "SIGHUP"])
def test_while_it_starts_by_another_signal(which, tmp_path):
    code = _AT.replace("os.kill(os.getpid(), signal.SIGINT)", f"os.kill(os.getpid(), signal.{which})")
    command = [sys.executable, "-c", code, "optax", "train", *SMALL, "--out", "run"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False)
    assert (done.returncode, done.stderr) == (128 + getattr(signal, which), "pcx: interrupted\n")
