"""A run whose settling goes uphill says so and has failed; numbers of an epoch that are not finite are said."""

import warnings

import jax.numpy as jnp
import numpy as np
import optax
import pytest

import pcx as px
import pcx.learning as pxl
import pcx.models as pxm
import pcx.training as pxt


def small():
    px.RKG.seed(0)
    r = np.random.default_rng(0)
    x = r.normal(size=(32, 3)).astype(np.float32)
    return pxm.MLP([3, 4, 4, 2]), (x, (x[:, 0] > 0).astype(np.int32))


@pytest.mark.hasty
def test_it_is_said_once_with_node_and_remedy():
    model, data = small()
    rule = pxl.pc(optax.sgd(1e-9), optax.sgd(5.0), 6)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        run = pxt.fit(model, rule, data, epochs=2, batch_size=8, show=False)
    said = [str(w.message) for w in caught if "uphill" in str(w.message)]
    assert len(said) == 1
    assert "seed 0, epoch 1, in 100% of the batches" in said[0]
    for words in (said[0], run.why or ""):
        assert "vodes[" in words
        assert "lower the rate of the states" in words
    assert run.ended == "failed"
    assert len(run.history) == 2
    for row in run.history:
        assert row["uphill"] == 1.0
        assert row["energy"] > 1e3 * row["energy_before"]
        assert row["energy_before"] == pytest.approx(row["loss"], rel=1e-5)


def test_a_few_batches_uphill_are_no_failure():
    model, data = small()
    # Steps of a fixed length go up where there is nothing left to gain.
    rule = pxl.pc(optax.adam(3e-2), optax.adam(0.2), 6)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        run = pxt.fit(model, rule, data, epochs=40, batch_size=8, show=False)
    assert run.ended == "done"
    assert run.why is None
    said = [str(w.message) for w in caught if "uphill" in str(w.message)]
    assert len(said) <= 1
    # The mean over the epoch's batches fell: it is no way uphill.
    assert all("went uphill, most of the energy is in vodes[" in text for text in said)


def test_energies_are_named_only_where_they_rose():
    rose, fell = [pxl.uphill_in_words(0.5, after, {"a": 0.1, "b": after}) for after in (0.6, 0.4)]
    assert "from an energy of 0.5 to 0.6, most of it in b: lower" in rose
    assert "went uphill, most of the energy is in b: lower" in fell
    assert "0.4" not in fell
    assert "from an energy of 0.5 to beyond all numbers" in pxl.uphill_in_words(0.5, None, {"a": None})


def test_a_run_that_goes_well_says_nothing():
    model, data = small()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        run = pxt.fit(model, pxl.pc(optax.adam(1e-2), optax.sgd(0.1), 6), data, epochs=2, batch_size=8, show=False)
    assert run.ended == "done"
    assert run.why is None
    assert all(row["uphill"] == 0 and row["energy"] < row["energy_before"] for row in run.history)


@pytest.mark.hasty
def test_numbers_of_an_epoch_that_are_not_finite_are_said_once():
    model, (x, _) = small()
    rule = pxl.backprop(optax.sgd(0.1))

    def strange(output, y):
        return jnp.where(y == 7, jnp.nan, 1.0)

    # Inputs so large that an energy overflows, and a metric that is NaN of some labels, held out alone.
    for held, metrics, said in [
        ((x * 1e30, x[:, :2]), {}, "validation_loss"),
        ((x, np.full_like(x[:, :2], 7.0)), {"strange": lambda o, y: strange(o, y)[:, 0]}, "validation_strange"),
    ]:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            run = pxt.fit(model, rule, (x, x[:, :2]), held, epochs=2, batch_size=8, metrics=metrics, show=False)
        (text,) = [str(w.message) for w in caught if "NaN or infinite" in str(w.message)]
        assert text.startswith(f"fit: seed 0, epoch 1: {said} is NaN or infinite")
        assert "held-out data" in text
        assert [row[said] for row in run.history] == [None, None]
        assert [row["loss"] is None for row in run.history] == [False, False]
