"""cond and switch."""

# pyright: reportAttributeAccessIssue=false, reportOperatorIssue=false

import jax.numpy as jnp
import numpy as np
import pytest

import pcx as px
import pcx.functional as pxf


class Model(px.Module):
    def __init__(self):
        super().__init__()
        self.a = px.Param(jnp.arange(3.0))
        self.b = px.Param(jnp.ones(3))
        self.h = px.Param(None)
        self.again = self.a


def double(x, *, m):
    m.again *= 2
    return x + m.a.sum()


def move(x, *, m):
    m.b.set(m.a + 1)
    return x * 3.0


def stay(x, *, m):
    return x * 1.0


@pytest.mark.parametrize("pred", [True, False, jnp.array(True), 0, 1.0])
@pytest.mark.parametrize("compiled", [False, True])
def test_cond(pred, compiled):
    m, eager = Model(), Model()
    call = pxf.cond(double, move)
    if compiled:
        inner = call
        call = pxf.jit()(lambda pred, x, *, m: inner(pred, x, m=m))
    out = call(pred, 2.0, m=m)
    assert out == (double if pred else move)(2.0, m=eager)
    np.testing.assert_array_equal(m.a.get(), eager.a.get())
    np.testing.assert_array_equal(m.b.get(), eager.b.get())
    assert m.again is m.a
    assert m.h.get() is None


@pytest.mark.parametrize("i", [-1, 0, 1, 2, 5, np.int64(1)])
def test_switch_clamps_as_jax(i):
    m, eager, fns = Model(), Model(), [double, move, stay]
    assert pxf.switch(fns)(i, 2.0, m=m) == fns[max(0, min(2, int(i)))](2.0, m=eager)
    np.testing.assert_array_equal(m.a.get(), eager.a.get())
    np.testing.assert_array_equal(m.b.get(), eager.b.get())


def test_none_to_array_must_happen_in_every_branch():
    def fill(*, m):
        m.h.set(m.a.get())

    def zero(*, m):
        m.h.set(m.a * 0)

    m = Model()
    with pytest.raises(ValueError, match=r"m\.h"):
        pxf.cond(fill, lambda *, m: None)(True, m=m)
    assert m.h.get() is None
    pxf.cond(fill, zero)(False, m=m)
    np.testing.assert_array_equal(m.h.get(), 0)
    pxf.cond(fill, lambda *, m: None)(True, m=m)
    np.testing.assert_array_equal(m.h.get(), m.a.get())


def test_refusals():
    m = Model()
    with pytest.raises(ValueError, match="scalar"):
        pxf.cond(stay, stay)(jnp.ones(2), 1.0, m=m)
    with pytest.raises(TypeError, match="integer"):
        pxf.switch([stay])(1.5, 1.0, m=m)
    with pytest.raises(TypeError, match="branch"):
        pxf.switch([])
    with pytest.raises(TypeError, match="false_fun"):
        pxf.cond(stay, None)  # pyright: ignore
    with pytest.raises(TypeError):
        pxf.cond(lambda x: x, lambda x: (x, x))(True, 1.0)


def test_exceptions_and_dicts():
    m = Model()
    m.cache = px.ParamDict({"a": jnp.ones(2)})
    held, a = m.cache.get(), m.a.get()

    def fail(*, m):
        m.a *= 2
        m.cache.get()["a"] = m.a.get()
        raise RuntimeError

    with pytest.raises(RuntimeError):
        pxf.cond(lambda *, m: None, fail)(True, m=m)
    assert m.a.get() is a
    np.testing.assert_array_equal(held["a"], 1)

    def change(*, m):
        m.cache.get()["a"] = m.cache["a"] * 2

    pxf.cond(change, lambda *, m: None)(True, m=m)
    np.testing.assert_array_equal(m.cache["a"], 2)
    np.testing.assert_array_equal(held["a"], 1)
