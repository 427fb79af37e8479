"""What is refused, and options as JSON and back."""

import dataclasses
import json
import re
import types
from typing import Any

import jax
import numpy as np
import pytest

import pcx.data as pxd
import pcx.models as pxm
import pcx.predictive_coding as pxc
from pcx.cli._build import model_maker
from pcx.cli._devices import layers_in_words
from pcx.cli._failures import Refused
from pcx.cli._flowing import let_help_flow
from pcx.cli._settings import CONVOLUTIONAL, TrainOptions
from pcx.cli._sweep_options import SweepOptions
from pcx.learning import NotByLayer

from .commands import SMALL, call


@pytest.fixture(autouse=True)
def empty(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("command", ["train", "resume", "eval", "compare", "runs", "report", "watch", "info"])
def test_help(command, capsys):
    assert call(command, "--help") == 0
    words = {
        "train": ["--rule", "--pc.T", "--mcpc.burn-in", "(default: fashion-mnist)", "(default: 0.0003)"],
        "resume": ["--epochs"],
        "eval": ["--best", "--split", "--json"],
        "compare": ["--rules", "--resume", "(default: pc zil backprop)"],
        "sweep": ["--vary", "--trials", "(default: tpe)"],
        "runs": ["--json"],
        "report": ["--out"],
        "watch": ["--port", "(default: 8800)"],
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
        (["trian"], ["train, resume, eval, compare, sweep, runs, report, watch, info, verify, run", "pcx --help"], []),
    ],
)
def test_what_is_misspelt_is_looked_for_in_its_command(args, words, not_words, capsys):
    assert call(*args) == 2
    shown = re.sub(r"[\s│]+", " ", capsys.readouterr().err)
    assert all(word in shown for word in words), shown
    assert not any(word in shown for word in not_words), shown


@pytest.mark.parametrize("command", ["train", "resume", "eval", "compare", "runs", "info", "run zil"])
def test_every_option_has_help(command, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    assert call(*command.split(), "--help") == 0
    entries = re.split(r"^[ │]{2}(?=-+[a-z])", capsys.readouterr().out, flags=re.MULTILINE | re.IGNORECASE)[1:]
    assert len(entries) > 1
    for entry in entries:
        # Up to the end of its box, without the flags and the default.
        first, *rest = [line.strip("│ ") for line in re.split("╰|\n *\n", entry)[0].splitlines()]
        said = " ".join([*re.split(r" {2,}", first)[1:], *rest])
        assert re.search("[a-z]{3}", re.sub(r"\(default:.*?\)", "", said)), entry


def test_help_flows():
    let_help_flow(SweepOptions)
    for options in (SweepOptions, SweepOptions().pc, TrainOptions):  # which have fields in common
        said = {field.name: field.metadata.get("help", "") for field in dataclasses.fields(options)}
        assert sum(map(bool, said.values())) > 2
        assert not any("\n" in text or "  " in text for text in said.values())
    assert said["devices"].startswith(
        "Devices to train on; if left out, as many as --layer-devices, or all of a job of"
    )


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
        (["--devices", "0"], "--devices must be at least 1, got 0"),
        (["--layer-devices", "0"], "--layer-devices must be at least 1, got 0"),
        (["--layer-devices", "2", "--equal-layers", "apart"], "leave --equal-layers apart out"),
        (["--layer-devices", "2", "--parallel", "vmap"], "--parallel vmap: over --layer-devices networks"),
        (["--devices", "4", "--layer-devices", "3"], "4 devices can't be shared out evenly among so many parts"),
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
    ("args", "asked"),
    [
        (["train", "--devices", "1000"], "--devices"),
        (["train", "--layer-devices", "1000"], "--layer-devices"),
        (["compare", "--devices", "1000"], "--devices"),
        (["sweep", "--vary", "lr=0.1", "--devices", "1000"], "--devices"),
    ],
)
def test_devices_that_there_are_not_are_refused_by_the_option(args, asked, tmp_path, capsys):
    assert call(*args, "--data", "two-moons") == 2
    assert capsys.readouterr().err.startswith(f"pcx: error: 1000 devices are asked for ({asked}), and JAX has ")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("options", "equal", "take", "said"),
    [
        ({}, 15, (12, 16), "15 of the 16 hidden layers are equal (the first has another input width), "),
        ({}, 15, (12, 16), "take --hidden with 13 or 17 widths"),
        ({}, 16, (15, 18), "16 of the 16 hidden layers are equal, "),
        ({"model": "net.py:Net"}, 15, (12, 16), "the 15 equal layers from a on; take 12 or 16"),
        ({}, 0, (), "--layer-devices 3: the 15 equal layers from a on; take 12 or 16"),
    ],
)
def test_layers_that_do_not_go_evenly_are_said_by_the_option(options, equal, take, said):
    given = TrainOptions(hidden=(32,) * 16, layer_devices=3, **options)
    error = NotByLayer("pc", "the 15 equal layers from a on; take 12 or 16", equal=equal, take=take)
    with pytest.raises(Refused, match=re.escape(said)), layers_in_words(given):
        raise error


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


def options_of(folder):
    return json.loads((folder / "config.json").read_text())["options"]


def seeds_of(folder):
    return [network["seed"] for network in json.loads((folder / "summary.json").read_text())["networks"]]


@pytest.mark.hasty
def test_a_run_with_the_options_of_another(tmp_path):
    words = ["--rule", "nudged", "--hidden", "3", "4", "--lr", "0.1", "--patience", "2", "--nudged.beta", "-0.25"]
    words += ["--nudged.phases", "centred", "--seeds", "1", "5", "--data-folder", "somewhere"]
    assert call("train", *SMALL, *words, "--out", "one") == 0
    assert call("train", "--config", "one", "--quiet", "--out", "other") == 0
    found = options_of(tmp_path / "other")
    assert found == options_of(tmp_path / "one")
    assert (found["hidden"], found["lr"], found["patience"], found["seeds"]) == ([3, 4], 0.1, 2, [1, 5])
    assert (found["nudged"]["beta"], found["nudged"]["phases"], found["data_folder"]) == (-0.25, "centred", "somewhere")
    assert not {"out", "config", "resume", "quiet", "download"} & set(found)
    # What a config doesn't say is at its default.
    (tmp_path / "one" / "config.json").write_text('{"command": "train", "options": {}}')
    for name, more in (("plain", []), ("empty", ["--config", "one"])):
        assert call("train", *SMALL, *more, "--rule", "backprop", "--out", name) == 0
    assert options_of(tmp_path / "plain") == options_of(tmp_path / "empty")


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
@pytest.mark.parametrize("words", [["resume"], ["eval"], ["train", "--config"]])
def test_a_config_that_cannot_be_used_is_refused(words, values, message, tmp_path, capsys):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "config.json").write_text(json.dumps({"command": "train", "options": values}))
    assert call(*words, "run") == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert message in line


def test_seeds(trained, tmp_path):
    assert seeds_of(trained) == [0, 1]  # one number is how many
    for words, expected in ((["2", "--first-seed", "7"], [7, 8]), (["4", "1"], [4, 1])):
        out = tmp_path / "-".join(words)
        assert call("train", *SMALL, "--rule", "backprop", "--seeds", *words, "--out", out) == 0
        assert seeds_of(out) == expected


@pytest.mark.parametrize("optimiser", ["adamw", "adam", "sgd"])
@pytest.mark.hasty
def test_every_rule_learns_by_every_optimiser(optimiser, tmp_path):
    rules = ["pc", "ipc", "zil", "hil", "fpa", "nudged", "epc", "mcpc", "backprop"]
    words = ["--optimiser", optimiser, "--schedule", "warmup-cosine", "--seeds", "1", "--out", "run"]
    assert call("compare", *SMALL, "--rules", *rules, *words) == 0
    assert list(json.loads((tmp_path / "run" / "summary.json").read_text())["rules"]) == rules


@pytest.fixture
def images(monkeypatch):
    """Few images in the place of CIFAR-10."""
    draw = np.random.default_rng(0)

    def split(n):
        return pxd.Split(draw.normal(size=(n, 3, 32, 32)).astype(np.float32), np.arange(n) % 10)

    found = pxd.Dataset("images", split(40), split(10), tuple("abcdefghij"), channels=3)
    monkeypatch.setattr(pxd, "cifar10", lambda folder, **options: found)


@pytest.mark.hasty
def test_networks(images, monkeypatch, tmp_path):
    words = ["train", "--data", "cifar10", "--batch-size", "12", "--epochs", "1", "--quiet", "--rule", "backprop"]
    assert call(*words, "--model", "mu-mlp", "--hidden", "2", "2", "--out", "flat") == 0
    weights = pytest.importorskip("safetensors.numpy").load_file(tmp_path / "flat" / "weights.safetensors")
    assert sorted(weight.shape for weight in weights.values() if weight.ndim == 2) == [(2, 2), (2, 3072), (10, 2)]
    asked = []

    def vgg7(**options):
        asked.append(options)
        return pxm.MLP([3072, 10])

    monkeypatch.setattr(pxm, "vgg7", vgg7)
    assert call(*words, "--model", "vgg7", "--act", "relu", "--energy", "ce", "--out", "deep") == 0
    expected = {"shape": (3, 32, 32), "classes": 10, "act": jax.nn.relu, "energy": pxc.ce_energy}
    assert asked
    assert all(each == expected for each in asked)


@pytest.mark.hasty
def test_augmentation(images, tmp_path):
    words = ["train", "--data", "cifar10", "--batch-size", "12", "--epochs", "1", "--quiet", "--rule", "backprop"]
    words += ["--hidden", "2"]
    for name, more in (("none", []), ("both", ["--flip", "--crop", "4"])):
        assert call(*words, *more, "--out", name) == 0
    none, both = [
        json.loads((tmp_path / name / "config.json").read_text())["made_of"]["augment"] for name in ("none", "both")
    ]
    assert none is None
    text = json.dumps(both)
    assert "Flip" in text
    assert "Crop" in text
    assert '"pad": 4' in text


@pytest.mark.parametrize("name", CONVOLUTIONAL)
def test_convolutional_networks_are_made_for_the_images(name, monkeypatch):
    monkeypatch.setattr(pxm, name, lambda **options: options)
    options = TrainOptions(model=name, act="relu", energy="ce")  # pyright: ignore[reportArgumentType]
    options.check()
    data: Any = types.SimpleNamespace(shape=(3, 32, 32), classes=100)
    made: Any = model_maker(options, data)()
    assert made == {"shape": (3, 32, 32), "classes": 100, "act": jax.nn.relu, "energy": pxc.ce_energy}
    assert "hidden" in options.without_effect()
