"""`pcx train --regime`: what regime a network is in, while it is trained."""

import json
import re

import pytest

from .commands import SMALL, call


def looks(folder):
    rows = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return [(row["epoch"], [(seen["batch"], seen["verdict"]) for seen in row["regime"]]) for row in rows]


@pytest.mark.slow
def test_a_run_and_one_that_goes_on(tmp_path, capsys):
    words = [word for word in SMALL if word != "--quiet"]
    out = tmp_path / "run"
    assert call("train", *words, "--regime", "10", "--out", out) == 0
    found = looks(out)  # 921 samples to train on, 18 batches in an epoch
    assert [(epoch, [batch for batch, _ in seen]) for epoch, seen in found] == [(1, [0, 10]), (2, [20, 30])]
    said = capsys.readouterr().out
    assert re.search(r", regime backprop-like \(cosine to backprop 0\.99\d to 1\.000\)", said)
    assert json.loads((out / "config.json").read_text())["options"]["regime"] == 10
    (network,) = json.loads((out / "summary.json").read_text())["networks"]
    assert (network["regime"]["batch"], network["regime"]["silent"]) == (30, [])
    assert call("resume", out, "--epochs", "3", "--quiet") == 0
    assert looks(out)[:2] == found
    assert [batch for batch, _ in looks(out)[2][1]] == [40, 50]


@pytest.mark.slow
def test_what_keeps_layers_from_learning_is_said_before_the_first_epoch(tmp_path, capsys):
    words = ["--hidden", *["16"] * 5, "--act", "tanh", "--pc.T", "6", "--pc.state-lr", "0.001", "--epochs", "1"]
    assert call("train", *SMALL, *words, "--regime", "auto", "--out", tmp_path / "run") == 0
    lines = [line for line in capsys.readouterr().err.splitlines() if "before the first batch" in line]
    assert lines[0].startswith("pcx: warning: fit: before the first batch: layers[0], layers[1]")
    assert "will learn nothing, because their errors are no larger than the rounding of their values" in lines[0]
    log = (tmp_path / "run" / "log.txt").read_text()
    assert "before the first batch: layers[0]" in log


@pytest.mark.parametrize("words", [["--regime", "0"], ["--regime", "often"], ["--regime", "5", "--layer-devices", "2"]])
def test_what_cant_be_is_refused(words, tmp_path, capsys):
    assert call("train", *SMALL, *words, "--out", tmp_path / "run") == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "--regime" in line
    assert not (tmp_path / "run").exists()
