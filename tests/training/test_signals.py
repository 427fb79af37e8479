"""What asks a run to end: it ends in order, with a checkpoint."""

import os
import signal
import subprocess
import sys
import textwrap
import threading

import pytest

from .small import at_batch, same_bits, train

pytest.importorskip("orbax.checkpoint")
TO_END = [signal.SIGTERM, signal.SIGHUP]


@pytest.fixture(autouse=True)
def as_before():
    handlers = {number: signal.getsignal(number) for number in [*TO_END, signal.SIGINT]}
    yield
    found = {number: signal.getsignal(number) for number in handlers}
    for number, handler in handlers.items():
        signal.signal(number, handler)
    assert found == handlers


def sent(*numbers):
    """Options of a run to which signals come at its eighth batch."""

    def interrupt():
        for number in numbers:
            os.kill(os.getpid(), number)

    return at_batch(7, interrupt)


@pytest.mark.parametrize("number", TO_END)
def test_a_checkpoint_and_the_status_of_the_signal(number, tmp_path):
    with pytest.raises(SystemExit) as ended:
        train(folder=tmp_path / "run", **sent(number, number))  # to the process, and to its group
    assert ended.value.code == 128 + number
    assert (tmp_path / "run" / "log.txt").read_text().endswith(" interrupted\n")
    assert (tmp_path / "run" / "checkpoints" / "last" / "8").is_dir()
    assert (tmp_path / "run" / "weights.safetensors").is_file()
    assert same_bits(train(folder=tmp_path / "run", resume="auto"), train())


def test_a_handler_that_was_there_is_called_when_all_is_kept(tmp_path):
    seen = []
    before = signal.signal(signal.SIGTERM, lambda number, frame: seen.append((number, frame)))
    try:
        fit = train(folder=tmp_path / "run", **sent(signal.SIGTERM))
    finally:
        signal.signal(signal.SIGTERM, before)
    assert (fit.ended, seen) == ("interrupted", [(signal.SIGTERM, None)])


def test_sigterm_counts_more_than_ctrl_c():
    for numbers in ([signal.SIGINT, signal.SIGTERM], [signal.SIGTERM]):
        with pytest.raises(SystemExit) as ended:
            train(**sent(*numbers))
        assert ended.value.code == 143
    assert train(**sent(signal.SIGINT)).ended == "interrupted"
    with pytest.raises(KeyboardInterrupt):
        train(**sent(signal.SIGINT, signal.SIGINT))


@pytest.mark.parametrize("number", [signal.SIGINT, *TO_END])
def test_what_is_ignored_stays_ignored(number):
    before = signal.signal(number, signal.SIG_IGN)
    try:
        assert train(**sent(number)).ended == "done"
        assert signal.getsignal(number) == signal.SIG_IGN
    finally:
        signal.signal(number, before)


def test_handlers_that_are_not_pythons(monkeypatch):
    # So it is in a program that Python is embedded in.
    def refuse(number, handler):
        raise ValueError("signal only works in main thread of the main interpreter")

    def never(number, handler):
        raise AssertionError("what Python has not set it could not set again")

    with monkeypatch.context() as context:
        context.setattr(signal, "signal", refuse)
        assert train(epochs=1).ended == "done"
        context.setattr(signal, "getsignal", lambda number: None)
        context.setattr(signal, "signal", never)
        assert train(epochs=1).ended == "done"


def test_in_another_thread():
    found = []
    thread = threading.Thread(target=lambda: found.append(train(epochs=1).ended))
    thread.start()
    thread.join()
    assert found == ["done"]


# A terminal that is closed: SIGHUP, and whatever is printed from then on fails.
IN_A_TERMINAL = """
    import os, pty, select, signal, sys, time
    from pathlib import Path
    folder = Path(sys.argv[1])
    pid, terminal = pty.fork()
    if pid == 0:
        import numpy as np, optax, pcx.learning as pxl, pcx.models as pxm, pcx.training as pxt
        signal.signal(signal.SIGHUP, signal.SIG_DFL)
        x = np.zeros((4000, 2), np.float32)
        pxt.fit(pxm.MLP([2, 2]), pxl.backprop(optax.sgd(0.1)), (x, (x[:, 0] > 0).astype(np.int32)), epochs=10**6,
                batch_size=4, folder=folder)
    while not (folder / "metrics.jsonl").exists():
        if select.select([terminal], [], [], 0.1)[0]:
            os.read(terminal, 10000)
    os.close(terminal)
    sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) % 256)
"""


@pytest.mark.slow
def test_a_terminal_that_is_closed(tmp_path):
    pytest.importorskip("rich")
    command = [sys.executable, "-c", textwrap.dedent(IN_A_TERMINAL), str(tmp_path / "run")]
    done = subprocess.run(command, timeout=120, env={**os.environ, "JAX_PLATFORMS": "cpu"}, check=False)
    assert done.returncode in (129, 120)  # 120 is Python's own, where what was printed last can't be written any more
    assert list((tmp_path / "run" / "checkpoints" / "last").iterdir())
