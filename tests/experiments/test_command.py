"""`pcx run NAME` for the experiments, and `pcx verify`."""

import json

import pytest

import pcx.experiments.frame._trained as of_trained

from .commands import call

SMALL = ["--quick", "--samples", "200", "--test-samples", "50", "--batch-size", "50", "--hidden", "8", "--T", "2"]


def test_run_alone_lists_the_experiments(capsys):
    assert call("run") == 0
    shown = capsys.readouterr().out
    for name in ("zil", "mnist", "fashion-mnist"):
        assert f"  {name} " in shown


def test_help_says_the_settings(capsys):
    assert call("run", "mnist", "--help") == 0
    full = capsys.readouterr().out
    assert call("run", "mnist", "--quick", "--help") == 0
    quick = capsys.readouterr().out
    assert "(default: 128 128 128)" in " ".join(full.replace("│", " ").split())
    assert "(default: 32 32)" in " ".join(quick.replace("│", " ").split())


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--seeds", "0"], "--seeds must be at least 1"),
        (["--only", "pc"], "--only: there is no 'pc' in mnist; it has pc-se"),
        (["--resume"], "--resume needs --out"),
    ],
)
def test_options_that_cannot_be_used(words, said, capsys):
    assert call("run", "mnist", *words) == 2
    assert said in capsys.readouterr().err


def test_resuming_nothing_is_refused(tmp_path, capsys):
    assert call("run", "mnist", "--resume", "--out", tmp_path / "run") == 1
    assert "holds no experiment to go on with" in capsys.readouterr().err


def test_a_run_of_another_command_is_not_verified(tmp_path, capsys):
    (tmp_path / "config.json").write_text(json.dumps({"command": "train", "options": {}}))
    assert call("verify", tmp_path) == 1
    assert "was written by pcx train" in capsys.readouterr().err


@pytest.mark.hasty
def test_an_experiment_broken_off_and_verified(image_folder, tmp_path, capsys, monkeypatch):
    out = tmp_path / "run"
    words = ["run", "mnist", "--data-folder", image_folder, "--out", out]
    measured = of_trained.regime

    def broken(*args, **options):
        raise RuntimeError("the machine is gone")

    monkeypatch.setattr(of_trained, "regime", broken)  # trained, and killed before that is told
    assert call(*words, *SMALL, "--quiet", "--only", "backprop-ce") == 1
    assert not (out / "arms").exists()
    monkeypatch.setattr(of_trained, "regime", measured)
    assert call(*words, *SMALL) == 1
    assert "--resume" in capsys.readouterr().err
    assert call(*words, "--resume", "--quiet") == 0
    shown = capsys.readouterr().out
    assert "| backprop-ce " in shown

    rows = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    assert [(row["rule"], row["seed"], row["epoch"]) for row in rows[:3]] == [
        ("backprop-ce", 0, 1),
        ("backprop-ce", 0, 2),
        ("backprop-ce", 1, 1),
    ]
    assert all(0 <= row["test_accuracy"] <= 1 for row in rows)
    record = json.loads((out / "arms" / "backprop-ce.json").read_text())
    assert record["regime"]["verdict"] == "backprop-like"
    assert record["made_of"]["weights"] == 784 * 8 + 8 + 8 * 10 + 10
    assert call("runs", "--json", tmp_path) == 0
    (listed,) = json.loads(capsys.readouterr().out)
    assert listed["state"] == "done"
    assert set(listed["rules"]) == {"backprop-ce"}

    assert call("verify", out, "--data-folder", image_folder) == 0
    shown = capsys.readouterr().out
    assert "backprop-ce: the same bits" in shown
    assert "data: the same" in shown
    config = json.loads((out / "config.json").read_text())
    config["options"]["lr"] *= 1.01
    (out / "config.json").write_text(json.dumps(config))
    assert call("verify", out, "--data-folder", image_folder, "--json") == 1
    found = json.loads(capsys.readouterr().out)
    assert found["files"]["changed"] == ["config.json"]
    assert not found["steps"]["backprop-ce"]["same_bits"]
    assert not found["holds"]
