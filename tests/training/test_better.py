# pyright: reportAttributeAccessIssue=false, reportArgumentType=false
"""What better means: the direction of a metric is asked for, and an epoch's numbers are means over its samples."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import pcx.data as pxd
import pcx.learning as pxl
import pcx.models as pxm
import pcx.training as pxt

from .small import Cut, by_rate, cut_after, lines, make, moons, train

QUICK = pxl.backprop(optax.sgd(0.4))


def probability(output, y):
    return jax.nn.softmax(output)[jnp.arange(len(y)), y]


def inaccuracy(output, y):
    return 1 - pxt.accuracy(output, y)


METRICS = {"probability": probability, "inaccuracy": inaccuracy, "top": pxt.accuracy}


# -- the direction -----------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("metric", ["validation_probability", "inaccuracy", "validation_inaccuracy", "steps"])
def test_the_direction_of_a_metric_is_asked_for(metric, tmp_path):
    pytest.importorskip("orbax.checkpoint")
    with pytest.warns(UserWarning, match=rf"whether more or less of '{metric}' is better was not said; the .* largest"):
        train(metrics=METRICS, best=metric, folder=tmp_path / "run")
    assert json.loads((tmp_path / "run" / "config.json").read_text())["best_mode"] == "max"
    with pytest.raises(ValueError, match=f"mode of early_stopping is needed for '{metric}'"):
        train(metrics=METRICS, early_stopping=pxt.EarlyStopping(metric))
    with pytest.raises(ValueError, match=f"mode is needed for '{metric}'"):
        pxt.EarlyStopping(metric).out_of_patience([{metric: 1.0}])


BEST = [  # metric, mode, whether more is better
    ("validation_probability", "max", True),
    ("validation_inaccuracy", "min", False),
    ("validation_top", None, True),  # the accuracy, under another name
    ("validation_loss", None, False),
    ("loss", "max", True),
]


@pytest.mark.parametrize(("metric", "mode", "more"), BEST)
def test_the_best_is_the_best_in_the_direction_given(tmp_path, metric, mode, more):
    pytest.importorskip("orbax.checkpoint")
    fit = train(rule=QUICK, folder=tmp_path, metrics=METRICS, best=metric, best_mode=mode, epochs=5)
    values = [row[metric] for row in fit.history]
    best = max(range(5), key=lambda i: (values[i] if more else -values[i], i)) + 1
    _, meta = pxt.Checkpoints(tmp_path / "checkpoints").load(best=True)
    assert meta["epoch"] == best
    assert json.loads((tmp_path / "config.json").read_text())["best_mode"] == ("max" if more else "min")


def rows(*values):
    return [{"own": v} for v in values]


def test_patience_in_both_directions():
    up, down = (pxt.EarlyStopping("own", patience=2, mode=mode) for mode in ("max", "min"))
    assert down.out_of_patience(rows(0.1, 0.2, 0.3))
    assert not up.out_of_patience(rows(0.1, 0.2, 0.3))
    assert up.out_of_patience(rows(0.3, 0.2, 0.1))
    assert not down.out_of_patience(rows(0.3, 0.2, 0.1))


def test_a_direction_without_a_metric():
    with pytest.raises(ValueError, match="best_mode must be 'min' or 'max', got 'up'"):
        train(best_mode="up")
    with pytest.raises(ValueError, match="there is neither that nor validation"):
        train(best_mode="max", validation=None)


@pytest.mark.parametrize("name", ["validation_accuracy", "accuracy"])
def test_an_accuracy_stops_in_its_direction(name):
    fit = train(early_stopping=pxt.EarlyStopping(name, patience=1, least=0.9), epochs=5)
    assert (fit.ended, len(fit.history)) == ("stopped early", 2)


# -- means over samples ------------------------------------------------------------------------------------------------
DATA = moons(37)
BATCHES = [(DATA[0][i : i + 16], DATA[1][i : i + 16]) for i in range(0, 37, 16)]  # 16, 16 and 5
STANDING = {
    "backprop": pxl.backprop(optax.sgd(0.0)),
    "pc": pxl.pc(optax.sgd(0.0), optax.sgd(0.1), 4),
    "zil": pxl.zil(optax.sgd(0.0)),
}


@pytest.mark.hasty
@pytest.mark.parametrize(
    ("rule", "source"),
    [
        ("backprop", pxd.ArrayBatches(DATA, 16, drop_last=False)),
        ("pc", BATCHES),
        ("zil", lambda k: iter(BATCHES)),
        ("backprop", pxd.as_batches(BATCHES[::-1])),
        ("backprop", [DATA]),
    ],
    ids=["arrays", "list", "function", "batches", "one"],
)
def test_an_epoch_is_the_mean_over_its_samples(rule, source):
    # Nothing is learned, so what is seen in training is what is judged.
    fit = train(make, STANDING[rule], source, DATA, metrics=METRICS, epochs=2)
    for row in fit.history:
        for name in ("loss", "probability", "inaccuracy", "top"):
            assert row[name] == pytest.approx(row[f"validation_{name}"], rel=1e-5), name
        assert row["energy"] == pytest.approx(sum(row["energies"].values()), rel=1e-5)
    if rule == "backprop":
        assert fit.history[0]["energies"]["vodes[1]"] == pytest.approx(fit.history[0]["validation_loss"], rel=1e-5)


@pytest.mark.hasty
@pytest.mark.parametrize("parallel", ["loop", "vmap"])
def test_several_networks_and_a_smaller_batch(parallel):
    source = pxd.ArrayBatches(DATA, 16, drop_last=False)
    options = {"seeds": [0, 1], "settings": [{"lr": 0.0}, {"lr": 1e-2}], "parallel": parallel}
    fit = train(make, by_rate, source, DATA, epochs=1, **options)
    for row in (fit.of(0)[0], fit.of(2)[0]):  # those of rate 0
        assert row["loss"] == pytest.approx(row["validation_loss"], rel=1e-5)  # at rate 0 nothing moves


@pytest.mark.parametrize(("cut", "streamed"), [(1, False), (2, False), (5, False), (2, True), (3, True)])
def test_means_over_a_resume(tmp_path, cut, streamed):
    pytest.importorskip("orbax.checkpoint")
    source = BATCHES if streamed else pxd.ArrayBatches(DATA, 16, drop_last=False, shuffle=False)
    rule = STANDING["backprop"]
    options = {"rule": rule, "data": source, "validation": DATA, "epochs": 2, "folder": tmp_path}
    with pytest.raises(Cut):
        train(checkpoint_every=1, **cut_after(cut), **options)
    fit = train(resume=True, **options)
    for row in (*fit.history, *lines(tmp_path)):
        assert row["loss"] == pytest.approx(row["validation_loss"], rel=1e-5)
        assert row["accuracy"] == pytest.approx(row["validation_accuracy"], rel=1e-6)


def test_a_batch_that_failed_is_not_counted():
    x = DATA[0].copy()
    x[33] = np.nan  # in the smaller one
    fit = train(rule=STANDING["backprop"], data=pxd.ArrayBatches((x, DATA[1]), 16, shuffle=False, drop_last=False))
    assert fit.ended == "failed"
    exact = train(rule=STANDING["backprop"], data=BATCHES[:2], validation=None, epochs=1).last("loss")
    assert fit.last("loss") == pytest.approx(exact)


def test_one_sample_alone_in_a_batch():
    # By batches the lone last sample would weigh as much as 32; a metric that is 1 for it and 0 for others.
    x = np.zeros((33, 2), np.float32)
    x[32] = 1
    source = pxd.ArrayBatches((x, x[:, :1]), 32, shuffle=False, drop_last=False)
    seen = train(
        lambda: pxm.MLP([2, 1]),
        STANDING["backprop"],
        source,
        None,
        metrics={"odd": lambda output, y: y[:, 0]},
        epochs=1,
    )
    assert seen.last("odd") == [pytest.approx(1 / 33)]
