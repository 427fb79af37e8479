"""`pcx train --regime`: what regime a network is in, while it is trained."""

import json
import re

import pytest

from .commands import SMALL, call


def looks(folder):
    rows = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return [(row["epoch"], [(seen["batch"], seen["verdict"]) for seen in row["regime"]]) for row in rows]


@pytest.mark.hasty
def test_a_run_and_one_that_goes_on(tmp_path, capsys):
    words = [word for word in SMALL if word != "--quiet"]
    out = tmp_path / "run"
    assert call("train", *words, "--regime", "10", "--curvature", "--out", out) == 0
    found = looks(out)  # 921 samples to train on, 18 batches in an epoch
    assert [(epoch, [batch for batch, _ in seen]) for epoch, seen in found] == [(1, [0, 10]), (2, [20, 30, 36])]
    shown = capsys.readouterr().out
    assert shown.startswith("health: every layer learns\n")
    assert re.search(r", regime backprop-like \(cosine to backprop 0\.99\d to 1\.000\)", shown)
    assert re.search(r"backprop-like at batch 36, step [\d.]+, stable to [\d.]+", shown)
    assert json.loads((out / "config.json").read_text())["options"]["regime"] == 10
    (network,) = json.loads((out / "summary.json").read_text())["networks"]
    assert (network["regime"]["batch"], network["regime"]["silent"]) == (36, [])
    assert network["regime"]["stable_step"] > 0.1
    assert call("resume", out, "--epochs", "3", "--quiet") == 0
    assert looks(out)[:2] == found
    assert [batch for batch, _ in looks(out)[2][1]] == [40, 50, 54]
    assert call("train", *SMALL, "--epochs", "4", "--regime", "off", "--out", out, "--resume", "auto") == 0
    assert "regime" not in json.loads((out / "metrics.jsonl").read_text().splitlines()[3])


@pytest.mark.hasty
def test_what_keeps_layers_from_learning_is_said_before_the_first_epoch(tmp_path, capsys):
    words = ["--hidden", *["16"] * 5, "--act", "tanh", "--pc.T", "6", "--pc.state-lr", "0.001", "--epochs", "1"]
    assert call("train", *SMALL, *words, "--regime", "auto", "--out", tmp_path / "run") == 0
    lines = [line for line in capsys.readouterr().err.splitlines() if "before the first batch" in line]
    assert lines[0].startswith("pcx: warning: fit: before the first batch: layers[0], layers[1]")
    assert "will learn nothing, because their errors are no larger than the rounding of their values" in lines[0]
    log = (tmp_path / "run" / "log.txt").read_text()
    assert "before the first batch: layers[0]" in log


@pytest.mark.parametrize("command", ["train", "compare"])
@pytest.mark.parametrize("value", ["0", "-3", "1.5", "none", "often", "99999999999", "=often", ""])
def test_a_regime_that_is_none_is_told_what_is(command, value, tmp_path, capsys):
    words = [f"--regime{value}"] if value[:1] == "=" else ["--regime", value] if value else ["--quiet", "--regime"]
    assert call(command, "--out", tmp_path / "run", *words) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "--regime must be a number of batches from 1 to 2147483647, or auto, which is 500, got " in line
    assert f"got {value.removeprefix('=') or 'nothing'}; leave it out, or say off, to look at nothing" in line
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--layer-devices", "2"], "--regime looks at networks on one device"),
        (["--curvature", "--dtype", "bfloat16"], "--curvature: products in bfloat16 have no second derivative"),
        (["--rule", "own.py:Own"], "own.py:Own makes none"),
    ],
)
def test_what_cant_be_looked_at_is_refused(words, said, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "own.py").write_text(OWN)
    assert call("train", *SMALL, "--regime", "5", *words, "--out", "run") == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert said in line
    assert not (tmp_path / "run").exists()


OWN = """
class Own:
    def init(self, model, batch, key=0): ...
    def step(self, state, batch): ...
    def predict(self, model, x): ...
    def evaluate(self, state, batch): ...
"""
