# pyright: reportArgumentType=false, reportAttributeAccessIssue=false
"""Rules of one's own: anything with `init`, `step`, `predict` and `evaluate`."""

import dataclasses
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import pcx.learning as pxl
import pcx.training as pxt

from .small import HELD_OUT, Cut, arrays, cut_after, make, model, same_bits, train


class Weights(NamedTuple):
    """A state that knows nothing of pcx."""

    layers: Any
    steps: Any


@dataclasses.dataclass
class Descent:
    """Gradient descent on the squared error of a network of two layers."""

    rate: float = 0.5

    def init(self, model, batch, key=0):
        return Weights([(each.nn.weight.get(), each.nn.bias.get()) for each in model.layers], 0)

    def predict(self, model, x):
        (w, b), (v, c) = model.layers
        return jnp.tanh(x @ w.T + b) @ v.T + c

    def evaluate(self, state, batch):
        output = self.predict(state, batch[0])
        return output, 0.5 * jnp.sum((output - jax.nn.one_hot(batch[1], 2)) ** 2, 1)

    def step(self, state, batch):
        def loss(layers):
            output, each = self.evaluate(Weights(layers, 0), batch)
            return jnp.mean(each), output

        (value, output), grad = jax.value_and_grad(loss, has_aux=True)(state.layers)
        layers = jax.tree.map(lambda w, g: w - self.rate * g, state.layers, grad)
        return Weights(layers, state.steps + 1), {"loss": value, "output": output}


class Written(NamedTuple):
    """A state that can be written into a model, and has weights by path."""

    weights: Any
    rest: Any

    def write_to(self, model):
        for i, layer in enumerate(model.layers):
            layer.nn.weight.set(self.weights[f"layers[{i}].nn.weight"])
            layer.nn.bias.set(self.weights[f"layers[{i}].nn.bias"])


class Named(Descent):
    """The same with such a state, told by an object."""

    def init(self, model, batch, key=0):  # pyright: ignore[reportIncompatibleMethodOverride]
        return self._named(super().init(model, batch).layers)

    def _named(self, layers):
        parts = [
            (f"layers[{i}].nn.{n}", a) for i, p in enumerate(layers) for n, a in zip(("weight", "bias"), p, strict=True)
        ]
        return Written(dict(parts), {})

    def _layers(self, state):
        values = [state.weights[f"layers[{i}].nn.{n}"] for i in (0, 1) for n in ("weight", "bias")]
        return Weights([tuple(values[:2]), tuple(values[2:])], 0)

    def evaluate(self, state, batch):
        return super().evaluate(self._layers(state) if isinstance(state, Written) else state, batch)

    def step(self, state, batch):  # pyright: ignore[reportIncompatibleMethodOverride]
        state, info = super().step(self._layers(state), batch)
        bad = jnp.where(jnp.isfinite(info["loss"]), pxl.OUTCOME.ok, pxl.OUTCOME.not_finite)
        return self._named(state.layers), Told(info["loss"], info["output"], bad)


@jax.tree_util.register_dataclass
@dataclasses.dataclass
class Told:
    loss: Any
    output: Any
    result: Any


def test_it_learns_as_by_hand():
    net = model()
    with pytest.warns(RuntimeWarning, match="the model is as it was: .* Weights, has no write_to"):
        fit = train(net, Descent(), epochs=8)
    assert set(fit.history[0]) >= {"loss", "accuracy", "validation_loss", "validation_accuracy", "energies"}
    assert not {"energy", "steps"} & set(fit.history[0])
    assert fit.states[0].steps == 48
    output, loss = Descent().evaluate(fit.states[0], HELD_OUT)
    assert fit.last("validation_loss") == [pytest.approx(float(jnp.mean(loss)), rel=1e-5)]
    assert fit.last("validation_accuracy") == [pytest.approx(np.mean(np.argmax(output, 1) == HELD_OUT[1]))]
    assert fit.last("loss")[0] < 0.6 * fit.history[0]["loss"]
    np.testing.assert_array_equal(arrays(model().layers[0].nn.weight.get()), arrays(net.layers[0].nn.weight.get()))


@pytest.mark.slow
def test_it_resumes_to_the_same_bits(tmp_path):
    pytest.importorskip("orbax.checkpoint")
    options = {"net": make, "rule": Descent(), "seeds": [0, 1]}
    for parallel in ("loop", "vmap"):
        whole = train(parallel=parallel, **options)
        cut = {"folder": tmp_path / parallel, "checkpoint_every": 1, **cut_after(8)}
        with pytest.raises(Cut):
            train(parallel=parallel, **cut, **options)
        again = train(parallel=parallel, folder=tmp_path / parallel, resume=True, **options)
        assert same_bits(again, whole)
        assert again.best_epochs == whole.best_epochs
    assert not list(tmp_path.glob("*/*.safetensors"))  # it names no weights
    with pytest.raises(ValueError, match="hold no `weights` by path in the model; read their arrays by Checkpoints"):
        pxt.load_run(tmp_path / "loop", make, Descent(), network=0)
    with pytest.raises(pxt.CheckpointError, match=r"rule\..*rate: was 0.5, is 0.4"):
        train(folder=tmp_path / "loop", resume=True, **{**options, "rule": Descent(0.4)})


def test_a_state_that_can_be_written(tmp_path):
    pytest.importorskip("orbax.checkpoint")
    net = model()
    fit = train(net, Named(), folder=tmp_path / "run")
    plain = train(make, Descent())
    np.testing.assert_array_equal(fit.states[0].weights["layers[0].nn.weight"], plain.states[0].layers[0][0])
    for file in ("weights", "best"):
        pxt.load_weights(tmp_path / "run" / f"{file}.safetensors", model(3))
    loaded, rule, _ = pxt.load_run(tmp_path / "run", make, Named())
    assert isinstance(rule, Named)
    for each in (net, loaded):
        np.testing.assert_array_equal(each.layers[1].nn.bias.get(), fit.states[0].weights["layers[1].nn.bias"])


def test_settings_and_failures():
    fit = train(make, Named, settings=[{"rate": 1e30}, {"rate": 0.5}])
    assert fit.ended == "failed"
    assert "seed 0, rate 1e+30, epoch 1, after batch 1: the rule says not finite" in str(fit.why)
    assert len(fit.of(1)) == 3


class Half:
    def init(self, model, batch, key=0):
        return ()

    def step(self, state, batch):
        return state, {}


@pytest.mark.parametrize(
    ("options", "error", "said"),
    [
        ({"rule": Half()}, TypeError, "got Half; it has no predict and no evaluate"),
        ({"rule": lambda lr: Half(), "settings": [{"lr": 1.0}]}, TypeError, "not Half; it has no predict"),
        ({"rule": Descent(), "best": "energy"}, ValueError, "asks for 'energy'; the history will have loss, accuracy"),
    ],
)
def test_what_is_no_rule_is_refused(options, error, said):
    with pytest.raises(error, match=said):
        train(**options)


def test_without_any_numbers():
    @dataclasses.dataclass
    class Silent(Descent):
        def step(self, state, batch):  # pyright: ignore[reportIncompatibleMethodOverride]
            return super().step(state, batch)[0], None

    fit = train(make, Silent(), validation=None, epochs=2, show=True)
    assert set(fit.history[0]) == {"epoch", "network", "seed", "uphill", "seconds", "energies"}
