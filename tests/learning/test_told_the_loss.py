"""Optimisers of the weights that want the loss are told it; numbers and parts are taken, or refused when given."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import pcx as px
import pcx.data as pxd
import pcx.inference as pxi
import pcx.learning as pxl
import pcx.models as pxm
import pcx.nn as pxnn

W, H = optax.sgd(0.1), optax.sgd(0.1)


P = {"vodes[0]": 1.5, "vodes[1]": 2.0}


def told() -> optax.GradientTransformationExtraArgs:
    """Keeps what it is told."""

    def update(updates, state, params=None, *, value, **rest):
        return updates, jnp.asarray(value, jnp.float32)

    return optax.GradientTransformationExtraArgs(lambda params: jnp.float32(0), update)  # pyright: ignore[reportArgumentType]


@pytest.mark.hasty
@pytest.mark.parametrize(
    "make",
    [
        lambda w: pxl.backprop(w, precision={"vodes[1]": 2.0}),
        lambda w: pxl.pc(w, H, 3, precision=P),
        lambda w: pxl.zil(w, precision=P),
        lambda w: pxl.fpa(w, H, 3, precision=P),
        lambda w: pxl.epc(w, H, 3, precision=P),
        lambda w: pxl.ipc(w, H, 1, precision=P),
        lambda w: pxl.hil(w, T=4, precision=P),
    ],
    ids=["backprop", "pc", "zil", "fpa", "epc", "ipc", "hil"],
)
def test_the_value_is_that_whose_gradient_is_taken(make):
    px.RKG.seed(0)
    rng = np.random.default_rng(0)
    x, y = jnp.asarray(rng.normal(size=(4, 3)), jnp.float32), jnp.asarray(rng.normal(size=(4, 2)), jnp.float32)
    rule = make(optax.chain(told(), optax.sgd(0.0)))
    first = rule.init(pxm.MLP([3, 4, 2], jnp.tanh), (x, y))
    state, info = rule.step(first, (x, y))
    value = jax.tree.leaves(state.optim)[-1]
    # The loss is that of a forward pass without precisions under every rule.
    np.testing.assert_allclose(info.loss, jnp.mean(rule.evaluate(first, (x, y))[1]), rtol=1e-5)
    # iPC and Z-IL learn from the values before any has moved.
    before = rule.name in ("zil", "ipc")
    expected = info.energy_before if before else info.energy
    assert abs(float(value - info.loss)) > 0.01
    np.testing.assert_allclose(value, expected, rtol=1e-5)


def test_values_that_settle_are_told_none():
    rule = pxl.pc(W, optax.contrib.reduce_on_plateau(), 2)
    batch = jnp.ones((2, 3)), jnp.ones((2, 2))
    with pytest.raises(TypeError, match="is for those of weights"):  # said as early as that
        rule.init(pxm.MLP([3, 4, 2]), batch)


@pytest.mark.parametrize("kind", [np.int64, np.int32, np.uint8, np.asarray, jnp.asarray])
def test_whole_numbers_of_any_library(kind):
    n = kind(4)
    assert pxl.pc(W, H, n) is pxl.pc(W, H, 4)
    assert pxl.hil(W, T=n) is pxl.hil(W, T=4)
    assert pxl.mcpc(W, 0.1, 8, burn_in=n) is pxl.mcpc(W, 0.1, 8, burn_in=4)
    for stop in (pxi.Steps, pxi.Plateau, pxi.GradientNorm):
        assert stop(n) == stop(4)
        assert type(stop(n).steps) is int


def test_pixels_of_any_library():
    assert pxd.crop(np.int64(4)) == pxd.crop(4)  # pyright: ignore[reportArgumentType]
    x = jnp.ones((1, 4, 4))
    assert pxnn.AdaptiveAvgPool2d(np.int64(2))(x).shape == pxnn.AdaptiveAvgPool2d(2)(x).shape  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize(
    ("make", "error", "said"),
    [
        (lambda: pxl.pc(W, H, 3, schedule="down"), TypeError, "schedule must be a pcx.inference.Schedule"),  # pyright: ignore[reportArgumentType]
        (lambda: pxl.pc(W, H, 3, schedule=pxi.AllNodes), TypeError, "schedule must be"),  # pyright: ignore[reportArgumentType]
        (lambda: pxl.pc(W, H, 3, clamp="hard"), TypeError, "clamp must be a Clamp"),  # pyright: ignore[reportArgumentType]
        (lambda: pxl.pc(W, H, 3, start=pxl.Zeros), TypeError, r"make one: Zeros\(...\)"),  # pyright: ignore[reportArgumentType]
        (lambda: pxl.PredictiveCoding(W, H, 3, coordinates=pxl.Errors), TypeError, r"make one: Errors\(...\)"),  # pyright: ignore[reportArgumentType]
        (lambda: pxl.pc(W, H, 2.5), TypeError, "T must be a whole number of steps"),  # pyright: ignore[reportArgumentType]
        (lambda: pxl.pc(W, H, pxi.Plateau), TypeError, "T must be a whole number of steps"),  # pyright: ignore[reportArgumentType]
        (lambda: pxl.pc(W, H, True), ValueError, "whole number"),
        (lambda: pxl.pc(W, H, 3_000_000_000), ValueError, "at most 2147483647"),
        (lambda: pxi.Plateau(3, rtol=float("nan")), ValueError, "rtol must be 0 or more"),
        (lambda: pxi.GradientNorm(3, tol="small"), TypeError, "tol must be a number"),  # pyright: ignore[reportArgumentType]
        (lambda: pxl.nudged(W, H, 3, np.asarray(0.0)), ValueError, "beta must be in"),  # pyright: ignore[reportArgumentType]
        (lambda: pxl.nudged(W, H, 3, jnp.nan * jnp.ones(())), ValueError, "beta must be in"),
        (lambda: pxl.nudged(W, H, 3, "0.1"), TypeError, "beta must be a number"),  # pyright: ignore[reportArgumentType]
        (lambda: pxl.pc(W, H, 3, precision=float("nan")), ValueError, "precision must be above 0"),
        (lambda: pxl.pc(W, H, 3, precision={"vodes[0]": np.asarray([1.0, 0.0])}), ValueError, "must be above 0"),
        (lambda: pxl.pc(W, H, 3, precision="high"), TypeError, "precision must be a number"),  # pyright: ignore[reportArgumentType]
        (lambda: pxl.LearnedPrecision(W, initial=np.nan), ValueError, "initial must be above 0"),
        (lambda: pxl.LearnedPrecision("sgd"), TypeError, "optim must be an optax transformation"),  # pyright: ignore[reportArgumentType]
        (lambda: pxl.mcpc(W, np.nan, 3), ValueError, "step must be positive"),
        (lambda: pxl.mcpc(W, 0.1, 3, momentum=np.float32(1)), ValueError, "momentum must be in"),  # pyright: ignore[reportArgumentType]
        (lambda: pxl.pc(W, lambda: optax.sgd(0.1), 3), TypeError, "expected an optax transformation"),  # pyright: ignore[reportArgumentType]
        (lambda: pxl.pc(W, optax.GradientTransformation, 3), TypeError, "expected an optax transformation"),  # pyright: ignore[reportArgumentType]
        (lambda: pxl.pc(W, {}, 3), ValueError, "by node is empty"),
    ],
)
def test_what_makes_no_sense_is_refused_when_the_rule_is_built(make, error, said):
    with pytest.raises(error, match=said):
        make()
