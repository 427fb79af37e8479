"""Rules against rules."""

import contextlib
import io
import json

import numpy as np
import pytest

from pcx.analysis import report

from .commands import call

FEW = ["--data", "two-moons", "--hidden", 8, "--batch-size", 50, "--lr", "0.01"]


def check_paired(found, values, others):
    """The mean difference and its confidence interval are those of SciPy, over the pairs of which both are there."""
    stats = pytest.importorskip("scipy.stats")
    pairs = [(a, b) for a, b in zip(values, others, strict=True) if a is not None and b is not None]
    a, b = np.array(pairs).T
    assert found["n"] == len(pairs)
    assert found["mean"] == pytest.approx(np.mean(a - b), rel=1e-12, abs=1e-15)
    if len(pairs) == 1:
        assert [found[name] for name in ("std", "low", "high")] == [None] * 3
        return
    assert found["std"] == pytest.approx(np.std(a - b, ddof=1), rel=1e-12)
    if found["std"]:
        interval = stats.ttest_rel(a, b).confidence_interval(0.95)
        assert (found["low"], found["high"]) == pytest.approx((interval.low, interval.high), rel=1e-9)


FAILS = """
import jax.numpy as jnp, optax, pcx.learning as pxl

by_backprop = pxl.backprop(optax.sgd(0.05))

class Fails:
    "A rule under which some seeds fail at once."
    seeds = {seeds}

    def init(self, model, batch, key=0):
        state = by_backprop.init(model, batch, key)
        return {{"state": state, "fails": jnp.asarray(key in self.seeds)}}

    def step(self, state, batch):
        after, info = by_backprop.step(state["state"], batch)
        told = {{"loss": info.loss, "output": info.output, "result": jnp.where(state["fails"], 1, 0)}}
        return {{**state, "state": after}}, told

    def predict(self, model, x):
        return by_backprop.predict(model["state"] if isinstance(model, dict) else model, x)

    def evaluate(self, state, batch):
        return by_backprop.evaluate(state["state"], batch)
"""


@pytest.mark.hasty
@pytest.mark.parametrize("seeds", [[1], [0, 2], [0, 1, 2]])
def test_networks_that_failed_are_left_out(seeds, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.py").write_text(FAILS.format(seeds=seeds))
    words = ["--rules", "mine.py:Fails", "backprop", "--seeds", 3, "--epochs", 2, "--quiet", "--out", "run"]
    assert call("compare", *FEW, *words) == 3
    assert "training by Fails failed: seed" in capsys.readouterr().err
    rules = json.loads((tmp_path / "run" / "summary.json").read_text())["rules"]
    values, base = [list(rules[rule]["test_accuracy"]["by_seed"].values()) for rule in ("Fails", "backprop")]
    assert [i for i, value in enumerate(values) if value is None] == seeds
    found = rules["Fails"]
    assert found["test_accuracy"]["n"] == found["test_loss"]["n"] == 3 - len(seeds)
    if len(seeds) < 3:
        check_paired(found["minus_backprop"], values, base)
    else:
        nothing = {"n": 0, "mean": None, "std": None, "low": None, "high": None}
        assert found["minus_backprop"] == nothing


@pytest.fixture(scope="module")
def comparison(tmp_path_factory):
    folder = tmp_path_factory.mktemp("compare") / "out"
    args = [*FEW, "--rules", "zil", "--seeds", 3, "--epochs", 1, "--quiet", "--out", folder]
    with contextlib.redirect_stdout(io.StringIO()) as shown:
        assert call("compare", *args) == 0
    (folder.parent / "shown.txt").write_text(shown.getvalue())
    first = json.loads((folder / "summary.json").read_text())
    # More epochs and one more rule: what was there goes on.
    more = ["--resume", "--epochs", 2, "--rules", "zil", "backprop", "--regime", 100, "--quiet"]
    with contextlib.redirect_stdout(io.StringIO()) as shown:
        assert call("compare", "--out", folder, *more) == 0
    (folder.parent / "shown more.txt").write_text(shown.getvalue())
    return folder, first


@pytest.mark.hasty
def test_a_comparison(comparison, capsys):
    folder, first = comparison
    assert {path.name for path in folder.iterdir()} == {
        *("config.json", "versions.json", "summary.json", "figure.png", "zil", "backprop"),
    }
    assert (folder / "figure.png").read_bytes().startswith(b"\x89PNG")
    assert first["epochs"] == 1
    assert (first["rules"]["zil"]["minus_backprop"], first["rules"]["zil"]["cost"]) == (None, None)
    summary = json.loads((folder / "summary.json").read_text())
    assert (summary["epochs"], summary["seeds"]) == (2, [0, 1, 2])
    rules = summary["rules"]
    assert list(rules) == ["zil", "backprop"]
    base = list(rules["backprop"]["test_accuracy"]["by_seed"].values())
    for rule, found in rules.items():
        values = list(found["test_accuracy"]["by_seed"].values())
        assert found["test_accuracy"]["mean"] == pytest.approx(np.mean(values))
        assert found["test_accuracy"]["std"] == pytest.approx(np.std(values, ddof=1))
        assert found["cost"] == pytest.approx(found["seconds_per_epoch"] / rules["backprop"]["seconds_per_epoch"])
        if rule == "backprop":
            assert found["minus_backprop"] is None
        else:
            check_paired(found["minus_backprop"], values, base)
        lines = (folder / rule / "metrics.jsonl").read_text().splitlines()
        assert len(lines) == 6
    # Z-IL is backpropagation.
    assert rules["zil"]["test_loss"]["mean"] == pytest.approx(rules["backprop"]["test_loss"]["mean"], abs=1e-4)
    assert call("eval", folder / "zil", "--json") == 0
    tested = json.loads(capsys.readouterr().out)
    assert [n["accuracy"] for n in tested["networks"]] == pytest.approx(
        list(rules["zil"]["test_accuracy"]["by_seed"].values()), abs=1e-6
    )


@pytest.mark.hasty
def test_columns_against_backprop_are_there_if_it_is(comparison):
    folder, _ = comparison
    alone, against = [(folder.parent / name).read_text() for name in ("shown.txt", "shown more.txt")]
    assert "mlp on two-moons, 1 epoch, 3 seeds, mean ± deviation\n" in alone  # on one line
    assert "s / epoch and network" in alone
    assert "backprop" not in alone
    assert "minus backprop" in against
    assert "cost / backprop" in against


@pytest.mark.hasty
def test_each_rule_has_its_last_verdict(comparison):
    folder, first = comparison
    assert "regime" not in first["rules"]["zil"]
    for rule, found in json.loads((folder / "summary.json").read_text())["rules"].items():
        assert [(look["seed"], look["batch"], look["verdict"]) for look in found["regime"]] == [
            (seed, 36, "backprop-like") for seed in (0, 1, 2)
        ], rule
    alone, against = [(folder.parent / name).read_text() for name in ("shown.txt", "shown more.txt")]
    assert "regime" not in alone
    assert [line.split("│")[-2].strip() for line in against.splitlines() if "│" in line] == ["backprop-like"] * 2
    assert "backprop-like" in report.page(report.read(folder))


@pytest.mark.hasty
def test_what_differs_is_not_taken_up(comparison, capsys):
    folder, _ = comparison
    assert call("compare", "--out", folder, "--resume", "--lr", "0.5") == 1
    assert "the comparison was begun otherwise: lr: was 0.01, is 0.5" in capsys.readouterr().err
    assert call("compare", "--out", folder, "--resume", "--epochs", 1) == 1
    assert call("compare", *FEW, "--out", folder) == 1
    assert "--resume" in capsys.readouterr().err
    assert call("eval", folder) == 1
    assert "was written by pcx compare; this needs one of pcx train; the folders of" in capsys.readouterr().err
    assert call("resume", folder) == 1
    assert f"go on with it by: pcx compare --out {folder} --resume" in capsys.readouterr().err


@pytest.mark.hasty
def test_runs(comparison, trained, tmp_path, capsys):
    folder, _ = comparison
    assert call("runs", folder, "--json") == 0
    found = {run["run"]: run for run in json.loads(capsys.readouterr().out)}
    assert found[str(folder)]["state"] == "done"
    assert found[str(folder)]["rule"] == "zil backprop"
    run = found[str(folder / "zil")]
    assert (run["rule"], run["data"], run["done"], run["epochs"], run["networks"]) == ("zil", "two-moons", 2, 2, 3)
    assert run["state"] == "done"
    assert run["best"] >= run["last"] > 0.4

    assert call("runs", trained.parent) == 0
    assert "backprop" in capsys.readouterr().out
    assert call("runs", tmp_path) == 0
    assert "no runs in" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("log", "state"),
    [
        ("2026-01-02T03:04:05 began: 1 network(s), 2 epochs\n", "unfinished"),
        ("2026-01-02T03:04:05 began\n2026-01-02T03:04:06 interrupted\n", "interrupted"),
        ("2026-01-02T03:04:05 interrupted\n2026-01-02T03:04:06 resumed at epoch 1, batch 0\n", "unfinished"),
        ("2026-01-02T03:04:05 failed: seed 0, epoch 1: not finite\n", "failed"),
        ("2026-01-02T03:04:05 stopped early\n", "done"),
    ],
)
def test_the_state_of_a_run(log, state, tmp_path, capsys):
    (tmp_path / "config.json").write_text('{"epochs": 2}')
    (tmp_path / "log.txt").write_text(log)
    (tmp_path / "metrics.jsonl").write_text('{"epoch": 1, "network": 0, "accuracy": 0.5}\n{"epoch"')
    assert call("runs", tmp_path, "--json") == 0
    (run,) = json.loads(capsys.readouterr().out)
    assert (run["state"], run["done"], run["epochs"], run["last"]) == (state, 1, 2, 0.5)


def test_info(capsys, tmp_path):
    assert call("info", "--json", "--data-folder", tmp_path) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["packages"]["jax"]
    assert found["devices"]
    assert found["searched"][0] == str(tmp_path)
    assert set(found["data"]) == {"Fashion-MNIST", "MNIST", "CIFAR-10", "CIFAR-100"}
    assert call("info") == 0
    assert "Data sets are searched" in capsys.readouterr().out
