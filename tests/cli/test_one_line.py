"""Whatever is handed over: one line on stderr and exit status 1 or 2, never a traceback."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from pcx.cli._failures import CommandError

from .commands import SMALL, call, listed

LONG = "x" * 300
NO_TEXT = os.fsdecode(b"br\xe4nd")


@pytest.fixture(autouse=True)
def empty(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def one_line(words, capsys, status=(1, 2)):
    assert call(*words) in status
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("pcx: error: ")
    return line


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--seeds", "99999999999"], "--seeds must be at most 10000 networks"),
        (["--first-seed", "9" * 20], "--seeds"),
        (["--hidden", "9" * 20], "--hidden must be at most 2147483647"),
        (["--pc.T", "3000000000"], "--pc.T must be at most 2147483647"),
        (["--epochs", "9" * 400], "--epochs must be at most"),
        (["--batch-size", "9" * 30], "--batch-size must be at most"),
        (["--lr", "1e-50"], "--lr must be a number that float32 can hold"),
        (["--lr", "1e39"], "--lr must be a number that float32 can hold"),
        (["--weight-decay", "nan"], "--weight-decay"),
        (["--out", LONG], "File name too long"),
        (["--out", NO_TEXT], "no UTF-8"),
        (["--out", "a\0b"], "zero byte"),
        (["--config"], "Missing value"),
        (["--config", LONG], "File name too long"),
        (["--config", NO_TEXT], "there is no"),
        (["--rule", NO_TEXT], "--rule: there is no"),
        (["--hidden", "2000000000"], "weights needs more than"),
    ],
)
def test_options(words, message, capsys, tmp_path):
    assert message in one_line(["train", "--data", "two-moons", *words], capsys)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("command", ["resume", "eval", "runs", "compare --resume --out", "run zil --out"])
@pytest.mark.parametrize("name", [LONG, "a\0b"])
def test_paths(command, name, capsys):
    one_line([*command.split(), name], capsys)


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (["train", "--out", ""], "--out"),
        (["train", "--out="], "--out"),
        (["train", "--data-folder", ""], "--data-folder"),
        (["train", "--config="], "--config"),
        (["train", "--rule", ""], "--rule"),
        (["compare", "--out", ""], "--out"),
        (["run", "zil", "--out", ""], "--out"),
        (["resume", ""], "pcx resume"),
        (["eval", ""], "pcx eval"),
        (["runs", ""], "pcx runs"),
        (["info", "--data-folder="], "--data-folder"),
    ],
)
def test_empty_words(words, named, capsys, tmp_path):
    line = one_line(words, capsys, status=(2,))
    assert line.startswith(f"pcx: error: {named}: the value is empty; for the folder that the command runs in, write .")
    assert list(tmp_path.iterdir()) == []


CONFIGS = {
    "empty": b"",
    "no text": b"\xff\xfe{}",
    "cut": b'{"command": "trai',
    "nested": b"[" * 100_000,
    "list": b"[]",
    "no options": b'{"command": "train"}',
    "options null": b'{"command": "train", "options": null}',
    "command list": b'{"command": ["train"], "options": {}}',
    "rule list": b'{"command": "train", "options": {"rule": ["pc"]}}',
    "nested T": b'{"command": "train", "options": {"pc": {"T": {"T": 1}}}}',
    "huge": b'{"command": "train", "options": {"lr": 1' + b"0" * 400 + b"}}",
    "nan": b'{"command": "train", "options": {"lr": NaN}}',
    "negative": b'{"command": "train", "options": {"epochs": -1}}',
}


@pytest.mark.parametrize("kind", CONFIGS)
def test_configs(kind, tmp_path, capsys):
    run = tmp_path / "run"
    run.mkdir()
    (run / "config.json").write_bytes(CONFIGS[kind])
    for words in (["resume", run], ["eval", run], ["train", "--config", run]):
        one_line(words, capsys)
    assert call("runs", tmp_path) == 0
    assert capsys.readouterr().err == ""


def test_damaged_logs_and_metrics(tmp_path, capsys):
    rows = [{"epoch": 1, "accuracy": 0.5}, {"epoch": "2", "accuracy": 1}, {"epoch": 3, "accuracy": None}, [], {}]
    text = "\n".join(json.dumps(row) for row in rows).encode()
    (tmp_path / "config.json").write_text('{"command": "train", "epochs": {}, "options": {"rule": "pc", "data": []}}')
    (tmp_path / "metrics.jsonl").write_bytes(b"\xff\x00\n" + text + b'\n{"epoch": 4, "acc\xc3')
    (tmp_path / "log.txt").write_bytes(b"2026-01-01T00:00:00 d\xc3one\n2026-01-01T00:00:01 done\n\xff")
    (found,) = listed(tmp_path, capsys)
    assert (found["last"], found["state"], found["epochs"]) == (0.5, "done", None)
    for words in (["runs", tmp_path], ["runs", "--json", tmp_path]):
        assert call(*words) == 0
        assert capsys.readouterr().err == ""


def test_square_brackets_are_no_markup(tmp_path, capsys, monkeypatch):
    run = tmp_path / "sweep[adam]" / "[bold]:smile:"
    run.mkdir(parents=True)
    (run / "config.json").write_text('{"command": "train", "options": {"rule": "pc[x]"}}')
    assert call("runs", ".") == 0
    shown = capsys.readouterr().out
    assert "sweep[adam]/[bold]:smile:" in shown
    assert "pc[x]" in shown
    assert call("runs", "none[red]") == 1
    assert "none[red]" in capsys.readouterr().err


def test_a_network_that_stopped_counts_with_its_last_value(tmp_path, capsys):
    (tmp_path / "config.json").write_text('{"options": {"rule": "pc"}, "epochs": 3}')
    rows = [
        {"network": n, "seed": n, "epoch": e, "validation_accuracy": v}
        for n, e, v in [(0, 1, 0.5), (1, 1, 0.7), (1, 2, 0.9), (1, 3, 0.8)]
    ]
    (tmp_path / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (found,) = listed(tmp_path, capsys)
    assert (found["last"], found["best"]) == (pytest.approx(0.65), pytest.approx(0.7))


def test_of_equal_epochs_the_last_is_the_best(tmp_path):
    words = [
        "--lr",
        "1e-30",
        "--epochs",
        "3",
        "--monitor",
        "validation-accuracy",
        "--rule",
        "backprop",
    ]  # learns nothing
    assert call("train", *SMALL, *words, "--out", "run") == 0
    (network,) = json.loads((tmp_path / "run" / "summary.json").read_text())["networks"]
    assert network["best"]["epoch"] == 3


def test_the_study_is_listed_by_rule(tmp_path, capsys):
    (tmp_path / "config.json").write_text('{"rules": ["zil", "backprop"], "epochs": 2}')
    rows = [
        {"rule": r, "seed": 0, "epoch": e, "test_accuracy": v}
        for r, e, v in [("zil", 1, 0.9), ("zil", 2, 0.8), ("backprop", 1, 0.1), ("backprop", 2, 0.2)]
    ]
    (tmp_path / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (found,) = listed(tmp_path, capsys)
    assert (found["last"], found["best"], found["metric"]) == (None, None, "test_accuracy")
    assert found["rules"] == {"zil": {"last": 0.8, "best": 0.9}, "backprop": {"last": 0.2, "best": 0.2}}
    assert call("runs", ".") == 0
    shown = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert any("zil" in line and "test" in line and "80.00%" in line and "90.00%" in line for line in shown)
    assert any("backprop" in line and "test" in line and "20.00%" in line for line in shown)
    assert not any("validation" in line for line in shown)


def test_a_sweep_is_listed_by_setting_the_best_first(tmp_path, capsys):
    networks = [{"seed": s, "settings": {"lr": lr}} for s in (0, 1) for lr in (0.1, 0.01, 10.0)]
    (tmp_path / "config.json").write_text(json.dumps({"epochs": 2, "made_of": {"networks": networks}}))
    # By setting: 0.5 and 0.4, 0.7 and 0.9; those of the third failed at once.
    rows = [
        {"network": i, "epoch": e, "accuracy": v + d}
        for i, d in ((0, 0.1), (3, -0.1), (1, 0.05), (4, -0.05))
        for e, v in ((1, 0.5 if i in (0, 3) else 0.7), (2, 0.4 if i in (0, 3) else 0.9))
    ]
    (tmp_path / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (found,) = listed(tmp_path, capsys)
    assert (found["last"], found["best"], found["networks"]) == (None, None, 4)
    assert list(found["settings"]) == ["lr 0.01", "lr 0.1", "lr 10.0"]
    assert found["settings"]["lr 0.1"] == pytest.approx({"last": 0.4, "best": 0.5})
    assert call("runs", ".") == 0
    shown = [line for line in capsys.readouterr().out.splitlines() if "lr " in line]
    assert [[word for word in line.split() if "%" in word] for line in shown] == [
        ["90.00%", "90.00%"],
        ["40.00%", "50.00%"],
        [],
    ]


@pytest.mark.parametrize(
    ("file", "ended", "state"),
    [("progress.json", "unfinished", "unfinished"), ("summary.json", "interrupted", "interrupted")],
)
def test_how_far_a_sweep_is(file, ended, state, tmp_path, capsys):
    (tmp_path / "config.json").write_text('{"command": "sweep", "options": {"rule": "pc", "data": "digits"}}')
    counts = {"done": 3, "pruned": 1, "failed": 0, "not run": 8}
    found = {"ended": ended, "settings": counts, "metric": "validation_loss", "best_value": 0.25}
    (tmp_path / file).write_text(json.dumps(found))
    assert call("runs", ".") == 0
    (line,) = [line for line in capsys.readouterr().out.splitlines() if "digits" in line]
    cells = [cell.strip() for cell in line.split("│")]
    assert cells[2:] == ["pc", "digits", state, "4/12 settings", "–", "validation loss", "–", "0.25", ""]
    (tmp_path / file).write_text('{"settings": 3}')
    assert call("runs", ".") == 0


@pytest.mark.parametrize("error", [MemoryError(), KeyError("x"), RuntimeError("a\nb"), OSError(28, "No space left")])
def test_what_nothing_was_prepared_for(error, monkeypatch, capsys):
    def fail(*args, **named):
        raise error

    with monkeypatch.context() as context:
        context.setattr(Path, "is_dir", fail)
        one_line(["runs", "x"], capsys)
        context.setenv("PCX_TRACEBACK", "1")
        with pytest.raises(type(error)):
            call("runs", "x")


def test_memory(monkeypatch, capsys):
    words, known = ["train", *SMALL, "--rule", "backprop", "--out"], os.sysconf

    def little(name):
        return 1 if name == "SC_PHYS_PAGES" else known(name)

    def unknown(name):
        if name == "SC_PHYS_PAGES":
            raise ValueError(name)
        return known(name)

    monkeypatch.setattr(os, "sysconf", little)
    assert "a network of 32 weights needs more than" in one_line([*words, "a"], capsys)
    monkeypatch.setattr(os, "sysconf", unknown)  # where it is not known how much there is, nothing is refused
    assert call(*words, "b") == 0


@pytest.mark.parametrize(
    ("redirected", "status"),
    [(">/dev/full", 1), (">&-", 1), ("2>&-", 0), ("2>/dev/full", 0), (">/dev/full 2>/dev/full", 1), ("<&- 2>&-", 0)],
)
def test_streams(redirected, status):
    command = f"{sys.executable} -m pcx.cli runs . {redirected}"
    done = subprocess.run(["sh", "-c", command], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == status, done.stderr
    if status and "2>" not in redirected:
        (line,) = done.stderr.splitlines()
        assert line.startswith("pcx: error: stdout ")
    else:
        assert done.stderr == ""


@pytest.mark.parametrize("words", ["--help", "--version", "", "train --help", "run zil --help"])
def test_what_is_said_of_a_command_where_it_cannot_be_printed(words):
    for redirected, status in (("/dev/full", 1), ("/dev/null", 0)):
        command = f"{sys.executable} -m pcx.cli {words} >{redirected}"
        done = subprocess.run(["sh", "-c", command], capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == status, done.stderr
        assert done.stderr.startswith("pcx: error: stdout can't be written to") == bool(status)
        assert len(done.stderr.splitlines()) == status


def test_names_that_are_no_text_are_printed_as_they_are(tmp_path):
    (tmp_path / NO_TEXT).mkdir()
    (tmp_path / NO_TEXT / "config.json").write_text("{}")
    done = subprocess.run([sys.executable, "-m", "pcx.cli", "runs", "."], capture_output=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert b"br\xe4nd" in done.stdout


def test_training_that_fails_is_one_line(capsys):
    words = ["train", *SMALL, "--rule", "backprop", "--optimiser", "sgd", "--lr", "1e30", "--out", "run"]
    assert "training failed" in one_line(words, capsys, status=(3,))


def test_lines_that_are_sentences_are_sentences_on_one_line(capsys):
    assert str(CommandError("the shape is (3,)\nIt gets one-hot vectors,\nover 10 classes\n")) == (
        "the shape is (3,). It gets one-hot vectors, over 10 classes"
    )
    assert str(CommandError("choose:\nNet, or\n\nMLP")) == "choose: Net, or MLP"
    assert call("train", "--data", "nothing") == 2
    assert "; for all options" in (said := capsys.readouterr().err)
    assert ".;" not in said
