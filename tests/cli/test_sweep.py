"""`pcx sweep`: what is tried, what is refused, and the best setting as a config."""

import csv
import json
import shutil

import jax
import jax.numpy as jnp
import pytest

from pcx.cli._rules import RULE_NAMES, Rules
from pcx.cli._sweep_options import SweepOptions
from pcx.cli._vary import varied

from .commands import SMALL, call


def rows(folder):
    with (folder / "table.csv").open() as file:
        return list(csv.DictReader(file))


@pytest.mark.hasty
def test_a_sweep_its_best_setting_and_going_on(tmp_path, capsys):
    out = tmp_path / "grid"
    words = ["--rule", "backprop", "--vary", "lr=1e-3..1e-1:log:3", "--vary", "hidden=8,8 8", "--monitor"]
    words += ["validation-accuracy", "--out", out]
    assert call("sweep", *SMALL, *words) == 0
    printed = capsys.readouterr().out
    assert "what mattered: " in printed
    assert f"pcx train --config {out / 'best.json'}" in printed
    table = (out / "table.csv").read_bytes()
    assert [(r["lr"], r["hidden"]) for r in rows(out)] == [
        (lr, hidden) for lr in ("0.001", "0.01", "0.1") for hidden in ("8", "8 8")
    ]
    assert (out / "figure.png").exists()
    summary = json.loads((out / "summary.json").read_text())
    assert call("train", "--config", out / "best.json", "--out", tmp_path / "best", "--quiet") == 0
    best = json.loads((tmp_path / "best" / "summary.json").read_text())["networks"][0]["best"]
    assert best["validation_accuracy"] == pytest.approx(summary["best_value"], abs=0.02)
    options = json.loads((tmp_path / "best" / "config.json").read_text())["options"]
    assert (options["lr"], options["rule"]) == (summary["best"]["lr"], "backprop")
    # The same command, and --resume, go on; another one doesn't.
    assert call("sweep", *SMALL, *words) == 0
    shutil.rmtree(tmp_path / "best")
    assert call("sweep", "--out", out, "--resume", "--quiet") == 0
    assert (out / "table.csv").read_bytes() == table
    capsys.readouterr()
    assert call("sweep", *SMALL, *words, "--batch-size", 60) == 1
    assert "was begun otherwise: batch_size: was 50, is 60" in capsys.readouterr().err
    assert (out / "table.csv").read_bytes() == table
    assert call("train", "--config", out, "--out", tmp_path / "no") == 1
    assert "best.json is one, of its best setting" in capsys.readouterr().err
    assert call("runs", tmp_path) == 0
    assert "done" in capsys.readouterr().out


@pytest.mark.hasty
def test_a_search_over_rules_and_names_with_a_pruner(tmp_path):
    out = tmp_path / "search"
    words = ["--vary", "rule=zil,backprop", "--vary", "lr=1e-4..1e-1:log", "--vary", "act=gelu,tanh", "--vary"]
    words += ["batch-size=50,100", "--trials", 6, "--at-once", 3, "--pruner", "median", "--out", out]
    assert call("sweep", *SMALL, *words) == 0
    assert len(rows(out)) == 6
    assert {r["rule"] for r in rows(out)} <= {"zil", "backprop"}
    assert all(1e-4 <= float(r["lr"]) <= 0.1 for r in rows(out))
    assert json.loads((out / "best.json").read_text())["command"] == "train"


@pytest.mark.hasty
def test_where_no_setting_goes_well_the_status_says_it(tmp_path, capsys):
    words = ["--rule", "backprop", "--optimiser", "sgd", "--vary", "lr=1e30,1e31", "--out", tmp_path / "s"]
    assert call("sweep", *SMALL, *words) == 3
    assert "no setting went well; the first: epoch 1" in capsys.readouterr().err
    assert [r["ended"] for r in rows(tmp_path / "s")] == ["failed", "failed"]


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ([], "--vary NAME=VALUES is needed"),
        (["--vary", "lr"], "--vary must be NAME=VALUES"),
        (["--vary", "foo=1"], "there is no option foo; there are rule, model, hidden"),
        (["--vary", "epochs=1,2"], "--epochs is the same for all that are compared"),
        (["--vary", "T=4,x"], "x is no whole number"),
        (["--vary", "lr=0.1,-1"], "--lr must be above 0, got -1.0"),
        (["--vary", "lr=0..1:log:3"], "--lr must be above 0, got 0.0"),
        (["--vary", "lr=0.1..1:lag"], "lag is neither log nor a number of points"),
        (["--vary", "lr=1e-3..1e-1"], "a grid needs the number of its points: lr=1e-3..1e-1:5"),
        (["--vary", "lr=1..0.1:3"], "there is nothing between 1.0 and 0.1"),
        (["--vary", "state-lr=0.1,0.1"], "a value comes twice"),
        (["--vary", "act=gelu,foo"], "there is no foo; choose from gelu"),
        (["--vary", "T=1..9:3"], "of whole numbers give a list"),
        (["--vary", "T=4,8", "--vary", "T=5"], "--vary T is given twice"),
        (["--vary", "zil.state-lr=0.5"], "has no effect: the rule is pc"),
        (["--vary", "rule=pc,zil", "--vary", "T=4"], "rule zil has no option T"),
        (["--vary", "lr=0.1", "--validation", "test"], "--validation test can't choose a setting"),
        (["--vary", "lr=0.1", "--trials", "0"], "--trials must be at least 1"),
        (["--vary", "lr=0.1", "--resume"], "--resume needs --out"),
        (["--vary", "model=mlp,mu-mlp", "--vary", "hidden=8 4"], "--hidden must be one or more equal widths"),
    ],
)
def test_what_cannot_be_tried_is_refused_in_one_line(tmp_path, monkeypatch, capsys, words, says):
    monkeypatch.chdir(tmp_path)
    assert call("sweep", *SMALL, *words) == 2
    said = capsys.readouterr().err
    assert says in said
    assert len(said.splitlines()) == 1
    assert not list(tmp_path.iterdir())


def test_a_folder_of_something_else_is_refused(trained, tmp_path, capsys):
    assert call("sweep", *SMALL, "--vary", "lr=0.1", "--out", trained) == 1
    assert "was written by pcx train" in capsys.readouterr().err
    (tmp_path / "notes.txt").write_text("mine")
    assert call("sweep", *SMALL, "--vary", "lr=0.1", "--out", tmp_path) == 1
    assert "is not empty" in capsys.readouterr().err


@pytest.mark.hasty
@pytest.mark.parametrize("rule", RULE_NAMES)
def test_rates_of_every_rule_are_numbers_of_one_program(rule):
    from pcx.cli._sweep import _model, _rule, _Shape

    floats = [n for n, value in vars(getattr(Rules(), rule)).items() if isinstance(value, float) and n != "momentum"]
    given = ["lr", "momentum", *floats]
    options = SweepOptions(
        data="two-moons", hidden=(4, 4), rule=rule, optimiser="sgd", vary=tuple([f"{n}=0.2,0.3" for n in given])
    )
    options.check()
    assert not any(each.static for each in options.varied)
    net, make = _model(options.of({}), options, _Shape((2,), 2))(), _rule(options.of({}), options, 100)
    batch = jnp.ones((4, 2)), jnp.zeros(4, int)
    state = make(**dict.fromkeys(given, 0.2)).init(net, batch)
    traced = jax.eval_shape(lambda s: make(**s).step(state, batch)[1].loss, dict.fromkeys(given, 0.2))
    assert traced.shape == ()


def test_numbers_that_a_program_must_know_are_static():
    assert not varied("lr=0.1,0.2", ("pc",), constant=True).static
    assert varied("lr=0.1,0.2", ("pc",), constant=False).static  # its course is
    assert varied("lr=0.1,0.2:static", ("pc",), constant=True).static
    assert varied("mcpc.momentum=0.1,0.2", ("mcpc",), constant=True).static
    assert varied("T=4,8", ("pc",), constant=True).static
