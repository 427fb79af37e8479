"""What is refused, and options as JSON and back."""

import dataclasses
import inspect
import itertools
import json
import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import jax
import pytest

import pcx.predictive_coding as pxc
from pcx.cli._build import augmentation, make_rule, model_maker
from pcx.cli._failures import CommandError
from pcx.cli._rules import RULE_NAMES, NudgedOptions
from pcx.cli._saved import as_json, from_json
from pcx.cli._settings import CompareOptions, TrainOptions

from .commands import call


@pytest.fixture(autouse=True)
def empty(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("command", ["train", "resume", "eval", "compare", "runs", "info"])
def test_help(command, capsys):
    assert call(command, "--help") == 0
    words = {
        "train": ["--rule", "--pc.T", "--mcpc.burn-in", "(default: fashion-mnist)", "(default: 0.0003)"],
        "resume": ["--epochs"],
        "eval": ["--best", "--split", "--json"],
        "compare": ["--rules", "--resume", "(default: pc zil backprop)"],
        "runs": ["--json"],
        "info": ["--data-folder"],
    }[command]
    shown = re.sub(r"[\s│]+", " ", capsys.readouterr().out)
    for word in words:
        assert word in shown


@pytest.mark.parametrize(
    ("args", "words", "not_words"),
    [
        (["train", "--rul", "pc"], ["--rule", "pcx train --help"], ["--rules", "compare", "zil,hil,backprop,all"]),
        (["train", "--lr", "abc"], ["could not convert", "pcx train --help"], []),
        (["run", "zil", "--sedes", "2"], ["--seeds", "pcx run zil --help"], ["--first-seed", "compare"]),
        (["run", "zill"], ["zil", "pcx run --help"], ["compare"]),
        (["train", "--resume", "--out", "nowhere"], ["Missing value for argument '--resume'"], ["there is no"]),
        (["trian"], ["train, resume, eval, compare, runs, info, run", "pcx --help"], []),
    ],
)
def test_what_is_misspelt_is_looked_for_in_its_command(args, words, not_words, capsys):
    assert call(*args) == 2
    shown = re.sub(r"[\s│]+", " ", capsys.readouterr().err)
    assert all(word in shown for word in words), shown
    assert not any(word in shown for word in not_words), shown


def test_every_option_has_help():
    for cls in (TrainOptions, CompareOptions):
        for part in (cls(), *[getattr(cls(), name) for name in RULE_NAMES if name != "backprop"]):
            for field in dataclasses.fields(part):
                if not dataclasses.is_dataclass(getattr(part, field.name)):
                    assert _documented(type(part), field.name), field.name


def _documented(cls: type, name: str) -> bool:
    for owner in cls.__mro__[:-1]:
        lines = inspect.getsource(owner).splitlines()
        for line, following in itertools.pairwise(lines):
            if line.strip().startswith(f"{name}: "):
                return following.strip().startswith('"""')
    return False


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["--epochs", "0"], "--epochs must be at least 1, got 0"),
        (["--batch-size", "-1"], "--batch-size must be at least 1"),
        (["--seeds", "0"], "--seeds must be at least 1 network"),
        (["--seeds", "3", "3"], "--seeds must be different numbers"),
        (["--seeds", "3", "-1"], "--seeds"),
        (["--first-seed", "-1"], "--first-seed must be at least 0"),
        (["--hidden", "8", "0"], "--hidden must be at least 1 each, got 8 0"),
        (["--model", "mu-mlp", "--hidden", "8", "9"], "equal widths"),
        (["--model", "vgg5", "--data", "two-moons"], "vgg5 needs larger images"),
        (["--data", "two-moons", "--flip"], "--flip and --crop are for images"),
        (["--lr", "0"], "--lr must be above 0"),
        (["--lr", "nan"], "--lr must be above 0"),
        (["--momentum", "1"], "--momentum must be from 0 to below 1"),
        (["--weight-decay", "-1"], "--weight-decay must be at least 0"),
        (["--held-out", "1"], "--held-out must be above 0 and below 1"),
        (["--patience", "0"], "--patience must be at least 1"),
        (["--patience", "2", "--validation", "test"], "--patience needs --validation held-out"),
        (["--checkpoint-every", "0"], "--checkpoint-every must be at least 1"),
        (["--pc.T", "0"], "--pc.T must be at least 1"),
        (["--pc.state-lr", "-0.1"], "--pc.state-lr must be above 0"),
        (["--rule", "nudged", "--nudged.beta", "2"], "--nudged.beta must be from -1 to 1 and not 0"),
        (["--rule", "mcpc", "--mcpc.burn-in", "20"], "--mcpc.burn-in must be below --mcpc.T"),
        (["--rule", "zil", "--pc.T", "3"], "--pc.T has no effect: the rule is zil"),
        (["--data", "digits", "--batch-size", "5000"], "--batch-size 5000 is more than the 1293 samples"),
        (["--data", "two-moons", "--held-out", "0.0001"], "--held-out 0.0001 leaves nothing"),
        (["--rule", "hebb"], "hebb"),
        (["--T", "3"], "--pc.T"),
        (["--data", "imagenet"], "imagenet"),
        (["--epochs", "many"], "many"),
    ],
)
def test_what_cannot_be_used_is_refused(args, message, tmp_path, capsys):
    assert call("train", *args) == 2
    assert message in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["--rules", "pc", "pc"], "--rules must be one or more different rules"),
        (["--resume"], "--resume needs --out"),
        (["--rules", "zil", "backprop", "--pc.T", "3"], "--pc.T has no effect: the rule is zil, backprop"),
    ],
)
def test_what_cannot_be_compared_is_refused(args, message, tmp_path, capsys):
    assert call("compare", *args) == 2
    assert message in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["resume", "nowhere"], "there is no nowhere; pcx runs lists the runs"),
        (["eval", "."], ". holds no run (no config.json)"),
        (["runs", "nowhere"], "there is no folder nowhere"),
        (["train", "--config", "nowhere"], "there is no nowhere"),
        (["compare", "--resume", "--out", "nowhere"], "there is no nowhere"),
        (["train", "--data", "mnist", "--data-folder", "nowhere"], "'nowhere' is not a folder"),
        (["train", "--data", "two-moons", "--rule", "hil", "--hil.T", "2"], "hil: T=2, but the error needs"),
    ],
)
def test_what_cannot_be_done_is_one_line(args, message, tmp_path, capsys):
    assert call(*args) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("pcx: error: ")
    assert message in line
    assert list(tmp_path.iterdir()) == []


def test_missing_data_is_one_line(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("pcx.data._search._SYSTEM", ())
    monkeypatch.setenv("PCX_DATA", "")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert call("train") == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert "the files of Fashion-MNIST were not found" in line
    assert "--data-folder" in line
    assert "--download" in line


def test_options_survive_json():
    options = TrainOptions(
        rule="nudged",
        data_folder=Path("somewhere"),
        hidden=(3, 4),
        seeds=(1, 5),
        lr=0.1,
        patience=2,
        nudged=NudgedOptions(beta=-0.25, phases="centred"),
        out=Path("not kept"),
    )
    text = json.dumps(as_json(options))
    assert from_json(TrainOptions, json.loads(text), Path("x")) == dataclasses.replace(options, out=None)
    assert from_json(CompareOptions, as_json(CompareOptions()), Path("x")) == CompareOptions()
    assert from_json(TrainOptions, {}, Path("x")) == TrainOptions()


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"sedes": [1]}, "options that pcx doesn't know: sedes"),
        ({"epochs": "5"}, 'option epochs can\'t be "5"'),
        ({"epochs": True}, "option epochs can't be true"),
        ({"hidden": 3}, "option hidden can't be 3"),
        ({"hidden": [1.5]}, "option hidden can't be 1.5"),
        ({"rule": "hebb"}, "option rule can't be"),
        ({"pc": {"T": None}}, "option T can't be null"),
        ({"pc": 3}, "option pc can't be 3"),
    ],
)
def test_a_config_that_cannot_be_used_is_refused(values, message):
    with pytest.raises(CommandError, match=message):
        from_json(TrainOptions, values, Path("x"))


def test_seeds():
    assert TrainOptions(seeds=(3,)).all_seeds == (0, 1, 2)
    assert TrainOptions(seeds=(2,), first_seed=7).all_seeds == (7, 8)
    assert TrainOptions(seeds=(4, 1)).all_seeds == (4, 1)


@pytest.mark.parametrize("name", RULE_NAMES)
@pytest.mark.parametrize("optimiser", ["adamw", "adam", "sgd"])
def test_every_rule_is_made_with_every_optimiser(name, optimiser):
    options: Any = TrainOptions(optimiser=optimiser, schedule="warmup-cosine")
    assert make_rule(options, name, 1000)


def test_models(monkeypatch):
    splits: Any = SimpleNamespace(shape=(2, 2), classes=3)
    model: Any = model_maker(TrainOptions(model="mu-mlp", hidden=(2, 2)), splits)()
    assert [weight.shape for weight in model.weights] == [(2, 4), (2, 2), (3, 2)]
    monkeypatch.setattr("pcx.models.vgg7", lambda **options: options)
    made: Any = model_maker(TrainOptions(model="vgg7", act="relu", energy="ce"), splits)()
    assert made == {"shape": (2, 2), "classes": 3, "act": jax.nn.relu, "energy": pxc.ce_energy}


def test_augmentation():
    assert augmentation(TrainOptions()) is None
    assert augmentation(TrainOptions(flip=True, crop=4)) == augmentation(TrainOptions(flip=True, crop=4))
