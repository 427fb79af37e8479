"""A run of the command, built again in Python."""

import json

import numpy as np
import pytest

import pcx.data as pxd
import pcx.training as pxt

from .commands import SMALL, call


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("loaded") / "run"
    words = ["--rule", "pc", "--pc.T", 3, "--act", "tanh", "--energy", "ce", "--lr", "0.01", "--epochs", 1]
    assert call("train", *SMALL, *words, "--out", folder) == 0
    return folder


@pytest.mark.parametrize("best", [False, True])
def test_model_rule_and_data(run, best, capsys):
    model, rule, data = pxt.load_run(run, best=best)
    assert call("eval", run, "--json", *(["--best"] if best else [])) == 0
    report = json.loads(capsys.readouterr().out)
    assert rule is not None
    output = np.asarray(rule.predict(model, data.test.x))
    assert (output.argmax(-1) == data.test.y).mean() == pytest.approx(report["accuracy"]["mean"])
    assert len(data.train) > len(data.validation) > 0


def test_samples_of_ones_own(run, tmp_path):
    _, _, data = pxt.load_run(run)
    raw = pxd.two_moons()
    np.testing.assert_allclose(data.scaling(raw.test.x), data.test.x, rtol=1e-6)
    assert data.names == raw.classes
    plain = tmp_path / "plain"
    assert call("train", *SMALL, "--no-standardise", "--rule", "backprop", "--epochs", 1, "--out", plain) == 0
    assert pxt.load_run(plain)[2].scaling is None


def test_options_that_are_not_those_of_the_run(run, tmp_path):
    config = json.loads((run / "config.json").read_text())
    (tmp_path / "checkpoints").symlink_to(run / "checkpoints")
    for name, value, named in (("act", "gelu", "model: act"), ("lr", 0.02, "rule: "), ("act", "nothing", "can't be")):
        changed = {**config, "options": {**config["options"], name: value}}
        (tmp_path / "config.json").write_text(json.dumps(changed))
        with pytest.raises(ValueError, match=named):
            pxt.load_run(tmp_path)


def test_a_comparison_holds_several_runs(tmp_path):
    (tmp_path / "config.json").write_text(json.dumps({"command": "compare", "options": {}}))
    (tmp_path / "summary.json").write_text("{}")
    with pytest.raises(ValueError, match="give the folder of one of its rules"):
        pxt.load_run(tmp_path)


def test_several_networks(trained):
    with pytest.raises(ValueError, match=r"0 \(seed 0\), 1 \(seed 1\)"):
        pxt.load_run(trained)
    assert pxt.load_run(trained, network=1)[0] is not None
