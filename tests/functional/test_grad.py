"""value_and_grad: derivatives by keyword and by position."""

# pyright: reportAttributeAccessIssue=false, reportOperatorIssue=false

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import pcx as px
import pcx.functional as pxf
import pcx.utils as pxu


class Weight(px.Param):
    pass


class Model(px.Module):
    def __init__(self):
        super().__init__()
        self.w = Weight(jnp.arange(1.0, 4.0))
        self.b = Weight(jnp.array(0.5))
        self.h = px.Param(jnp.ones(3))
        self.n = 2
        self.act = px.static(jnp.tanh)
        self.layers = [self.w, {"again": self.b}]


MASK = pxu.M(Weight).to((False, True))
X = jnp.array([0.1, -0.2, 0.3])


def pure(w, b, x):
    return jnp.sum(jnp.tanh(w * x + b) ** 2)


def loss(x, *, m):
    return jnp.sum(m.act(m.layers[0] * x + m.layers[1]["again"].get()) ** 2)


def hand(m):
    mask = pxu.M(Weight).to((False, False))(m)
    mask.layers[0] = True  # where the walk meets the params first
    mask.b = True
    return mask


@pytest.mark.parametrize("mask", [MASK, {"m": MASK}, {"m": hand}, lambda objects: MASK(objects)])
def test_like_jax(mask):
    m = Model()
    value, grads = pxf.value_and_grad(mask)(loss)(X, m=m)
    expected, (gw, gb) = jax.value_and_grad(pure, (0, 1))(m.w.get(), m.b.get(), X)
    np.testing.assert_allclose(value, expected)
    g = grads["m"]
    assert type(g) is Model
    np.testing.assert_allclose(g.w.get(), gw, rtol=1e-6)
    np.testing.assert_allclose(g.b.get(), gb, rtol=1e-6)
    assert g.layers[0] is g.w
    assert g.h.get() is None
    assert g.n is None
    assert m.w._mark is None
    (value, aux), _ = pxf.value_and_grad(mask, has_aux=True)(lambda x, *, m: (loss(x, m=m), 1.0, {"a": x}))(X, m=m)
    assert aux[0] == 1.0
    np.testing.assert_array_equal(aux[1]["a"], X)
    assert len(aux) == 2


def test_a_mask_edited_by_hand():
    m = Model()
    mask = pxu.M(Weight).to((False, False))(m)
    mask.b = True
    _, grads = pxf.value_and_grad({"m": mask})(loss)(X, m=m)
    assert grads["m"].w.get() is None
    np.testing.assert_allclose(grads["m"].b.get(), jax.grad(pure, 1)(m.w.get(), m.b.get(), X), rtol=1e-6)


@pytest.mark.parametrize("argnums", [0, (0,), (0, 1), (-1,)])
def test_positional(argnums):
    def fn(x, y, *, m):
        return jnp.sum(m.w * x["a"] * y)

    m, x, y = Model(), {"a": X}, X + 1
    value, (positional, by_keyword) = pxf.value_and_grad(MASK, argnums=argnums)(fn)(x, y, m=m)
    expected = jax.grad(lambda x, y: jnp.sum(m.w.get() * x["a"] * y), argnums)(x, y)
    jax.tree.map(np.testing.assert_allclose, positional, expected)
    np.testing.assert_allclose(by_keyword["m"].w.get(), X * y)
    np.testing.assert_allclose(value, jnp.sum(m.w.get() * X * y))


def test_changes_are_kept_and_selected_params_hold_their_value():
    m = Model()

    def fn(*, m):
        m.h.set(m.w * 2)
        m.w.set(m.w * 3)
        return jnp.sum(m.w * m.h)

    value, grads = pxf.value_and_grad(MASK)(fn)(m=m)
    np.testing.assert_allclose(grads["m"].w.get(), 12 * jnp.arange(1.0, 4.0))
    np.testing.assert_allclose(m.w.get(), 3 * jnp.arange(1.0, 4.0))
    np.testing.assert_allclose(m.h.get(), 2 * jnp.arange(1.0, 4.0))
    assert value == 6 * 14
    assert not isinstance(m.w.get(), jax.core.Tracer)


def test_trees_and_none_in_params():
    d, none = px.ParamDict({"a": jnp.array(2.0), "b": jnp.array(3.0)}), px.Param(None)
    _, grads = pxf.value_and_grad({"d": True, "none": True})(lambda *, d, none: d["a"] ** 2 * d["b"])(d=d, none=none)
    assert grads["d"]["a"] == 12.0
    assert grads["d"]["b"] == 4.0
    assert grads["none"].get() is None


def test_second_derivatives():
    m = Model()
    first = pxf.value_and_grad({"m": MASK})(loss)

    def outer(*, m):
        return jnp.sum(first(X, m=m)[1]["m"].w.get() ** 2)

    _, grads = pxf.value_and_grad(MASK)(outer)(m=m)
    w, b = m.w.get(), m.b.get()
    expected = jax.grad(lambda w: jnp.sum(jax.grad(pure)(w, b, X) ** 2))(w)
    np.testing.assert_allclose(grads["m"].w.get(), expected, rtol=1e-5)


def test_reduce_axes():
    m = Model()
    each = pxf.vmap(in_axes=0, out_axes=None, axis_name="batch")(
        lambda x, *, m: pxf.value_and_grad(MASK, reduce_axes="batch")(loss)(x, m=m)[1]["m"].w.get()
    )
    xs = jnp.stack([X, 2 * X])
    expected = sum(jax.grad(pure)(m.w.get(), m.b.get(), x) for x in xs)
    np.testing.assert_allclose(each(xs, m=m), expected, rtol=1e-6)


@pytest.mark.parametrize(
    ("fn", "match"),
    [
        (lambda *, m: m.w.get(), "scalar"),
        (lambda *, m: (m.w.sum(), 1), "has_aux"),
        (lambda *, m: None, "scalar"),
        (lambda *, m: 1, "floating"),
    ],
)
def test_refusals(fn, match):
    m = Model()
    w = m.w.get()
    with pytest.raises(ValueError, match=match):
        pxf.value_and_grad(MASK)(fn)(m=m)
    assert m.w.get() is w


def test_integers_have_no_gradient():
    with pytest.raises(ValueError, match="no gradient"):
        pxf.value_and_grad({"p": True})(lambda *, p: p * 1.0)(p=px.Param(1))


def test_an_exception_changes_nothing():
    m = Model()
    m.cache = px.ParamDict({"a": jnp.ones(2)})
    before, held = m.w.get(), m.cache.get()

    def fn(*, m):
        m.cache.get()["b"] = m.w.get()
        m.h.set(m.w.get())
        m.w *= 2
        raise RuntimeError

    with pytest.raises(RuntimeError):
        pxf.value_and_grad(MASK)(fn)(m=m)
    assert m.w.get() is before
    assert list(held) == ["a"]
    np.testing.assert_array_equal(m.h.get(), 1)


@pytest.mark.parametrize("argnums", [(), 0])
def test_a_param_given_by_place_keeps_its_value_and_gets_no_tracer(argnums):
    class Held(px.Module):
        def __init__(self, value):
            super().__init__()
            self.w = px.Param(value)
            self.kept = [px.static(1)]

    def fn(given, *, model):
        given.w.set(given.w.get() * model.w.get())
        given.kept[0].set(2)
        given.kept.append(model.w.get())
        given.other = model.w.get()
        return jnp.sum(given.w.get() ** 2)

    given, model = Held(jnp.arange(3.0)), Held(jnp.full(3, 2.0))
    mask = {"model": pxu.M(px.Param).to((False, True))}
    value, grads = pxf.value_and_grad(mask, argnums=argnums)(fn)(given, model=model)
    by_keyword = grads if argnums == () else grads[1]
    assert value == 20.0
    np.testing.assert_allclose(by_keyword["model"].w.get(), [0.0, 4.0, 16.0])
    if argnums == 0:
        np.testing.assert_allclose(grads[0].w.get(), [0.0, 8.0, 16.0])
    np.testing.assert_array_equal(given.w.get(), [0.0, 1.0, 2.0])
    assert [s.get() for s in given.kept] == [1]
    assert not hasattr(given, "other")
