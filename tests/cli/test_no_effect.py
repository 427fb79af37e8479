"""What has no effect is said: layers that no error reaches, options beside others."""

import pytest

from .commands import SMALL, call


def said(capsys):
    return capsys.readouterr().err.splitlines()


@pytest.mark.parametrize("command", ["train", "compare"])
def test_layers_that_nothing_reaches(command, tmp_path, capsys):
    words = ["--hidden", "4", "4", "--pc.T", "1", "--epochs", "1", "--seeds", "2", "--out", tmp_path / "run"]
    assert call(command, *SMALL, *words, *(["--rules", "pc"] if command == "compare" else [])) == 0
    (line,) = said(capsys)  # a warning is no error, and comes once, whatever the number of networks
    assert line.startswith("pcx: warning: pc: T=1 is too small: layers[0] will learn nothing")
    assert line.endswith("that takes T=2 (see docs/troubleshooting.md#it-doesnt-learn)")


CASES = {
    "momentum": ["--momentum", "0.5"],
    "weight-decay": ["--optimiser", "adam", "--weight-decay=0.1"],
    "decay-epochs": ["--decay_epochs", "3"],
    "held-out": ["--validation", "test", "--held-out", "0.2"],
    "monitor": ["--validation", "none", "--monitor", "validation-loss"],
    "first-seed": ["--seeds", "1", "2", "--first-seed", "4"],
    "checkpoint-seconds": ["--checkpoint-every", "50", "--checkpoint-seconds", "1"],
    "download": ["--download"],
}


@pytest.mark.parametrize("name", CASES)
def test_options_without_an_effect(name, tmp_path, capsys):
    words = ["--hidden", "4", "--rule", "backprop", "--epochs", "1", "--out", tmp_path / "run"]
    assert call("train", *SMALL, *words, *CASES[name]) == 0
    (line,) = said(capsys)
    assert line.startswith(f"pcx: warning: --{name} has no effect: ")
    if name == "momentum":  # what comes from another run is not given
        assert call("train", "--config", tmp_path / "run", "--out", tmp_path / "again", "--quiet") == 0
        assert said(capsys) == []
