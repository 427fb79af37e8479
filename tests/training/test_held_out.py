# pyright: reportAttributeAccessIssue=false, reportArgumentType=false
"""Held-out data in every form, and batches without an input."""

import warnings

import jax.numpy as jnp
import numpy as np
import optax
import pytest

import pcx.data as pxd
import pcx.learning as pxl
import pcx.nn as pxnn
import pcx.predictive_coding as pxc
import pcx.training as pxt

from .small import HELD_OUT, TRAIN, Cut, by_rate, cut_after, make, model, timeless, train

X, Y = HELD_OUT  # 50 samples
PARTS = [(X[:20], Y[:20]), (X[20:40], Y[20:40]), (X[40:], Y[40:])]
RULE = pxl.backprop(optax.sgd(0.1))


class Loader:
    """Batches anew each time, of no known number."""

    def __iter__(self):
        return iter(PARTS)


FORMS = {
    "list": PARTS,
    "list of two": [(X[:7], Y[:7]), (X[7:], Y[7:])],
    "arrays, those left over included": pxd.ArrayBatches(HELD_OUT, 16),
    "function": lambda k: (each for each in PARTS),
    "loader": Loader(),
    "batches": pxd.as_batches(PARTS),
    "walk": pxd.as_batches(iter(PARTS * 9), 3),
}


@pytest.fixture(scope="module")
def exact():
    return train(rule=RULE, epochs=2).history


@pytest.mark.parametrize("form", FORMS)
def test_held_out_in_any_form(form, exact):
    found = train(rule=RULE, validation=FORMS[form], epochs=2).history
    assert [set(row) for row in found] == [set(row) for row in exact]
    for row, other in zip(found, exact, strict=True):
        for name in ("validation_loss", "validation_accuracy", "loss"):
            assert row[name] == pytest.approx(other[name], rel=1e-5), name


@pytest.mark.parametrize("parallel", ["loop", "vmap"])
def test_streams_for_several_networks(parallel):
    options = {"settings": [{"lr": 1e-3}, {"lr": 1e-2}], "parallel": parallel, "epochs": 1}
    a, b = (train(make, by_rate, validation=v, **options) for v in (HELD_OUT, PARTS))
    assert a.last("validation_loss") == pytest.approx(b.last("validation_loss"), rel=1e-5)
    assert a.last("validation_loss")[0] != a.last("validation_loss")[1]


def test_a_function_is_given_the_epoch():
    asked = []

    def source(k):
        asked.append(k)
        return PARTS[: k + 1]

    fit = train(rule=RULE, validation=source)
    assert asked == [0, 1, 2]
    assert fit.ended == "done"


def test_streams_over_a_resume(tmp_path):
    pytest.importorskip("orbax.checkpoint")
    whole = train(rule=RULE, validation=PARTS)
    with pytest.raises(Cut):
        train(rule=RULE, validation=PARTS, folder=tmp_path, checkpoint_every=1, **cut_after(8))
    again = train(rule=RULE, validation=PARTS, folder=tmp_path, resume=True)
    assert timeless(again.history) == timeless(whole.history)


@pytest.mark.slow
def test_streams_that_changed_between_run_and_resume(tmp_path):
    pytest.importorskip("orbax.checkpoint")
    changed = [(x + 1e-3, y) for x, y in PARTS]

    def go(name, validation):
        return train(rule=RULE, validation=validation, folder=tmp_path / name, resume=True, epochs=1).ended

    with pytest.warns(RuntimeWarning, match="it begins"):
        go("list", PARTS)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        go("list", HELD_OUT)  # the same samples in other pieces
        go("list", [(X[:7], Y[:7]), (X[7:], Y[7:])])
    with pytest.raises(pxt.CheckpointError, match=r"validation\.sha256: was"):
        go("list", [*PARTS[:2], changed[2]])
    with pytest.warns(RuntimeWarning, match="it begins"):
        go("stream", Loader())
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        go("stream", Loader())
        go("stream", lambda k: iter(PARTS))
    with pytest.warns(RuntimeWarning, match="the first held-out batch is another"):
        go("stream", lambda k: iter(changed))
    with pytest.raises(pxt.CheckpointError, match=r"validation\.each\[0\]: was float32\[2\]"):
        go("stream", lambda k: iter([(np.float64(x).astype(np.float16), y) for x, y in PARTS]))


@pytest.mark.parametrize("which", ["validation", "data"])
def test_what_can_be_gone_through_once(which):
    for once in (iter(PARTS), (part for part in PARTS)):
        with pytest.raises((TypeError, ValueError), match="an iterator is used up after one epoch"):
            train(rule=RULE, **{which: once})
    walk = iter(PARTS)
    with pytest.raises(ValueError, match=r"must come anew .*every epoch"):
        train(rule=RULE, **{which: lambda k: walk})
    # One epoch is all that it has, and of that nothing is lost.
    walk = iter(PARTS)
    got = train(rule=RULE, **{which: lambda k: walk}, epochs=1).last("validation_loss")
    assert got == pytest.approx(train(rule=RULE, **{which: PARTS}, epochs=1).last("validation_loss"), rel=1e-6)


@pytest.mark.parametrize(
    ("validation", "error", "said"),
    [
        ([], ValueError, "the source of validation is empty"),
        ([X, X, X], TypeError, "batches that are a pair"),
        ([(X, Y + 5)], ValueError, "labels must be from 0 to 1"),
        ([PARTS[0], (X, Y + 5), PARTS[0]], ValueError, "labels must be from 0 to 1"),
        ([(X, Y[1:])] * 3, ValueError, "the same number of samples"),
        ([(X[:, :1], Y)], ValueError, "can't be judged on validation"),
        (3, TypeError, "validation must be a split or a pair of arrays"),
    ],
)
def test_held_out_batches_that_are_refused(validation, error, said):
    with pytest.raises(error, match=said):
        train(rule=RULE, validation=validation)


# -- without an input --------------------------------------------------------------------------------------------------
class Generator(pxc.EnergyModule):
    def __init__(self):
        self.z, self.layer, self.out = pxc.Vode(), pxnn.Linear(2, 2), pxc.Vode()
        self.out.h.frozen = True

    def __call__(self, x, y=None):
        return self.out(self.layer(self.z(jnp.zeros(2))))


SLOW = optax.sgd(0.1)


@pytest.mark.hasty
@pytest.mark.parametrize("rule", [pxl.pc(SLOW, SLOW, 3), pxl.mcpc(SLOW, 0.1, 3), RULE], ids=["pc", "mcpc", "backprop"])
def test_batches_without_an_input(rule):
    batch = None, X
    state = rule.init(Generator(), batch)
    output, loss = rule.evaluate(state, batch)
    assert (output.shape, loss.shape) == ((50, 2), (50,))
    forms = [(None, X), [(None, X[i : i + 16]) for i in (0, 16, 32)]]
    for data in forms:
        fit = train(Generator, rule, data, batch, epochs=1)
        assert fit.ended == "done"
        assert fit.last("validation_loss")[0] == pytest.approx(
            float(np.mean(rule.evaluate(fit.states[0], batch)[1])), rel=1e-5
        )
    fit = train(Generator, rule, batch, forms[1], seeds=[0, 1], parallel="vmap", epochs=1)
    assert len(fit.last("validation_loss")) == 2
    with pytest.raises(ValueError, match="not known how many samples"):
        rule.predict(state, None)


def test_two_batches_in_a_list_are_two_batches():
    two = [(TRAIN[0][:48], TRAIN[1][:48]), (TRAIN[0][48:], TRAIN[1][48:])]
    a, b = train(model(), RULE, two), train(model(), RULE, lambda k: iter(two))
    assert timeless(a.history) == timeless(b.history)
    assert isinstance(pxt.fit(model(), RULE, two, two, epochs=1, show=False).last("validation_loss")[0], float)
