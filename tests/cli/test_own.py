"""Networks and rules of one's own, and part of the data."""

import json
import sys

import pytest

from .commands import call

TEXT = """
import dataclasses

import optax
import pcx.learning as pxl
import pcx.models as pxm


@dataclasses.dataclass
class Sizes:
    hidden: int = 4


def Net(shape, classes):
    return pxm.MLP([*shape, Sizes().hidden, classes])


class Fixed(pxm.MLP):
    def __init__(self):
        super().__init__([2, 3, 2])


def rule(optim):
    return pxl.zil(optim)


def low(optim, dtype):
    assert dtype == "bfloat16"
    return pxl.zil(optim, dtype=dtype)


made = pxl.backprop(optax.sgd(0.1))


def needy(something):
    return made


class Needy:
    def __init__(self, something):
        pass


def Measured(shape, energy):
    return pxm.MLP([*shape, 3, 2], energy=energy)


def absolute(vode, rkg):
    return abs(vode.get("h") - vode.get("u"))


class Plain:
    "A rule that is no pxl.Rule, and has states of its own."

    def init(self, model, batch, key=0):
        return (pxl.backprop(optax.sgd(0.1)).init(model, batch, key),)

    def step(self, state, batch):
        state, info = made.step(state[0], batch)
        return (state,), {"loss": info.loss, "output": info.output}

    def predict(self, state, x):
        return made.predict(state[0], x)

    def evaluate(self, state, batch):
        return made.evaluate(state[0], batch)


def other():
    return 3


def fails():
    raise KeyError("x")
"""
FEW = ["--data", "two-moons", "--batch-size", "50", "--epochs", "1", "--quiet"]


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.py").write_text(TEXT)
    return tmp_path


def test_train_eval_and_resume(here, monkeypatch, capsys):
    before = list(sys.path), "mine" in sys.modules
    words = ["--model", "mine.py:Net", "--rule", "mine.py:rule", "--subset", "200", "--out", here / "run"]
    assert call("train", *FEW, *words) == 0
    config = json.loads((here / "run" / "config.json").read_text())
    assert list(config["own"]) == [str(here / "mine.py")]
    assert config["options"]["model"] == f"{here}/mine.py:Net"
    assert config["options"]["subset"] == 200
    (here / "elsewhere").mkdir()
    monkeypatch.chdir(here / "elsewhere")
    assert call("eval", here / "run") == 0
    assert call("resume", here / "run", "--epochs", 2, "--quiet") == 0
    assert len((here / "run" / "metrics.jsonl").read_text().splitlines()) == 2
    assert (list(sys.path), "mine" in sys.modules) == before
    (here / "mine.py").write_text(TEXT + "# changed\n")
    capsys.readouterr()
    for words in (["eval", here / "run"], ["resume", here / "run", "--epochs", 3]):
        assert call(*words) == 1
        (line,) = capsys.readouterr().err.splitlines()
        assert "mine.py has changed since the run" in line
    (here / "mine.py").unlink()
    assert call("eval", here / "run") in (1, 2)
    assert "there is no file" in capsys.readouterr().err


@pytest.mark.parametrize(("rule", "asked"), [("rule", "dtype"), ("made", "dtype"), ("made", "equal_layers")])
def test_what_a_rule_does_not_ask_for(rule, asked, here, capsys):
    option = ["--dtype", "bfloat16"] if asked == "dtype" else ["--equal-layers", "looped"]
    words = ["--model", "mine.py:Net", "--rule", f"mine.py:{rule}", *option, "--out", here / "run"]
    assert call("train", *FEW, *words) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert f"mine.py:{rule} asks for no argument of the name {asked}" in line


def test_options_of_an_optimiser_that_a_rule_does_not_ask_for(here, capsys):
    words = ["--model", "mine.py:Net", "--hidden", "5", "--lr", "0.1", "--momentum", "0.5"]
    assert call("train", *FEW, *words, "--rule", "mine.py:made", "--out", here / "run") == 0
    said = capsys.readouterr().err.splitlines()
    assert [line.split()[2] for line in said] == ["--hidden", "--momentum", "--lr"]
    assert said[2].endswith("mine.py:made asks for no argument of the name lr or optim")
    assert call("train", *FEW, *words, "--rule", "mine.py:rule", "--out", here / "asked") == 0
    assert "--lr" not in capsys.readouterr().err
    varied = ["--model", "mine.py:Net", "--vary", "lr=0.1,0.2", "--out", here / "sweep"]
    assert call("sweep", *FEW, *varied, "--rule", "mine.py:made") == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "--vary lr=0.1,0.2 has no effect: " in line
    assert call("sweep", *FEW, *varied, "--vary", "energy=se,ce") == 2
    assert "--vary energy=se,ce has no effect: the model is " in capsys.readouterr().err
    assert not (here / "sweep").exists()


def test_a_file_beside_it(here, capsys):
    (here / "imports.py").write_text("from mine import Net\n")
    assert call("train", *FEW, "--model", "imports.py:Net", "--out", here / "run") == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.endswith(f"where Python does not look: set PYTHONPATH={here}")


@pytest.mark.hasty
def test_a_run_in_fewer_bits(here, capsys):
    """By a rule of one's own that asks for them, and by one of the table; judged in them, too."""
    for name, words in {"own": ["--rule", "mine.py:low"], "zil": ["--rule", "zil"]}.items():
        assert call("train", *FEW, "--hidden", "4", *words, "--dtype", "bfloat16", "--out", here / name) == 0
        assert call("eval", here / name) == 0
    made = json.loads((here / "zil" / "config.json").read_text())
    assert made["options"]["dtype"] == "bfloat16"
    assert "bfloat16" in json.dumps(made["made_of"])
    assert call("train", *FEW, "--dtype", "float8", "--out", here / "other") == 2
    assert "--dtype" in capsys.readouterr().err


@pytest.mark.hasty
def test_compare(here):
    words = ["--model", "mine.py:Fixed", "--rules", "mine.py:made", "backprop", "--seeds", "1", "--out", "c"]
    assert call("compare", *FEW, *words) == 0
    assert set(json.loads((here / "c" / "summary.json").read_text())["rules"]) == {"made", "backprop"}
    assert call("eval", here / "c" / "made") == 0


@pytest.mark.hasty
def test_a_rule_that_is_a_plain_class(here):
    words = [
        "--model",
        "mine.py:Fixed",
        "--rules",
        "zil",
        "mine.py:Plain",
        "mine.py:made",
        "--seeds",
        "1",
        "--out",
        "c",
    ]
    assert call("compare", *FEW, *words) == 0
    rules = json.loads((here / "c" / "summary.json").read_text())["rules"]
    assert rules["Plain"]["test_accuracy"] == rules["made"]["test_accuracy"]  # it does the same
    assert call("eval", here / "c" / "Plain") == 0
    assert call("resume", here / "c" / "Plain", "--epochs", 2, "--quiet") == 0


@pytest.mark.hasty
def test_an_energy(here):
    words = ["--rule", "backprop", "--hidden", "3", "--out"]
    assert call("train", *FEW, "--energy", "mine.py:absolute", *words, "run") == 0
    config = json.loads((here / "run" / "config.json").read_text())
    assert config["options"]["energy"] == f"{here}/mine.py:absolute"
    assert list(config["own"]) == [str(here / "mine.py")]
    assert "absolute" in json.dumps(config["made_of"]["model"])
    assert call("eval", here / "run") == 0
    words = ["--energy", "pcx.predictive_coding:Laplace", "--model", "mine.py:Measured", *words]
    assert call("train", *FEW, *words, "other") == 0
    config = json.loads((here / "other" / "config.json").read_text())
    assert "Laplace" in json.dumps(config["made_of"]["model"])


def test_a_module(here, monkeypatch):
    monkeypatch.syspath_prepend(str(here))
    assert call("train", *FEW, "--model", "mine:Fixed", "--rule", "mine:made", "--out", "run") == 0
    monkeypatch.delitem(sys.modules, "mine")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--model", "none.py:Net"], "there is no file"),
        (["--model", "mine.py:None_"], "there is no None_ in"),
        (["--model", "no_such_module:Net"], "no_such_module"),
        (["--model", "mine.py"], "there is no 'mine.py'"),
        (["--model", "mine.py:"], "there is no 'mine.py:'"),
        (["--model", "mine.py:needy"], "needs something"),
        (["--model", "mine.py:other"], "gives int"),
        (["--model", "mine.py:fails"], "KeyError"),
        (["--rule", "mine.py:other"], "gives int"),
        (["--energy", "mine.py:made"], "must be a function energy(vode, rkg)"),
        (["--energy", "huber"], "--energy: there is no 'huber'; choose se, ce, or file.py:name of your own"),
        (["--energy", "mine.py:absolute", "--model", "mine.py:Net"], "mine.py:Net asks for no argument of the name"),
        (
            ["--rule", "mine.py:needy"],
            "needs something; it is called with those of optim, lr, samples, dtype, equal_layers that it asks for",
        ),
        (["--energy", "mine.py:Needy"], "needs something; it is called with nothing"),
        (["--energy", "mine.py:needy"], "'needy' can't be called so"),
        (["--rule", "broken.py:rule"], "SyntaxError"),
        (["--rule", "leaves.py:rule"], "SystemExit"),
        (["--subset", "0"], "--subset must be at least 1"),
        (["--subset", "9999999"], "--subset 9999999 is more than the"),
    ],
)
def test_what_cannot_be_used_is_one_line(words, message, here, capsys):
    (here / "broken.py").write_text("def (")
    (here / "leaves.py").write_text("raise SystemExit(0)")
    assert call("train", *FEW, *words, "--out", "run") in (1, 2)
    (line,) = capsys.readouterr().err.splitlines()
    assert message in line
    assert not (here / "run").exists()
