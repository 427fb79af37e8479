"""Settings that were found take the place of the published ones, and are those of the folder that found them."""

import dataclasses
import importlib
import json
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import pytest

import pcx.experiments._mnist as of_mnist
import pcx.models as pxm
from pcx.experiments import EXPERIMENTS
from pcx.experiments._benchmark_rules import NUMBERS, numbers_of, rule_of
from pcx.experiments._found import FOUND
from pcx.experiments._mnist import MLPSettings

from .commands import call

ROOT = Path(__file__).parents[2]
MADE_UP = {rule: {name: 0.0123 for name in names} for rule, names in NUMBERS.items()}


@pytest.fixture
def script(monkeypatch):
    """The script that searches."""
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    yield importlib.import_module("settings")
    sys.modules.pop("settings", None)


def test_what_stands_here_is_what_its_folder_found():
    for name, rules in FOUND.items():
        best = json.loads((ROOT / "benchmarks" / "results" / f"settings-{name}" / "summary.json").read_text())["best"]
        assert rules == {rule: each["settings"] for rule, each in best.items()}


def test_the_search_is_over_every_number_of_every_rule(script):
    assert {rule: {*space} for rule, space in script.SPACE.items()} == {r: {*names} for r, names in NUMBERS.items()}
    for rule, space in script.SPACE.items():  # what is published could be found
        usual = numbers_of(rule, MLPSettings())
        assert all(low <= usual[name] <= high for name, (low, high, _) in space.items()), rule


def test_found_settings_are_those_of_the_rules(monkeypatch):
    monkeypatch.setitem(of_mnist.FOUND, "mnist", MADE_UP)
    experiment, settings = EXPERIMENTS["mnist"], MLPSettings(settings="found")
    assert experiment.arms(settings) == tuple(f"{rule}-se" for rule in MADE_UP)
    assert "found by" in experiment.source_of(settings)
    assert experiment.source_of(MLPSettings()) == experiment.source


def test_settings_that_cannot_be_used(monkeypatch, capsys):
    monkeypatch.delitem(of_mnist.FOUND, "mnist", raising=False)
    assert call("run", "mnist", "--settings", "found") == 2
    assert "none have been found for mnist" in capsys.readouterr().err
    with pytest.raises(ValueError, match="--settings must be published or found, got guessed"):
        dataclasses.replace(MLPSettings(), **{"settings": "guessed"}).check()
    for name in ("ipc_lr", "epc_lr", "state_momentum"):
        with pytest.raises(ValueError, match=f"--{name.replace('_', '-')} has no effect beside --settings found"):
            dataclasses.replace(MLPSettings(settings="found"), **{name: 1e-3}).check()
    MLPSettings(settings="found", seeds=2).check()


def test_what_was_found_is_written_as_it_is_formatted(script, tmp_path):
    folder, path = tmp_path / "found", tmp_path / "_found.py"
    folder.mkdir()
    path.write_text(script.FOUND.read_text())
    for data in ("mnist", "fashion-mnist"):
        best = {rule: {"settings": each} for rule, each in MADE_UP.items()}
        (folder / "config.json").write_text(json.dumps({"data": data}))
        (folder / "summary.json").write_text(json.dumps({"best": best}))
        script.write_found(folder, path)
    text = path.read_text()
    namespace = {}
    exec(text, namespace)
    assert namespace["FOUND"] == {**FOUND, "mnist": MADE_UP, "fashion-mnist": MADE_UP}
    assert text.startswith(script.FOUND.read_text().partition("FOUND: ")[0])
    assert '\n    "mnist": {\n        "pc": {\n            "lr": 0.0123,\n' in text
    (folder / "summary.json").write_text(json.dumps({"best": {"pc": {"settings": {}}}}))
    with pytest.raises(SystemExit, match="has no ipc"):
        script.write_found(folder, path)


@pytest.mark.slow
@pytest.mark.parametrize("name", NUMBERS)
def test_the_numbers_of_rules_may_be_traced(name):
    """So that all trials of a rule are one program. Nothing is compiled."""
    model = pxm.MLP([3, 4, 4, 2])
    batch = jnp.ones((5, 3)), jnp.zeros(5, int)
    state = rule_of(name, numbers_of(name, MLPSettings()), 8, 3, 20).init(model, batch)

    def step(numbers):
        return rule_of(name, numbers, 8, 3, 20).step(state, batch)[0].weights

    found = jax.eval_shape(step, {each: jnp.float32(1e-3) for each in NUMBERS[name]})
    assert {each.shape for each in jax.tree.leaves(found)} == {(4, 3), (4,), (4, 4), (2, 4), (2,)}


@pytest.mark.slow
def test_a_search_from_end_to_end(script, image_folder, tmp_path, monkeypatch, capsys):
    out = tmp_path / "found"
    words = ["--data-folder", image_folder, "--only", "backprop", "--trials", "2", "--epochs", "1", "--samples", "128"]
    words += ["--held-out", "60", "--hidden", "8", "--batch-size", "64", "--out", out]
    monkeypatch.setattr(sys, "argv", ["settings.py", *map(str, words)])
    script.main()
    summary = json.loads((out / "summary.json").read_text())
    assert {*summary["best"]["backprop"]["settings"]} == {"lr", "weight_decay"}
    trials = json.loads((out / "rules" / "backprop.json").read_text())["trials"]
    assert len(trials) == 2
    assert not (out / "sweeps").exists()
    assert {*json.loads((out / "sums.json").read_text())["files"]} >= {"config.json", "summary.json", "versions.json"}
    with pytest.raises(SystemExit, match="finished already"):
        script.main()
    monkeypatch.setattr(sys, "argv", [*sys.argv, "--trials", "3"])
    with pytest.raises(SystemExit, match="holds another search: options"):
        script.main()
