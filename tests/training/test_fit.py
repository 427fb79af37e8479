# pyright: reportAttributeAccessIssue=false, reportOptionalMemberAccess=false
# pyright: reportOptionalOperand=false, reportArgumentType=false
"""What a run computes: it is the loop that one would write by hand, however it is cut into dispatches."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import pcx.data as pxd
import pcx.learning as pxl
import pcx.models as pxm
import pcx.nn as pxnn
import pcx.predictive_coding as pxc
import pcx.training as pxt

from .small import HELD_OUT, RULE, TRAIN, arrays, by_rate, make, model, moons, same_bits, timeless, train


def test_learned_weights_end_in_the_users_model():
    net = model()
    fit = train(net, epochs=20)
    assert fit.ended == "done"
    assert fit.why is None
    assert fit.folder is None
    for path, value in fit.states[0].weights.items():
        held = RULE.init(net, (TRAIN[0][:4], TRAIN[1][:4])).weights[path]
        np.testing.assert_array_equal(np.asarray(held), np.asarray(value))
    right = np.argmax(RULE.predict(net, HELD_OUT[0]), 1) == HELD_OUT[1]
    assert fit.last("validation_accuracy") == [pytest.approx(right.mean())]
    assert right.mean() > 0.75
    assert [row["epoch"] for row in fit.of(0)] == list(range(1, 21))


def by_hand(net, batches, seed=0):
    state, infos = None, []
    step = jax.jit(RULE.step)
    for batch in batches:
        state = RULE.init(net, batch, seed) if state is None else state
        state, info = step(state, batch)
        infos.append(info)
    return state, infos


@pytest.mark.parametrize("drop_last", [True, False])
def test_equals_a_loop_by_hand(drop_last):
    data = moons(90)
    source = pxd.ArrayBatches(data, 16, seed=3, drop_last=drop_last)
    fit = train(model(), data=source, epochs=2)
    state, infos = by_hand(model(), [batch for batch, _ in pxd.stream(source, epochs=2)])
    for a, b in zip(arrays(fit.states[0]), arrays(state), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)
    last = infos[len(infos) // 2 :]
    sizes = [len(i.output) for i in last]  # a smaller batch weighs less
    assert fit.last("loss")[0] == pytest.approx(np.average([i.loss for i in last], weights=sizes), rel=1e-5)
    assert fit.last("energy")[0] == pytest.approx(np.average([i.energy for i in last], weights=sizes), rel=1e-5)
    assert fit.history[-1]["energies"]["vodes[0]"] == pytest.approx(
        np.average([i.energies["vodes[0]"] for i in last], weights=sizes), rel=1e-5
    )
    _, loss = RULE.evaluate(state, HELD_OUT)
    assert fit.last("validation_loss")[0] == pytest.approx(float(np.mean(loss)), rel=1e-5)


def test_the_order_is_the_seeds():
    fit = train(model(), seeds=7)
    own = train(model(), data=pxd.ArrayBatches(TRAIN, 16, seed=7), seeds=7)
    assert same_bits(fit, own)


def test_several_seeds_are_separate_runs():
    one_by_one = [train(make, seeds=s) for s in (0, 5)]
    together = train(make, seeds=[0, 5], parallel="loop")
    at_once = train(make, seeds=[0, 5], parallel="vmap")
    for i, alone in enumerate(one_by_one):
        for a, b, c in zip(*(arrays(f) for f in (alone.states[0], together.states[i], at_once.states[i])), strict=True):
            assert a.tobytes() == b.tobytes()
            np.testing.assert_allclose(a, c, rtol=1e-4, atol=1e-5)
        assert [row["loss"] for row in alone.history] == [row["loss"] for row in together.of(i)]
    assert [m.seed for m in together.members] == [0, 5]
    assert together.last("loss")[0] != together.last("loss")[1]


CALLS = []


def counted(lr):
    CALLS.append(lr)
    return by_rate(lr)


def test_settings_pass_through_one_program():
    rates = [{"lr": 1e-3}, {"lr": 1e-2}]
    both = train(make, counted, seeds=[0, 1], settings=rates, parallel="loop")
    before = len(CALLS)
    train(make, counted, seeds=[2], settings=[{"lr": 3e-3}], parallel="loop", epochs=2)
    assert len(CALLS) - before <= 4  # made anew to begin with, but not traced anew in the loop
    assert [(m.seed, m.settings["lr"]) for m in both.members] == [(0, 1e-3), (0, 1e-2), (1, 1e-3), (1, 1e-2)]
    assert both.members[1].name == "seed 0, lr 0.01"
    alone = train(make, by_rate(1e-2), seeds=1)
    for a, b in zip(arrays(both.states[3].weights), arrays(alone.states[0].weights), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6)
    assert {row["lr"] for row in both.of(1)} == {1e-2}


def test_a_second_run_of_equal_things_traces_nothing():
    traces = []

    def seen(output, y):
        traces.append(1)
        return output[:, 0]

    train(model(), metrics={"seen": seen})
    before = len(traces)
    assert before > 0
    train(model(4), data=moons(seed=9), metrics={"seen": seen})
    assert len(traces) == before


def test_every_dispatch_is_told_before_it_is_given_away():
    seen = []
    train(on_dispatch=seen.append, batches_per_dispatch=4, epochs=2)
    assert [(d.epoch, d.batch, d.batches) for d in seen] == [(1, 0, 4), (1, 4, 2), (2, 0, 4), (2, 4, 2)]
    seen = []
    train(on_dispatch=seen.append, data=[(TRAIN[0][:9], TRAIN[1][:9])] * 2, epochs=1)  # streamed
    assert [(d.batch, d.batches) for d in seen] == [(0, 1), (1, 1)]


def test_early_stopping_stops_a_network_alone():
    stop = pxt.EarlyStopping("loss", patience=2, least=1e3)  # never good enough
    fit = train(early_stopping=stop, epochs=9)
    assert (fit.ended, len(fit.history)) == ("stopped early", 3)
    # Rate zero never becomes better; the other goes on.
    stop = pxt.EarlyStopping("loss", patience=2)
    fit = train(make, by_rate, settings=[{"lr": 0.0}, {"lr": 3e-3}], early_stopping=stop, epochs=6, data=_as_they_lie())
    assert fit.ended == "done"
    assert [len(fit.of(i)) for i in (0, 1)] == [3, 6]
    assert len(fit.last("loss")) == 2


def _as_they_lie():
    return pxd.ArrayBatches(TRAIN, 16, shuffle=False)


def test_patience_counts_epochs_that_are_not_better():
    def rows(*values):
        return [{"accuracy": v} for v in values]

    stop = pxt.EarlyStopping("accuracy", patience=2)
    assert not stop.out_of_patience(rows(0.1, 0.2, 0.2))
    assert stop.out_of_patience(rows(0.1, 0.2, 0.2, 0.15))
    assert not stop.out_of_patience(rows(0.1, 0.2, 0.15, 0.3))
    assert stop.out_of_patience(rows(0.1, None, float("nan")))
    assert pxt.EarlyStopping("accuracy", patience=1, mode="min").out_of_patience(rows(0.1, 0.2))


def test_callbacks_see_every_epoch_and_can_stop():
    seen = []

    def watch(report):
        seen.append(report)
        if report.epoch == 2:
            report.stop()

    fit = train(callbacks=[watch])
    assert fit.ended == "stopped early"
    assert [r.epoch for r in seen] == [1, 2]
    assert seen[0].rows == fit.history[:1]
    # States that a callback keeps stay what they were.
    first = train(epochs=1)
    for a, b in zip(arrays(seen[0].states), arrays(first.states), strict=True):
        assert a.tobytes() == b.tobytes()


def test_own_metrics():
    def distance(output, y):
        return jnp.abs(output[:, 0] - (y == 0))

    fit = train(metrics={"distance": distance})
    row = fit.history[-1]
    assert "accuracy" not in row
    assert row["validation_distance"] == pytest.approx(
        float(np.mean(distance(RULE.evaluate(fit.states[0], HELD_OUT)[0], HELD_OUT[1]))), rel=1e-5
    )
    assert row["distance"] > 0


def test_no_accuracy_where_targets_are_no_classes():
    fit = train(data=(TRAIN[0], 0.5 + np.eye(2, dtype=np.float32)[TRAIN[1]]), validation=None)  # nor one-hot
    names = "epoch network seed energy energy_before loss steps uphill seconds energies"
    assert set(fit.history[0]) == set(names.split())


@pytest.mark.parametrize("dtype", [np.uint8, np.int64])
def test_labels_of_any_integer_type(dtype):
    assert same_bits(train(data=moons(dtype=dtype), validation=moons(50, 1, dtype), epochs=2), train(epochs=2))


def test_images_as_bytes():
    draw = np.random.default_rng(0)
    x, y = draw.integers(0, 255, (64, 4, 4), dtype=np.uint8), np.arange(64) % 2
    rule = pxl.backprop(optax.adam(1e-3))
    net = pxm.MLP([16, 2])

    def scaled(key, x):
        return x.astype(jnp.float32) / 255

    fit = train(net, rule, (x, y.astype(np.uint8)), None, augment=scaled, epochs=2)
    assert fit.ended == "done"
    assert fit.last("loss")[0] < fit.history[0]["loss"]


class Convolution(pxc.EnergyModule):
    def __init__(self):
        super().__init__()
        self.layer, self.vode = pxnn.Conv2d(1, 2, 3), pxc.Vode(output=True)

    def __call__(self, x):
        return self.vode(self.layer(x[None]).sum((1, 2)))


@pytest.mark.parametrize("as_batches", [False, True])
def test_a_model_is_made_for_what_augmentation_returns(as_batches):
    x, y = np.random.default_rng(0).integers(0, 255, (32, 6, 6), dtype=np.uint8), np.arange(32) % 2
    data = [(x[:16], y[:16]), (x[16:], y[16:])] if as_batches else (x, y)

    def smaller(key, x):  # a convolution refuses whole numbers
        return x[:, 1:5, 1:5].astype(jnp.float32) / 255

    with pytest.raises(TypeError, match="it takes real numbers"):
        train(Convolution(), pxl.zil(optax.sgd(0.1)), data, None, epochs=1)
    assert train(Convolution(), pxl.zil(optax.sgd(0.1)), data, None, augment=smaller, epochs=1).ended == "done"


def noisy(key, x):
    return x + 0.1 * jax.random.normal(key, x.shape)


def test_augmentation_has_the_same_bits_however_it_is_cut():
    whole = train(augment=noisy)
    for batches in (1, 4):
        assert same_bits(whole, train(augment=noisy, batches_per_dispatch=batches))
    assert not same_bits(whole, train())


def test_any_iterable_of_batches():
    batches = [(TRAIN[0][i : i + 16], TRAIN[1][i : i + 16]) for i in range(0, 96, 16)]
    a, b = train(data=batches), train(data=_as_they_lie())
    for x, y in zip(arrays(a.states), arrays(b.states), strict=True):
        assert x.tobytes() == y.tobytes()
    assert timeless(a.history) == timeless(b.history)
    assert same_bits(a, train(data=lambda epoch: iter(batches)))


def test_bad_numbers_end_the_run_with_the_last_good_weights():
    x = TRAIN[0].copy()
    x[40] = np.nan
    source = pxd.ArrayBatches((x, TRAIN[1]), 16, shuffle=False)
    net = model()
    fit = train(net, data=source)
    assert fit.ended == "failed"
    assert fit.why is not None
    assert "seed 0, epoch 1, after batch 2: vodes[0] is not finite at the start" in fit.why
    good, _ = by_hand(model(), [b for b, _ in zip(source.epoch(0), range(2), strict=False)])
    for path, value in good.weights.items():
        np.testing.assert_allclose(np.asarray(fit.states[0].weights[path]), np.asarray(value), rtol=1e-5, atol=1e-6)
        assert np.isfinite(RULE.init(net, (TRAIN[0][:4], TRAIN[1][:4])).weights[path]).all()
    assert fit.history[0]["loss"] is not None


def test_a_network_that_fails_leaves_the_others():
    fit = train(make, by_rate, settings=[{"lr": 1e30}, {"lr": 1e-2}], epochs=4)
    assert fit.ended == "failed"
    assert "seed 0, lr 1e+30" in str(fit.why)
    assert len(fit.of(1)) == 4
    assert all(np.isfinite(a).all() for a in arrays(fit.states[1].weights))


def test_a_label_beyond_the_classes():
    y = TRAIN[1].copy()
    y[-1] = 2
    fit = train(data=pxd.ArrayBatches((TRAIN[0], y), 16, shuffle=False))
    assert fit.ended == "failed"
    assert "after batch 5: a label is outside the classes" in str(fit.why)


def test_progress_as_lines(capsys):
    train(show=True, epochs=2)
    text = capsys.readouterr().out
    assert "epoch 1/2: energy" in text
    assert "validation accuracy" in text
    train(show=False)
    assert capsys.readouterr().out == ""


def test_last_names_the_metrics_that_there_are():
    with pytest.raises(ValueError, match=r"no metric 'recall'; the history has .*validation_loss"):
        train(epochs=1).last("recall")
