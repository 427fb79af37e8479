"""Training, and going on with it."""

import json
import math
import signal

import numpy as np
import optax
import pytest

import pcx.learning as pxl
import pcx.models as pxm
import pcx.training as pxt

from .commands import SMALL, call, listed, start


def rows(folder):
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


def learned(folder):
    return {path.name: path.read_bytes() for path in sorted(folder.glob("weights*.safetensors"))}


def without_clock(folder):
    return [{name: value for name, value in row.items() if name != "seconds"} for row in rows(folder)]


def test_a_run(trained):
    names = {path.name for path in trained.iterdir()}
    assert names >= {
        *("config.json", "versions.json", "log.txt", "metrics.jsonl", "summary.json", "checkpoints"),
        *("weights-0.safetensors", "weights-1.safetensors"),
    }
    config = json.loads((trained / "config.json").read_text())
    assert config["command"] == "train"
    assert config["argv"][:4] == ["pcx", "train", "--data", "two-moons"]
    assert (config["options"]["hidden"], config["options"]["rule"]) == ([8], "backprop")
    summary = json.loads((trained / "summary.json").read_text())
    assert (summary["ended"], summary["best_by"]) == ("done", "validation_loss")
    assert [network["seed"] for network in summary["networks"]] == [0, 1]
    for i, network in enumerate(summary["networks"]):
        own = [row for row in rows(trained) if row["network"] == i]
        assert network["last"]["validation_accuracy"] == own[-1]["validation_accuracy"]
        assert network["best"]["validation_loss"] == min(row["validation_loss"] for row in own)


def test_a_config_gives_an_equal_run(trained, tmp_path):
    again = tmp_path / "again"
    assert call("train", "--config", trained, "--out", again, "--quiet") == 0
    assert without_clock(again) == without_clock(trained)
    assert learned(again) == learned(trained)
    options = [json.loads((folder / "config.json").read_text())["options"] for folder in (trained, again)]
    assert options[0] == options[1]


def test_options_come_on_top_of_a_config(trained, tmp_path):
    other = tmp_path / "other"
    file = trained / "config.json"
    assert call("train", f"--config={file}", "--out", other, "--seeds", 1, "--epochs", 1, "--quiet") == 0
    options = [json.loads((folder / "config.json").read_text())["options"] for folder in (trained, other)]
    assert options[1] == options[0] | {"seeds": [1], "epochs": 1}
    (row,) = without_clock(other)
    assert row == without_clock(trained)[0]


def test_a_folder_in_use_is_refused(trained, tmp_path, capsys):
    assert call("train", *SMALL, "--out", trained) == 1
    assert f"holds a run already: go on with it by `pcx resume {trained}`" in capsys.readouterr().err
    (tmp_path / "notes.txt").write_text("mine")
    assert call("train", *SMALL, "--out", tmp_path) == 1
    assert "is not empty; choose a new folder with --out" in capsys.readouterr().err


def test_the_default_folder(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    args = ["--rule", "backprop", "--lr", "0.01", "--epochs", 1, "--validation", "none"]
    assert call("train", *SMALL, *args) == 0
    (folder,) = (tmp_path / "runs").iterdir()
    assert folder.name.startswith("train-")
    assert f"pcx eval runs/{folder.name}" in capsys.readouterr().out
    assert "validation_loss" not in rows(folder)[0]


def test_training_that_fails(tmp_path, capsys):
    args = ["--rule", "backprop", "--optimiser", "sgd", "--lr", "1e30", "--out", tmp_path / "run"]
    assert call("train", *SMALL, *args) == 3
    assert "pcx: error: training failed: seed 0, epoch 1" in capsys.readouterr().err
    assert json.loads((tmp_path / "run" / "summary.json").read_text())["ended"] == "failed"


@pytest.mark.hasty
def test_longer_is_as_if_it_had_never_ended(trained, tmp_path):
    options = ["--rule", "backprop", "--lr", "0.01", "--schedule", "warmup-cosine"]
    short, long = tmp_path / "short", tmp_path / "long"
    assert call("train", *SMALL, *options, "--out", short) == 0
    assert call("resume", short, "--epochs", 1) == 1
    assert call("resume", short, "--epochs", 4, "--quiet") == 0
    assert call("train", *SMALL, *options, "--epochs", 4, "--decay-epochs", 2, "--out", long) == 0
    assert without_clock(short) == without_clock(long)
    assert learned(short) == learned(long)
    configs = [json.loads((folder / "config.json").read_text()) for folder in (short, long)]
    assert configs[0]["options"] == configs[1]["options"]
    assert configs[0]["epochs"] == 4


def test_a_finished_run_is_left_as_it_is(trained, capsys):
    files = {path: path.read_bytes() for path in trained.rglob("*") if path.is_file()}
    for words in ([], ["--epochs", 2]):
        assert call("resume", trained, *words) == 0
        assert "finished already, after 2 epochs; --epochs N trains longer" in capsys.readouterr().out
    assert {path: path.read_bytes() for path in trained.rglob("*") if path.is_file()} == files


def test_a_run_that_was_killed_while_it_was_made_longer_goes_on(tmp_path, capsys):
    run = tmp_path / "run"
    assert call("train", *SMALL, "--rule", "backprop", "--lr", "0.01", "--epochs", 1, "--out", run) == 0
    config = json.loads((run / "config.json").read_text())
    config["options"]["epochs"] = config["epochs"] = 2
    (run / "config.json").write_text(json.dumps(config))
    assert call("resume", run, "--quiet") == 0
    assert len(rows(run)) == 2
    assert " for each epoch and network, with the time to compile\n" in capsys.readouterr().out


@pytest.mark.hasty
def test_a_run_that_stopped_early_is_left_as_it_is(tmp_path, capsys):
    run = tmp_path / "run"
    args = ["--rule", "backprop", "--lr", "0.3", "--patience", 1, "--out", run]
    assert call("train", *SMALL, *args, "--epochs", 200) == 0
    log = (run / "log.txt").read_text()
    assert log.endswith(" stopped early\n")
    capsys.readouterr()
    assert call("resume", run) == 0
    assert f"stopped early, by --patience; begin another run with: pcx train --config {run}" in capsys.readouterr().out
    assert call("resume", run, "--epochs", 300) == 1
    assert "stopped early, by --patience" in capsys.readouterr().err
    assert (run / "log.txt").read_text() == log


@pytest.mark.hasty
def test_interrupted_and_resumed_is_as_if_unbroken(tmp_path):
    args = ["--data", "two-moons", "--hidden", 8, "--batch-size", 5, "--epochs", 40, "--rule", "backprop"]
    process = start("train", *args, "--out", "broken", cwd=tmp_path)
    assert process.stdout is not None
    assert process.stdout.readline().startswith("epoch 1/40: ")
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 130, errors
    assert errors.splitlines()[-1] == "pcx: interrupted; go on with: pcx resume broken"
    broken, whole = tmp_path / "broken", tmp_path / "whole"
    assert len(rows(broken)) < 40
    assert call("resume", broken, "--quiet") == 0
    assert call("train", *args, "--quiet", "--out", whole) == 0
    assert without_clock(broken) == without_clock(whole)
    assert learned(broken) == learned(whole)


@pytest.mark.hasty
def test_another_process_finds_what_training_found(trained):
    process = start("eval", trained, "--split", "validation", "--json", cwd=trained.parent)
    out, errors = process.communicate(timeout=120)
    assert process.returncode == 0, errors
    agrees(json.loads(out), trained, "last")


def test_the_best_epoch(trained, capsys):
    assert call("eval", trained, "--split", "validation", "--best", "--json") == 0
    agrees(json.loads(capsys.readouterr().out), trained, "best")


def agrees(report, folder, kept):
    assert report["checkpoint"] == kept
    assert report["epochs"] == max(network["epochs"] for network in report["networks"])
    for found in report["networks"]:  # each after its own best epoch
        (row,) = [r for r in rows(folder) if (r["seed"], r["epoch"]) == (found["seed"], found["epochs"])]
        assert found["accuracy"] == pytest.approx(row["validation_accuracy"], abs=1e-6)
        assert found["loss"] == pytest.approx(row["validation_loss"], abs=1e-6)


@pytest.mark.parametrize("words", [["eval"], ["resume"], ["train", "--config"]])
def test_a_run_of_fit_is_named(words, tmp_path, capsys):
    data = np.zeros((4, 2), np.float32), np.zeros(4, np.int32)
    rule = pxl.backprop(optax.sgd(0.1))
    pxt.fit(lambda: pxm.MLP([2, 2]), rule, data, epochs=1, batch_size=4, folder=tmp_path, show=False)
    assert call(*words, tmp_path) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert "was written by pcx.training.fit" in line
    assert "resume=True" in line
    assert "pcx.training.load_run(folder, model, rule)" in line
    (found,) = listed(tmp_path, capsys)
    assert (found["rule"], found["data"]) == ("backprop", "arrays float32[4, 2]")


def test_eval(trained, capsys):
    assert call("eval", trained) == 0
    shown = capsys.readouterr().out
    assert "backprop on two-moons: test set, last checkpoint" in shown
    assert "mean ± std" in shown
    assert call("eval", trained, "--split", "train", "--json") == 0
    report = json.loads(capsys.readouterr().out)
    values = [network["accuracy"] for network in report["networks"]]
    assert report["accuracy"]["mean"] == pytest.approx(sum(values) / 2)
    assert report["accuracy"]["std"] == pytest.approx(abs(values[0] - values[1]) / math.sqrt(2))


def test_one_command_for_a_job_that_may_be_restarted(tmp_path, capsys):
    run = tmp_path / "run"
    words = ["train", *SMALL, "--rule", "backprop", "--lr", "0.01", "--out", run, "--resume", "auto"]
    run.mkdir()
    (run / "versions.json").write_text('{"half')  # killed before it had its config
    assert call(*words) == 0
    before = learned(run)
    assert call(*words) == 0
    assert "finished already, after 2 epochs" in capsys.readouterr().out
    assert learned(run) == before
    assert call(*words, "--epochs", 3, "--devices", 1, "--equal-layers", "apart") == 0
    config, summary = (json.loads((run / name).read_text()) for name in ("config.json", "summary.json"))
    assert len(rows(run)) == config["epochs"] == config["options"]["epochs"] == 3
    # All else is that of the beginning.
    assert (config["options"]["devices"], config["options"]["equal_layers"]) == (None, "auto")
    assert "equal_layers was 'auto' when it began, and is 'apart'" in (run / "log.txt").read_text()
    # The first epoch of each start holds a compilation.
    assert summary["seconds_per_epoch"] == rows(run)[1]["seconds"]
    assert call(*words, "--lr", "0.02", "--epochs", 3) == 1
    assert "was begun otherwise: lr: was 0.01, is 0.02" in capsys.readouterr().err
    assert call(*words[:-4], "--resume", "auto") == 2
    assert "--resume auto needs --out" in capsys.readouterr().err
