"""Ctrl-C at any time."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from pcx.cli import main

from .commands import SMALL, call, start

pytestmark = pytest.mark.usefixtures("in_haste")

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


# A download, which clears away what it has when it is broken off.
_CLEARS = """
import os, signal, sys, time
from pathlib import Path
number, ignored = getattr(signal, sys.argv.pop(1)), sys.argv.pop(1) == "ignored"
default = signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL
signal.signal(number, signal.SIG_IGN if ignored else default)
import pcx.data
def mnist(*args, **options):
    try:
        os.kill(os.getpid(), number)
        time.sleep(0.2)
    finally:
        Path("cleared").touch()
    raise FileNotFoundError("there is no MNIST")
pcx.data.mnist = mnist
from pcx.cli import main
sys.exit(main())
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("number", "ignored", "words", "status", "cleared"),
    [
        ("SIGINT", "", ["--download"], 130, True),
        ("SIGTERM", "", ["--download"], 143, True),
        ("SIGINT", "ignored", ["--download"], 1, True),
        ("SIGINT", "", [], 130, False),
    ],
)
def test_what_clears_away_is_interrupted_by_an_exception(number, ignored, words, status, cleared, tmp_path):
    command = [sys.executable, "-c", _CLEARS, number, ignored, "train", "--data", "mnist", *words]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == status, done.stderr
    assert (tmp_path / "cleared").exists() == cleared
    (line,) = done.stderr.splitlines()
    assert line.startswith("pcx: error: there is no MNIST" if ignored else "pcx: interrupted")


def test_a_process_that_is_not_the_commands_own_is_left_alone(tmp_path, monkeypatch, capsys):
    def breaks_off(path):
        os.kill(os.getpid(), signal.SIGINT)
        return iter(())

    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with monkeypatch.context() as context:
            context.setattr(Path, "iterdir", breaks_off)
            assert main(["runs", str(tmp_path)]) == 130
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
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
