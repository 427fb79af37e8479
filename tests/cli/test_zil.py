"""The programs behind `pcx run zil`."""

import collections
import functools
from typing import Any, get_args, get_type_hints

import jax
import numpy as np
import optax
import pytest
from sklearn.datasets import make_moons

from pcx import RKG
from pcx.cli._options import RULES, ZilOptions
from pcx.cli._zil import Study, learning_rule, network, two_moons

HIDDEN = 8


def options(**changes: Any) -> ZilOptions:
    settings: dict[str, Any] = {"epochs": 1, "hidden": HIDDEN} | changes
    return ZilOptions(**settings)


@pytest.fixture(scope="module")
def study() -> Study:
    return Study(options(), (3, 0, 5), grid=16)


@pytest.fixture(scope="module")
def trained(study):
    data = two_moons(256)
    return {rule: list(study.train(rule, data)) for rule in RULES}


@functools.cache
def alone(rule: str, seed: int) -> Any:
    """One network, trained step by step."""
    RKG.seed(seed)
    data, the_rule = two_moons(256), learning_rule(rule)
    batches = list(zip(data.x.reshape(-1, 256, 2), data.y.reshape(-1, 256), strict=True))
    state = the_rule.init(network(HIDDEN), batches[0])
    step = jax.jit(the_rule.step)
    for batch in batches:
        state, _ = step(state, batch)
    return state, np.asarray(the_rule.predict(state, data.x_test))


def test_the_points_are_those_of_scikit_learn():
    data = two_moons(256)
    for (x, y), seed in (((data.x, data.y), 42), ((data.x_test, data.y_test), 0)):
        points, labels = make_moons(1024, noise=0.2, random_state=seed)
        np.testing.assert_allclose(x, points, rtol=0, atol=1e-6)
        np.testing.assert_array_equal(y, labels)
    assert two_moons(1000).x.shape == (1000, 2)


@pytest.mark.slow  # to the last bits, which plain code of XLA does not keep
@pytest.mark.parametrize("rule", RULES)
def test_each_seed_learns_as_if_it_were_alone(rule, trained):
    data = two_moons(256)
    ((epoch, state),) = trained[rule]
    for i, seed in enumerate((3, 0, 5)):
        single, logits = alone(rule, seed)
        assert set(state.weights) == set(single.weights)
        for path, weight in single.weights.items():
            np.testing.assert_allclose(state.weights[path][i], weight, rtol=0, atol=1e-6)
        loss = optax.softmax_cross_entropy_with_integer_labels(logits, data.y_test).mean()
        assert epoch.test_loss[i] == pytest.approx(float(loss), abs=1e-6)
        assert epoch.test_accuracy[i] == np.mean(logits.argmax(axis=-1) == data.y_test)
    assert not epoch.left_out.any()


@pytest.mark.slow
def test_the_first_weights_are_those_of_the_seed_under_every_rule(study):
    states = study.first()
    for i, seed in enumerate((3, 0, 5)):
        RKG.seed(seed)
        for layer, wanted in enumerate(network(HIDDEN).layers):
            for rule in RULES:
                np.testing.assert_array_equal(
                    states[rule].weights[f"layers[{layer}].nn.weight"][i], wanted.nn.weight.get()
                )


@pytest.mark.slow
def test_zil_is_backpropagation(trained):
    (zil, _), (backprop, _) = trained["zil"][-1], trained["backprop"][-1]
    np.testing.assert_allclose(zil.test_loss, backprop.test_loss, rtol=0, atol=1e-5)


def test_the_boundary_is_that_of_the_first_seed(study, trained):
    x = two_moons(256).x_test[:16]
    _, logits = alone("hil", 3)
    np.testing.assert_allclose(study.predict(trained["hil"][-1][1], x), logits[:16], rtol=0, atol=1e-5)


@pytest.mark.slow
def test_the_programs_are_as_many_whatever_the_number_of_seeds(monkeypatch):
    counts = []
    for seeds in (1, 4):
        traces, compiled = collections.Counter(), collections.Counter()
        for rule in RULES:
            cls = type(learning_rule(rule))

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
        study = Study(options(epochs=3), tuple(range(seeds)), grid=16)
        data = two_moons(256)
        for rule in RULES:
            assert len(list(study.train(rule, data))) == 3
        monkeypatch.undo()
        counts.append((dict(traces), dict(compiled)))
    assert counts[0] == counts[1] == ({"ZIL": 1, "HIL": 1, "Backprop": 1}, {"all": len(RULES) + 2})


def test_no_traced_key_is_left_behind():
    RKG.seed(7)
    before = np.asarray(RKG.key.get())
    Study(options(rule=("backprop",)), (0, 1), grid=16)
    np.testing.assert_array_equal(RKG.key.get(), before)


def test_every_rule_can_be_chosen():
    (choices, _) = get_args(get_type_hints(ZilOptions)["rule"])
    assert get_args(choices) == (*RULES, "all")
    assert ZilOptions(rule=("backprop", "zil", "zil")).rules == ("zil", "backprop")
    assert ZilOptions().rules == ZilOptions(rule=("hil", "all")).rules == RULES
