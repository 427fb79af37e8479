"""Training where layers that repeat are computed together: files and checkpoints know nothing of it."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import pcx as px
import pcx.learning as pxl
import pcx.models as pxm
import pcx.training as pxt
from pcx.energy import Stacks
from pcx.learning import _equal_layers

WIDTHS = [6] * 14


def data(dtype: type[np.floating] = np.float32):
    draw = np.random.default_rng(0)
    return draw.normal(size=(24, 6)).astype(dtype), draw.normal(size=(24, 6)).astype(dtype)


def model():
    px.RKG.seed(3)
    return pxm.MLP(WIDTHS, act=jnp.tanh)


def rule():
    return pxl.pc(optax.adam(1e-3), optax.sgd(0.1), 13)


def apart(monkeypatch, wanted: bool = True) -> None:
    monkeypatch.setattr(_equal_layers, "_MANY", 10**6 if wanted else 10)


@pytest.fixture
def in_float64():
    before = jax.config.read("jax_enable_x64")
    jax.config.update("jax_enable_x64", True)
    yield
    jax.config.update("jax_enable_x64", before)


OPTIONS = {"batch_size": 8, "show": False, "figure": False}


@pytest.mark.slow
@pytest.mark.skipif(jax.default_backend() != "cpu", reason="what is stacked hangs on the device")
@pytest.mark.parametrize("first_apart", [False, True])
def test_a_run_goes_on_whether_layers_are_together_or_not(tmp_path, monkeypatch, first_apart, in_float64):
    # The first layers' gradients are so small that Adam makes steps of what float32 rounds.
    given = data(np.float64)
    apart(monkeypatch, first_apart)
    whole = pxt.fit(model(), rule(), given, epochs=3, **OPTIONS)
    pxt.fit(model(), rule(), given, epochs=1, folder=tmp_path / "run", **OPTIONS)
    apart(monkeypatch, not first_apart)
    run = pxt.fit(model(), rule(), given, epochs=3, folder=tmp_path / "run", resume=True, **OPTIONS)
    assert isinstance(whole.states[0].weights, Stacks) != isinstance(run.states[0].weights, Stacks)
    for path, weight in run.states[0].weights.items():
        assert weight.dtype == np.float64
        np.testing.assert_allclose(weight, whole.states[0].weights[path], rtol=0, atol=1e-10)
    assert run.last("energy") == pytest.approx(whole.last("energy"), rel=1e-10)
    assert set(run.history[-1]["energies"]) == {f"vodes[{i}]" for i in range(13)}
    saved = model()
    pxt.load_weights(tmp_path / "run" / "weights.safetensors", saved)
    np.testing.assert_array_equal(saved.layers[5].nn.weight.get(), run.states[0].weights["layers[5].nn.weight"])


@pytest.mark.slow
@pytest.mark.skipif(jax.default_backend() != "cpu", reason="what is stacked hangs on the device")
def test_several_networks_in_stacks_are_trained_at_once():
    arrays = data()
    many = pxt.fit(lambda: pxm.MLP(WIDTHS, act=jnp.tanh), rule(), arrays, epochs=1, seeds=[0, 1], **OPTIONS)
    one = pxt.fit(lambda: pxm.MLP(WIDTHS, act=jnp.tanh), rule(), arrays, epochs=1, seeds=[1], **OPTIONS)
    assert isinstance(one.states[0].weights, Stacks)
    for path, weight in one.states[0].weights.items():
        np.testing.assert_allclose(many.states[1].weights[path], weight, atol=2e-6)


def test_how_layers_are_computed_is_in_the_log_and_a_run_goes_on_otherwise(tmp_path):
    def forms(equal_layers, **options):
        made = pxl.pc(optax.sgd(1e-3), optax.sgd(0.1), 2, equal_layers=equal_layers)
        return pxt.fit(pxm.MLP([6, 6, 6]), made, data(), folder=tmp_path / "run", **OPTIONS, **options)

    assert repr(pxl.pc(optax.sgd(1e-3), optax.sgd(0.1), 2, equal_layers="looped")).endswith("equal_layers='looped')")
    assert "equal_layers" not in repr(rule())
    forms("looped", epochs=1)
    run = forms("apart", epochs=2, resume=True)
    assert len(run.history) == 2
    began, _, resumed, _ = [line[20:] for line in (tmp_path / "run" / "log.txt").read_text().splitlines()]
    assert began == "began: 1 network, 1 epoch, 1 device"
    assert resumed.endswith(" 1 device; equal_layers was 'looped' when it began, and is 'apart'")
    saved, _, _ = pxt.load_run(tmp_path / "run", pxm.MLP([6, 6, 6]), rule=pxl.pc(optax.sgd(1e-3), optax.sgd(0.1), 2))
    assert isinstance(saved, pxm.MLP)
    np.testing.assert_array_equal(saved.layers[1].nn.weight.get(), run.states[0].weights["layers[1].nn.weight"])


@pytest.mark.parametrize(("equal_layers", "form"), [("looped", "looped"), ("apart", "each apart")])
def test_equal_layers_in_words(equal_layers, form):
    made, (x, y) = pxl.backprop(optax.sgd(1e-3), equal_layers=equal_layers), data()
    state = made.init(pxm.MLP([6, *[5] * 5, 6], act=jnp.tanh), (x, y))
    assert pxl.equal_layers_in_words(made, state, (x, y)) == f"vodes[1] to vodes[4]: 4 equal layers, {form}"
