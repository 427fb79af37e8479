"""Energies of one's own under rules: what an energy says of itself is believed, and any energy will do in an output."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import pcx as px
import pcx.learning as pxl
import pcx.nn as pxnn
import pcx.predictive_coding as pxc


class HalfSquare(pxc.Energy):
    squared = True

    def elements(self, h, u):
        return (h - u) ** 2 / 2


class Net(pxc.EnergyModule):
    def __init__(self, hidden, output):
        super().__init__()
        self.layers = [pxnn.Linear(3, 4), pxnn.Linear(4, 2)]
        self.vodes = [pxc.Vode(hidden), pxc.Vode(output, output=True)]

    def __call__(self, x):
        return self.vodes[1](self.layers[1](self.vodes[0](jnp.tanh(self.layers[0](x)))))


X = jax.random.normal(jax.random.key(0), (5, 3))
Y = jnp.asarray(np.random.default_rng(0).poisson(2.0, (5, 2)), jnp.float32)


@pytest.mark.parametrize("output", [pxc.Poisson(), pxc.Huber(0.5)], ids=str)
def test_zil_is_backpropagation_of_any_output_energy(output):
    px.RKG.seed(0)
    model = Net(HalfSquare(), output)
    rule = pxl.zil(optax.sgd(0.1))
    state = rule.init(model, (X, Y))
    new, info = rule.step(state, (X, Y))

    def loss(weights):
        h = jnp.tanh(X @ weights["layers[0].nn.weight"].T + weights["layers[0].nn.bias"])
        u = h @ weights["layers[1].nn.weight"].T + weights["layers[1].nn.bias"]
        return output.elements(Y, u).sum() / len(X)

    value, grads = jax.value_and_grad(loss)(state.weights)
    np.testing.assert_allclose(info.loss, value, rtol=1e-5)
    for name, before in state.weights.items():
        np.testing.assert_allclose(before - new.weights[name], 0.1 * grads[name], rtol=1e-4, atol=1e-6)


class Wrong(pxc.Energy):
    def elements(self, h, u):
        return (h - u) * jnp.ones(7)


class Nothing(pxc.Energy):
    def elements(self, h, u):  # pyright: ignore[reportIncompatibleMethodOverride]
        (h - u) ** 2  # pyright: ignore[reportUnusedExpression]


def of_values(h, u):
    return (h - u) ** 2


@pytest.mark.parametrize(
    ("energy", "error", "said", "note"),
    [
        (
            Wrong(),
            TypeError,
            "incompatible shapes",
            "called as Wrong.elements(h, u), with h float32[4] and u float32[4].",
        ),
        (Nothing(), TypeError, "the energy returned None", ""),
        (of_values, TypeError, "unsupported operand", "of_values(vode, rkg), a function of a value node"),
    ],
    ids=["wrong", "nothing", "of values"],
)
def test_an_error_of_an_energys_code_names_the_node(energy, error, said, note):
    with pytest.raises(error, match=rf"the energy of vodes\[0\]: .*{said}") as e:
        pxl.pc(optax.sgd(0.1), optax.sgd(0.1), T=4).init(Net(energy, pxc.se_energy), (X, Y))
    assert note in "\n".join(getattr(e.value, "__notes__", [])) + str(e.value)
