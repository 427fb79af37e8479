"""One sample at a time: who learns from what, and that networks that train at once are those that train alone."""

import dataclasses
from typing import Any

import jax
import numpy as np
import pytest

from pcx import RKG
from pcx.analysis import paired
from pcx.experiments._in_turn import Compared, Network, Trial, learning_rule, trials
from pcx.experiments._online import Online
from pcx.experiments._orders import TASK, Samples, order, samples_of
from pcx.experiments.frame import Where

from .commands import results

QUICK: Any = Online.quick


@pytest.fixture(scope="module")
def data() -> Any:
    return Online().data(QUICK, Where())


def test_each_setting_has_its_own_samples(data):
    given = {name: samples_of(name, data, QUICK) for name in ("stream", "few", "switch")}
    stream = order("stream", given["stream"], QUICK, 3)
    assert stream.shape == (QUICK.epochs, QUICK.steps)
    assert len(np.unique(stream)) == stream.size
    np.testing.assert_array_equal(stream, order("stream", given["stream"], QUICK, 3))
    assert np.any(stream != order("stream", given["stream"], QUICK, 4))
    few = given["few"].labels[np.unique(order("few", given["few"], QUICK, 3))]
    assert [int(np.sum(few == c)) for c in range(10)] == [QUICK.few] * 10
    first, second = given["switch"].labels[order("switch", given["switch"], QUICK, 3)]
    assert set(first) <= set(range(TASK))
    assert set(second) <= set(range(TASK, 2 * TASK))
    assert given["switch"].y.max() == TASK - 1


def test_samples_that_judge_are_not_learned_from(data):
    given = samples_of("stream", data, QUICK)
    assert len(given.x) == len(data.train[0]) - QUICK.test_samples
    np.testing.assert_array_equal(given.judges["validation"][0], data.train[0][-QUICK.test_samples :])
    np.testing.assert_array_equal(given.judges["test"][0], data.test[0][: QUICK.test_samples])


def test_both_rules_are_tuned_by_as_many_trials_over_the_same_rates():
    every: Any = (Online.settings, QUICK)
    for settings in every:
        found = {rule: trials(rule, settings) for rule in ("pc", "backprop")}
        assert {len(each) for each in found.values()} == {settings.trials}
        for each in found.values():
            assert min(t.lr for t in each) == pytest.approx(settings.lowest_lr)
            assert max(t.lr for t in each) == pytest.approx(settings.highest_lr)
        assert {t.state_lr for t in found["pc"]} == set(settings.state_lrs)


def test_the_interval_is_students():
    found = paired([1.0, 2.0, 3.0], [0.0, 0.0, 0.0])
    low, high = found["low"], found["high"]
    assert (low, high) == (
        pytest.approx(2 - 4.302653 / 3**0.5, rel=1e-6),
        pytest.approx(2 + 4.302653 / 3**0.5, rel=1e-6),
    )
    alone = paired([1.0], [0.0])
    assert (alone["low"], alone["high"]) == (None, None)


def test_settings_that_do_not_fit_are_refused():
    for name, value, said in [
        ("trials", 5, "--trials 5"),
        ("lowest_lr", 4.0, "--lowest-lr"),
        ("batch_size", 2, "one sample at a time"),
        ("data", "letters", "--data must be one of"),
    ]:
        with pytest.raises(ValueError, match=said):
            dataclasses.replace(QUICK, **{name: value}).check()
    few = Samples(np.zeros((3, 4)), np.zeros(3, int), {}, 10)
    with pytest.raises(ValueError, match="need"):
        order("stream", few, QUICK, 0)


@pytest.mark.hasty
def test_networks_that_train_at_once_are_those_that_train_alone(data):
    trial = Trial(0.1, 0.2)
    arm = Compared("few", QUICK, data)
    found = arm.curves([trial, trial._replace(lr=0.3)], [5, 6], "validation")
    RKG.seed(6)
    model, rule = Network(arm.widths), learning_rule(trial, 0.3, QUICK.T)
    x, y = arm.given.x, arm.given.y
    state, step = rule.init(model, (x[:1], y[:1])), jax.jit(rule.step)
    x_judge, y_judge = arm.given.judges["validation"]
    for block, rows in enumerate(order("few", arm.given, QUICK, 6)):
        for row in rows:
            state, _ = step(state, (x[[row]], y[[row]]))
        right = np.mean(np.asarray(rule.predict(state, x_judge)).argmax(axis=1) == y_judge)
        assert found.accuracy[1, 1, block] == pytest.approx(right, abs=0.011)  # one sample of 100 may be on the edge
    assert not found.left_out.any()


@pytest.mark.hasty
def test_rules_are_compared_seed_by_seed(tmp_path):
    words = ("--only", "switch", "--seeds", 2, "--state-lrs", 0.2, "--trials", 2)
    (found,) = results(tmp_path / "run", "online", *words).values()
    pc, backprop, difference = ([*found[n]["once"]["by_seed"].values()] for n in ("pc", "backprop", "difference"))
    np.testing.assert_allclose(difference, np.subtract(pc, backprop), atol=1e-12)
    assert found["difference_low"]["once"]["mean"] < np.mean(difference) < found["difference_high"]["once"]["mean"]
