"""Modules that hold the same params."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import pcx as px
import pcx.functional as pxf
import pcx.nn as pxnn
import pcx.utils as pxu


class Model(px.Module):
    def __init__(self):
        super().__init__()
        self.a = pxnn.Linear(2, 2)
        self.layers = [self.a, pxnn.Dropout()]
        self.h = px.Param(jnp.ones(2))
        self.width = px.static(2)

    def __call__(self, x):
        return self.layers[1](self.a(x)) + self.h


def test_same_params_in_new_modules():
    model = Model()
    other = pxnn.shared(model)
    assert type(other) is Model
    assert other is not model
    assert other.a is not model.a
    assert other.layers is not model.layers
    assert other.layers[0] is other.a
    assert other.a.nn.weight is model.a.nn.weight
    assert other.h is model.h
    other.h.set(jnp.zeros(2))
    np.testing.assert_array_equal(model.h.get(), 0)
    other.eval()
    assert not model.is_eval
    assert model.layers[1].nn.inference == False  # noqa: E712  (a static, not the bool itself)


@pytest.mark.parametrize(
    "chosen", [pxnn.LayerParam, pxnn.LayerParam | pxnn.LayerState, lambda p: isinstance(p, pxnn.LayerParam)]
)
def test_own_copies_of_the_others(chosen):
    model = Model()
    model.h.frozen = True
    other = pxnn.shared(model, chosen)
    assert other.a.nn.bias is model.a.nn.bias
    assert other.h is not model.h
    assert type(other.h) is px.Param
    assert other.h.frozen
    np.testing.assert_array_equal(other.h.get(), model.h.get())
    other.h.set(other.h.get() + 1)
    np.testing.assert_array_equal(model.h.get(), 1)


def test_copies_are_buffers_of_their_own():
    model = Model()
    other = pxnn.shared(model, pxnn.LayerParam)
    model.h.get().delete()
    np.testing.assert_array_equal(other.h.get(), 1)


def test_a_shared_param_learns_once_for_both():
    class Pair(px.Module):
        def __init__(self):
            super().__init__()
            self.one = pxnn.Linear(2, 2)
            self.two = pxnn.shared(self.one)

    pair = Pair()
    assert len(px.tree_extract(pair)) == 2

    def loss(*, pair):
        return jnp.sum(pair.two(pair.one(jnp.ones(2))))

    weight, bias = pair.one.nn.weight.get(), pair.one.nn.bias.get()
    expected = jax.grad(lambda w: jnp.sum(w @ (w @ jnp.ones(2) + bias) + bias))(weight)
    _, grads = pxf.value_and_grad(pxu.M(pxnn.LayerParam).to((False, True)))(loss)(pair=pair)
    np.testing.assert_allclose(grads["pair"].one.nn.weight.get(), expected, rtol=1e-5)


def test_a_filter_that_is_none_of_these_is_refused():
    with pytest.raises(TypeError, match="shared"):
        pxnn.shared(Model(), 3)  # pyright: ignore[reportArgumentType]
