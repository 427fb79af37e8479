"""What `pcx run zil` computes is what its networks learn one by one."""

import collections
import functools
import json
from typing import Any

import jax
import numpy as np
import optax
import pytest
from sklearn.datasets import make_moons

import pcx.learning as pxl
import pcx.models as pxm
import pcx.predictive_coding as pxc
from pcx import RKG

from .commands import call

HIDDEN, SEEDS = 8, 3
RULES = {"zil": pxl.zil, "hil": lambda optim: pxl.hil(optim, T=8), "backprop": pxl.backprop}


@functools.cache
def by_name(rule: str) -> Any:
    """The rule, and its compiled step."""
    made: Any = RULES[rule](optax.sgd(0.2, momentum=0.9, nesterov=True))
    return made, jax.jit(made.step)


def points(seed: int) -> tuple[np.ndarray, np.ndarray]:
    x, y = make_moons(1024, noise=0.2, random_state=seed)
    return np.asarray(x, np.float32), np.asarray(y, np.int32)


TEST = points(0)


@functools.cache
def alone(rule: str, seed: int, batch_size: int = 256) -> Any:
    """The rule, and the state of one network after an epoch, trained step by step."""
    RKG.seed(seed)
    (found, step), model = by_name(rule), pxm.MLP([2, HIDDEN, HIDDEN, 2], act=jax.nn.leaky_relu, energy=pxc.ce_energy)
    x, y = points(42)
    batches = [(x[i : i + batch_size], y[i : i + batch_size]) for i in range(0, 1025 - batch_size, batch_size)]
    state = found.init(model, batches[0])
    for batch in batches:
        state, _ = step(state, batch)
    return found, state


def study(folder, *words):
    """The rows of a study's metrics."""
    assert call("run", "zil", "--hidden", HIDDEN, "--out", folder, *words) == 0
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """The metrics of a study, and what it draws: for each rule the grid, and the difference of two logits over it."""
    axes = pytest.importorskip("matplotlib.axes").Axes
    contour, drawn = axes.contour, []

    def noted(self, x, y, margin, **options):
        drawn.append((x, y, margin))
        return contour(self, x, y, margin, **options)

    with pytest.MonkeyPatch.context() as context:
        context.setattr(axes, "contour", noted)
        rows = study(tmp_path_factory.mktemp("study") / "run", "--seeds", SEEDS, "--epochs", 1)
    return rows, dict(zip(RULES, drawn, strict=True))


def check_as_alone(row, batch_size=256):
    rule, state = alone(row["rule"], row["seed"], batch_size)
    logits = np.asarray(rule.predict(state, TEST[0]))
    loss = optax.softmax_cross_entropy_with_integer_labels(logits, TEST[1]).mean()
    assert row["test_loss"] == pytest.approx(float(loss), abs=1e-6)
    assert row["test_accuracy"] == np.mean(logits.argmax(axis=-1) == TEST[1])


@pytest.mark.hasty
@pytest.mark.parametrize("rule", ["zil", "hil", "backprop"])
def test_each_seed_learns_as_if_it_were_alone(rule, run):
    own = [row for row in run[0] if row["rule"] == rule]
    assert [row["seed"] for row in own] == list(range(SEEDS))
    for row in own:
        check_as_alone(row)


@pytest.mark.hasty
def test_what_is_left_over_of_an_epoch_is_left_out(tmp_path):
    (row,) = study(tmp_path / "run", "--seeds", 1, "--epochs", 1, "--rule", "backprop", "--batch-size", 1000)
    check_as_alone(row, 1000)


@pytest.mark.hasty
def test_zil_is_backpropagation(run):
    loss = {rule: [row["test_loss"] for row in run[0] if row["rule"] == rule] for rule in RULES}
    np.testing.assert_allclose(loss["zil"], loss["backprop"], rtol=0, atol=1e-5)


@pytest.mark.hasty
@pytest.mark.parametrize("rule", ["zil", "hil", "backprop"])
def test_the_boundary_is_that_of_the_first_seed(rule, run):
    x, y, margin = [np.asarray(each)[::50, ::50] for each in run[1][rule]]
    found, state = alone(rule, 0)
    logits = np.asarray(found.predict(state, np.stack([x.ravel(), y.ravel()], -1).astype(np.float32)))
    np.testing.assert_allclose(margin.ravel(), logits[:, 1] - logits[:, 0], rtol=0, atol=1e-5)


@pytest.mark.hasty
def test_the_programs_are_as_many_whatever_the_number_of_seeds(monkeypatch, tmp_path):
    counts = []
    for seeds in (1, 4):
        traces, compiled = collections.Counter(), collections.Counter()
        for rule in RULES:
            cls = type(by_name(rule)[0])

            def step(self, state, batch, cls=cls, step=cls.step, traces=traces):
                traces[cls.__name__] += 1
                return step(self, state, batch)

            monkeypatch.setattr(cls, "step", step)
        lower = jax.stages.Lowered.compile

        def compile(self, *args, lower=lower, compiled=compiled, **kwargs):
            compiled["all"] += 1
            return lower(self, *args, **kwargs)

        monkeypatch.setattr(jax.stages.Lowered, "compile", compile)
        jax.clear_caches()
        assert len(study(tmp_path / str(seeds), "--epochs", 3, "--seeds", seeds)) == 3 * seeds * len(RULES)
        monkeypatch.undo()
        counts.append((dict(traces), dict(compiled)))
    assert counts[0] == counts[1] == ({"ZIL": 1, "HIL": 1, "Backprop": 1}, {"all": len(RULES) + 2})


@pytest.mark.hasty
def test_the_callers_random_key_stays_as_it_is(tmp_path):
    RKG.seed(7)
    before = np.asarray(RKG.key.get())
    study(tmp_path / "run", "--epochs", 1, "--seeds", 2, "--rule", "backprop")
    np.testing.assert_array_equal(RKG.key.get(), before)


@pytest.mark.parametrize(
    ("words", "rules"), [(["backprop", "zil", "zil"], ["zil", "backprop"]), (["hil", "all"], [*RULES])]
)
@pytest.mark.hasty
def test_every_rule_can_be_chosen(words, rules, tmp_path):
    rows = study(tmp_path / "run", "--epochs", 1, "--seeds", 1, "--rule", *words)
    assert [row["rule"] for row in rows] == rules


@pytest.mark.hasty
def test_its_folder_is_verified(tmp_path, capsys):
    out = tmp_path / "run"
    study(out, "--epochs", 2, "--seeds", 2, "--rule", "zil", "backprop", "--batch-size", 200)
    record = json.loads((out / "arms" / "zil.json").read_text())["first_steps"]
    assert len(record["numbers"]["loss"]) == 10  # of five batches in each epoch
    capsys.readouterr()
    assert call("verify", out) == 0
    shown = capsys.readouterr().out
    assert "software: git" not in shown  # the hash of the source says it
    for line in ("data: the same", "zil: the same bits", "backprop: the same bits", "8 files as sealed"):
        assert line in shown
    config = json.loads((out / "config.json").read_text())
    config["options"]["hidden"] += 1
    (out / "config.json").write_text(json.dumps(config))
    assert call("verify", out, "--json") == 1
    found = json.loads(capsys.readouterr().out)
    assert found["files"]["changed"] == ["config.json"]
    assert not found["steps"]["zil"]["same_bits"]
    config["options"]["hidden"] = 0
    (out / "config.json").write_text(json.dumps(config))
    assert call("verify", out) != 0
